package admin

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"umbral/proxy/store"
)

func TestCalls(t *testing.T) {
	tests := []struct {
		name, method, target, body string
		status                     int
		want                       string // a part of the body
	}{
		{"healthz", "GET", "/healthz", "", 200, `{"status":"alive"}`},
		{"readyz", "GET", "/readyz", "", 200, `{"status":"ready"}`},
		{"jwks", "GET", "/v1/jwks", "", 200, `{"keys":[]}`},
		{"purge", "POST", "/v1/purge", `{"tags":["a"],"wait":"2s"}`, 200, `"edges":[{"id":"edge-1","applied":true,"ms":3}],"complete":true,"matched":{"memory":10}`},
		{"PURGE", "PURGE", "/x?y=1", "", 200, `"selectors":[{"url":"127.0.0.1:8081/x?y=1"}]`},
		{"purges", "GET", "/v1/purges", "", 200, `{"purges":[`},
		{"purges, bad limit", "GET", "/v1/purges?limit=0", "", 400, `limit: must be a whole number from 1 to 1000`},
		{"explain", "GET", "/v1/explain?url=/x&method=HEAD&user=42&header=Accept:text/html", "", 200, `"method":"HEAD","url":"/x"`},
		{"explain without url", "GET", "/v1/explain", "", 400, `url: must not be empty`},
		{"explain, bad method", "GET", "/v1/explain?url=/x&method=G%20T", "", 400, `method: is no HTTP method`},
		{"explain, bad header", "GET", "/v1/explain?url=/x&header=Accept", "", 400, `must be Name:value`},
		{"explain, header with a line break", "GET", "/v1/explain?url=/x&header=A:b%0d%0aC:d", "", 400, `must be Name:value`},
		{"explain, unknown parameter", "GET", "/v1/explain?url=/x&usr=1", "", 400, `unknown parameter \"usr\"`},
		{"explain, parameter twice", "GET", "/v1/explain?url=/x&url=/y", "", 400, `url: given twice`},
		{"explain, malformed query", "GET", "/v1/explain?url=%zz", "", 400, `the query is malformed`},
		{"warm absent", "POST", "/v1/warm", `{"urls":["/x"]}`, 501, `this edge runs without warming`},
		{"warm job absent", "GET", "/v1/warm/w1", "", 501, `this edge runs without warming`},
		{"routes", "GET", "/v1/routes", "", 200, `"pattern":"/x","ttl":"15m","vary":"public","tags":[]`},
		{"routes in milliseconds", "GET", "/v1/routes", "", 200, `"p50_ms":1.5`},
		{"stats", "GET", "/v1/stats", "", 200, `"edge":"edge-1","version":"test"`},
		{"stats, bad history", "GET", "/v1/stats?history=long", "", 400, `history: must be a duration`},
		{"edges", "GET", "/v1/edges", "", 200, `{"edges":[{"id":"edge-1","self":true`},
		{"reload", "POST", "/v1/reload", "", 200, `{"ok":true,"routes":1}`},
		{"reload with a body", "POST", "/v1/reload", `{"force":true}`, 400, `unknown field \"force\"`},
		{"sessions", "GET", "/v1/sessions?user=42", "", 200, `{"sessions":[{"id":"s1","user":"42"`},
		{"sessions of nobody", "GET", "/v1/sessions?user=nobody", "", 200, `{"sessions":[]}`},
		{"sessions of all", "GET", "/v1/sessions?user=", "", 200, `{"sessions":[{"id":"s2"`},
		{"session by id", "GET", "/v1/sessions?session=s9", "", 200, `{"sessions":[{"id":"s9"`},
		{"session and user", "GET", "/v1/sessions?session=s9&user=42", "", 400, `give user or session, not both`},
		{"revoke a session", "DELETE", "/v1/sessions/s1", "", 200, `{"revoked":2,"complete":true}`},
		{"revoke what is gone", "DELETE", "/v1/sessions/gone", "", 404, `"title":"Not Found"`},
		{"revoke a user", "DELETE", "/v1/users/a%2Fb/sessions", "", 200, `{"revoked":2,"complete":true}`},
		{"revoke all", "DELETE", "/v1/sessions", "", 200, `{"revoked":2,"complete":true}`},
		{"revoke all, mistyped", "DELETE", "/v1/sessions?user=42", "", 400, `unknown parameter \"user\"`},
		{"metrics", "GET", "/metrics", "", 200, "umbral_up 1"},
		{"openapi", "GET", "/v1/openapi.json", "", 200, `"openapi": "3.1.0"`},
		{"unknown call", "GET", "/v1/nothing", "", 404, `no such call`},
		{"wrong method", "GET", "/v1/purge", "", 405, `this address answers POST`},
		{"wrong method of two", "PUT", "/v1/sessions", "", 405, `this address answers DELETE, GET, HEAD`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := ask(New(newFake().options()), tt.method, tt.target, tt.body)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
				t.Errorf("got %d %s\nwant %d …%s…", w.Code, w.Body, tt.status, tt.want)
			}
			if cc := w.Header().Get("Cache-Control"); cc != "no-store" && tt.name != "jwks" {
				t.Errorf("Cache-Control: %q", cc)
			}
			if w.Code >= 400 {
				checkProblem(t, w.Header(), w.Body.Bytes(), w.Code)
			}
		})
	}
}

// checkProblem holds an error to RFC 9457.
func checkProblem(t *testing.T, h http.Header, body []byte, status int) {
	t.Helper()
	if ct := h.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("Content-Type: %q", ct)
	}
	var p struct {
		Type, Title, Detail string
		Status              int
	}
	if err := json.Unmarshal(body, &p); err != nil {
		t.Fatal(err)
	}
	if p.Type != "about:blank" || p.Title != http.StatusText(status) || p.Status != status || p.Detail == "" {
		t.Errorf("problem %+v of a %d", p, status)
	}
}

func TestReload_names_every_fault(t *testing.T) {
	f := newFake()
	f.faults = []Fault{{File: "routes.yaml", Line: 3, Column: 5, Message: "unknown key ttll"}, {File: "routes.yaml", Line: 9, Column: 1, Message: "bad duration"}}
	w := ask(New(f.options()), "POST", "/v1/reload", "")
	if w.Code != 422 || !strings.Contains(w.Body.String(), `"faults":[{"file":"routes.yaml","line":3,"column":5,"message":"unknown key ttll"},{"file":"routes.yaml","line":9`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	checkProblem(t, w.Header(), w.Body.Bytes(), 422)
	f.faults = []Fault{{Setting: "EDGE_SECRETS", File: "/run/secrets", Message: "EDGE_SECRETS number 1 has 5 bytes"}}
	w = ask(New(f.options()), "POST", "/v1/reload", "")
	if w.Code != 422 || !strings.Contains(w.Body.String(), `"setting":"EDGE_SECRETS","faults":[{"setting":"EDGE_SECRETS","file":"/run/secrets","message"`) ||
		strings.Contains(w.Body.String(), "routes file") {
		t.Errorf("a fault elsewhere: %d %s", w.Code, w.Body)
	}
}

func TestReadyz(t *testing.T) {
	tests := []struct {
		name   string
		checks []Check
		drains bool
		status int
		want   string
	}{
		{"nothing to check", nil, false, 200, "ready"},
		{"Redis is down", []Check{{Name: "redis", Optional: true, Detail: "refused"}}, false, 200, "ready"},
		{"no listener", []Check{{Name: "listener"}}, false, 503, "unready"},
		{"draining", []Check{{Name: "listener", OK: true}}, true, 503, "draining"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			f.checks, f.drains = tt.checks, tt.drains
			h := New(f.options())
			w := ask(h, "GET", "/readyz", "", "Authorization: ")
			if want := `{"status":"` + tt.want + `"}` + "\n"; w.Code != tt.status || w.Body.String() != want {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if w := ask(h, "GET", "/readyz?verbose", "", "Authorization: "); w.Code != 401 {
				t.Errorf("verbose without the token: %d", w.Code)
			}
			w = ask(h, "GET", "/readyz?verbose", "")
			if w.Code != tt.status || len(tt.checks) > 0 && !strings.Contains(w.Body.String(), tt.checks[0].Name) {
				t.Errorf("verbose: %d %s", w.Code, w.Body)
			}
		})
	}
}

func TestRevocations_are_audited(t *testing.T) {
	f := newFake()
	h := New(f.options())
	ask(h, "DELETE", "/v1/users/42/sessions", "", "User-Agent: umbral/1 \x01(ana)")
	ask(h, "DELETE", "/v1/sessions/gone", "")
	var log struct{ Purges []AuditEntry }
	if err := json.Unmarshal(ask(h, "GET", "/v1/purges", "").Body.Bytes(), &log); err != nil || len(log.Purges) != 2 {
		t.Fatal(log, err)
	}
	got := log.Purges[1]
	if got.Action != "revoke" || got.Who != "token" || got.From != "192.0.2.1:1234" || got.Agent != "umbral/1 (ana)" ||
		!got.At.Equal(f.now) || got.Edge != "edge-1" || got.Selectors[0].User != "42" || got.Failed {
		t.Errorf("%+v", got)
	}
	if !log.Purges[0].Failed {
		t.Errorf("%+v", log.Purges[0])
	}
	if want := (Target{User: "42"}); len(f.revoked) != 1 || f.revoked[0] != want {
		t.Errorf("revoked %+v", f.revoked)
	}
}

func TestErrors_inside_stay_inside(t *testing.T) {
	f := newFake()
	h := New(f.options())
	f.purgeErr = store.ErrUnavailable
	w := ask(h, "POST", "/v1/purge", `{"all":true}`)
	if w.Code != 503 || w.Header().Get("Retry-After") != "2" {
		t.Errorf("Redis down: %d %v", w.Code, w.Header())
	}
	f.purgeErr = errWarmPanic
	w = ask(h, "POST", "/v1/purge", `{"all":true}`)
	if w.Code != 500 || strings.Contains(w.Body.String(), errWarmPanic.Error()) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestZeroOptions(t *testing.T) {
	h := New(Options{Token: testToken})
	for _, rt := range h.routes {
		method, path, _ := strings.Cut(rt.pattern, " ")
		path = strings.NewReplacer("{id}", "1", "{$}", "").Replace(path)
		if w := ask(h, method, path, ""); w.Code == 500 {
			t.Errorf("%s: %d %s", rt.pattern, w.Code, w.Body)
		}
	}
}

func TestHistory(t *testing.T) {
	f := newFake()
	var h history
	for i, requests := range []uint64{100, 160, 150, 170} { // the third is a new start
		h.add(Stats{At: f.now.Add(time.Duration(i) * 5 * time.Second), Requests: requests, Hits: requests / 2})
	}
	got := h.since(f.now)
	if len(got) != 2 || got[0].Requests != 60 || got[0].Hits != 30 || got[1].Requests != 20 || got[1].Over != Millis(5*time.Second) {
		t.Errorf("%+v", got)
	}
	for i := range 2 * maxSamples {
		h.add(Stats{At: f.now.Add(time.Duration(i+10) * 5 * time.Second), Requests: uint64(1000 + i)})
	}
	if n := len(h.since(time.Time{})); n != maxSamples {
		t.Errorf("%d samples kept", n)
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", 15 * time.Minute: "15m", time.Hour: "1h", 90 * time.Minute: "1h30m", 30 * time.Second: "30s",
		100 * time.Millisecond: "100ms", 10*time.Minute + time.Second: "10m1s", 720 * time.Hour: "720h", 10 * time.Second: "10s",
	} {
		if got := Span(d); got != want {
			t.Errorf("Span(%v) = %q, want %q", d, got, want)
		}
	}
}
