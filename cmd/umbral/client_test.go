package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const testToken = "token-of-the-admin-api-0123"

// fakeEdge answers as the contract says, from a table of "METHOD path?query",
// and remembers what it was asked.
type fakeEdge struct {
	answers map[string]string
	asked   []string
}

func (f *fakeEdge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	call := r.Method + " " + r.URL.RequestURI()
	f.asked = append(f.asked, strings.TrimSpace(call+" "+string(body)))
	if r.Header.Get("Authorization") != "Bearer "+testToken && r.URL.Path != "/healthz" {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"title":"Unauthorized","status":401,"detail":"the token is wrong"}`)
		return
	}
	answer, ok := f.answers[call]
	if !ok {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"title":"Not Found","status":404,"detail":"no such call"}`)
		return
	}
	if strings.HasPrefix(answer, "event:") {
		w.Header().Set("Content-Type", "text/event-stream")
	}
	_, _ = io.WriteString(w, answer)
}

// ask runs a command against a fake edge.
func ask(t *testing.T, answers map[string]string, args ...string) (f *fakeEdge, code int, stdout, stderr string) {
	t.Helper()
	f = &fakeEdge{answers: answers}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	t.Setenv("ADMIN_TOKEN", testToken)
	var out, err bytes.Buffer
	code = run(append(args, "--admin", server.URL), &out, &err)
	return f, code, out.String(), err.String()
}

const receiptJSON = `{"id":"1-0","at":"2026-01-02T03:04:05Z","selectors":[{"tag":"a,b"}],"edges":[{"id":"e1","applied":true,"ms":3},{"id":"e2","applied":%t,"ms":0}],"complete":%t,"matched":{"memory":1}}`

func TestPurge(t *testing.T) {
	f, code, out, stderr := ask(t, map[string]string{"POST /v1/purge": fmt.Sprintf(receiptJSON, true, true)},
		"purge", "--tag", "a,b", "--url", "https://x/", "--soft", "--wait", "2s")
	if code != exitGood || stderr != "" {
		t.Errorf("code %d, %s", code, stderr)
	}
	want := `POST /v1/purge {"urls":["https://x/"],"tags":["a,b"],"soft":true,"wait":"2s"}`
	if len(f.asked) != 1 || f.asked[0] != want {
		t.Errorf("asked %q", f.asked)
	}
	for _, part := range []string{"purge 1-0 at ", "matched: 1 page in", "edge e1: applied after 3.0 ms", "complete: every live edge"} {
		if !strings.Contains(out, part) {
			t.Errorf("%q is missing from:\n%s", part, out)
		}
	}
}

func TestPurgeThatIsNotCompleteIsANo(t *testing.T) {
	_, code, out, stderr := ask(t, map[string]string{"POST /v1/purge": fmt.Sprintf(receiptJSON, false, false)}, "purge", "--all", "--wait", "1s", "--json")
	if code != exitNo || stderr != "umbral: not every edge had applied the purge after 1s\n" || !strings.HasPrefix(out, `{"id":"1-0"`) {
		t.Errorf("code %d, %q, %q", code, out, stderr)
	}
}

func TestPurgeDryRun(t *testing.T) {
	_, code, out, _ := ask(t, map[string]string{"POST /v1/purge": `{"matched":{"memory":7},"complete":false}`}, "purge", "--prefix", "x/", "--dry-run", "--wait", "1s")
	if code != exitGood || out != "dry run: 7 pages in this edge's memory would go; nothing was purged\n" {
		t.Errorf("code %d, %s", code, out)
	}
}

func TestProblemsAreOneSentence(t *testing.T) {
	_, code, _, stderr := ask(t, nil, "stats")
	if code != exitNo || stderr != "umbral: the edge says: no such call\n" {
		t.Errorf("code %d, %s", code, stderr)
	}
	t.Run("wrong token", func(t *testing.T) {
		_, code, _, stderr := ask(t, nil, "stats", "--admin-token", "another-token-0123456789012")
		if code != exitNo || stderr != "umbral: the edge refuses this ADMIN_TOKEN: it is not the one that it was started with\n" {
			t.Errorf("code %d, %s", code, stderr)
		}
	})
	t.Run("no edge", func(t *testing.T) {
		var out, stderr bytes.Buffer
		code := run([]string{"stats", "--admin", "http://127.0.0.1:1"}, &out, &stderr)
		if code != exitNo || stderr.String() != "umbral: no edge answers at http://127.0.0.1:1: connection refused; ADMIN_LISTEN or --admin says where it is\n" {
			t.Errorf("code %d, %s", code, &stderr)
		}
	})
	t.Run("another server", func(t *testing.T) {
		_, code, _, stderr := ask(t, map[string]string{"GET /v1/stats": "<html>"}, "stats")
		if code != exitNo || !strings.HasSuffix(stderr, "does not answer as an Umbral edge does: is it another server?\n") {
			t.Errorf("code %d, %s", code, stderr)
		}
	})
	t.Run("no token", func(t *testing.T) {
		server := httptest.NewServer(new(fakeEdge))
		defer server.Close()
		t.Setenv("ADMIN_TOKEN", "")
		var out, stderr bytes.Buffer
		if code := run([]string{"stats", "--admin", server.URL}, &out, &stderr); code != exitNo || stderr.String() != "umbral: the edge wants its token: set ADMIN_TOKEN\n" {
			t.Errorf("code %d, %s", code, &stderr)
		}
	})
}

func TestExplain(t *testing.T) {
	f, code, out, stderr := ask(t, map[string]string{
		"GET /v1/explain?header=Accept-Language%3A+es&method=GET&url=https%3A%2F%2Fx%2Fcertificado%2F7%3Fa%3D1&user=42": `{"route":"/certificado/{id}","method":"GET","url":"https://x/certificado/7?a=1","scope":"user","ttl":"1h",
 "key_parts":[{"name":"host","value":"x"},{"name":"query","value":"a=1"}],"tags":["certificado:7"],
 "tiers":[{"tier":"memory","found":true,"status":200,"age":3,"ttl":57,"size":2048,"hits":5,"life":"alive"},{"tier":"redis","found":false}],
 "verdict":"serve","cache_status":"umbral; hit","notes":["hello"]}`},
		"explain", "https://x/certificado/7?a=1", "--user", "42", "--method", "GET", "--header", "Accept-Language: es")
	if code != exitGood {
		t.Fatalf("code %d, %s; asked %q", code, stderr, f.asked)
	}
	for _, part := range []string{"route         /certificado/{id}\n", "host = x\n", "query = a=1\n", "memory        status 200, age 3s, 57s left, 2.0 KiB, 5 hits, alive\n", "redis         nothing stored\n", "Cache-Status  umbral; hit\n"} {
		if !strings.Contains(out, part) {
			t.Errorf("%q is missing from:\n%s", part, out)
		}
	}
}

func TestWarm(t *testing.T) {
	file := filepath.Join(t.TempDir(), "urls")
	if err := os.WriteFile(file, []byte("/a\n# no\n\n/b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, code, out, stderr := ask(t, map[string]string{
		"POST /v1/warm":   `{"id":"7","state":"reading"}`,
		"GET /v1/warm/7":  `{"id":"7","state":"done","total":2,"done":2,"ok":1,"failed":1,"cache":{"stored":1},"errors":[{"url":"/b","status":500}],"started":"2026-01-01T00:00:00Z","finished":"2026-01-01T00:00:01Z"}`,
		"GET /v1/warm/77": `{}`,
	}, "warm", "--urls", file, "--every", "1ms", "--concurrency", "3")
	if code != exitNo || stderr != "umbral: 1 page could not be warmed\n" {
		t.Errorf("code %d, %s", code, stderr)
	}
	if f.asked[0] != `POST /v1/warm {"urls":["/a","/b"],"concurrency":3}` {
		t.Errorf("asked %q", f.asked)
	}
	for _, part := range []string{"2 pages in 1s: 1 fetched, 1 failed, 0 skipped\n", "  stored       1\n", "  /b: status 500\n"} {
		if !strings.Contains(out, part) {
			t.Errorf("%q is missing from:\n%s", part, out)
		}
	}
}

const statsJSON = `{"edge":"e1","version":"1.0","at":"2026-01-01T00:01:00Z","started":"2026-01-01T00:00:00Z","requests":10,"hits":3,"misses":1,"bytes":1536,"memory":{"limit":1048576},"redis":{"up":true,"version":"7.0","used_memory":1024},"upstreams":[{"url":"http://web","healthy":false,"detail":"refused"}]}`

func TestStatsAndTop(t *testing.T) {
	answers := map[string]string{
		"GET /v1/stats":  statsJSON,
		"GET /v1/routes": `{"routes":[{"pattern":"-","requests":1},{"pattern":"/a","requests":9,"hits":3,"misses":1}]}`,
	}
	_, code, out, stderr := ask(t, answers, "stats")
	if code != exitGood || !strings.Contains(out, "e1, 1.0, up 1m0s\n") || !strings.Contains(out, "75.0%: 3 hits") || !strings.Contains(out, "http://web down: refused") {
		t.Errorf("code %d, %s%s", code, stderr, out)
	}
	_, code, out, stderr = ask(t, answers, "top", "--times", "2", "--every", "1ms")
	if code != exitGood || strings.Count(out, "75.0%: 3 hits") != 2 || strings.Index(out, "/a") > strings.Index(out, "(unlisted)") {
		t.Errorf("code %d, %s%s", code, stderr, out)
	}
}

const eventsText = `event: request
data: {"time":"2026-01-01T00:00:00Z","method":"GET","host":"x","path":"/a/\u001b[2J","status":200,"verdict":"hit","tier":"memory","user":"42","bytes":10,"ms":0.5}

: still here

event: request
data: {"time":"2026-01-01T00:00:01Z","method":"GET","host":"x","path":"/b/","status":200,"verdict":"miss","reason":"nothing-stored","ms":12}

event: purge
data: {"time":"2026-01-01T00:00:02Z","id":"1-0"}

event: request
data: nonsense

`

func TestTail(t *testing.T) {
	answers := map[string]string{"GET /v1/events": eventsText, "GET /v1/events?user=42": eventsText}
	for _, test := range []struct {
		args        []string
		want, never string
	}{
		{nil, "miss nothing-stored", "\x1b"},
		{nil, `--- purge {"time":"2026-01-01T00:00:02Z","id":"1-0"}`, "nonsense"},
		{[]string{"--verdict", "hit,stale"}, "x/a/?[2J hit memory user=42 0.5 ms 10 B", "miss"},
		{[]string{"--path", "/b"}, "x/b/ miss", "hit"},
		{[]string{"--path", "/*/"}, "x/b/ miss", "hit"},
		{[]string{"--user", "42"}, "user=42", "purge"},
		{[]string{"--json", "--path", "/b"}, `{"type":"request","time":"2026-01-01T00:00:01Z","method":"GET","host":"x","path":"/b/"`, "---"},
	} {
		_, code, out, stderr := ask(t, answers, append([]string{"tail"}, test.args...)...)
		if code != exitNo || stderr != "umbral: the stream of events ended: the edge is shutting down\n" {
			t.Errorf("%q: code %d, %s", test.args, code, stderr)
		}
		if !strings.Contains(out, test.want) || strings.Contains(out, test.never) {
			t.Errorf("%q: got\n%s", test.args, out)
		}
	}
}

func TestSessions(t *testing.T) {
	answers := map[string]string{
		"GET /v1/sessions?user=42":          `{"sessions":[{"id":"s1","user":"42","created":"2026-01-01T00:00:00Z","signed_in_at":"2026-01-01T00:00:01Z"}]}`,
		"GET /v1/sessions":                  `{"sessions":[]}`,
		"DELETE /v1/users/a%2Fb/sessions":   `{"revoked":3,"complete":true,"edges":[{"id":"e1","applied":true,"ms":2}]}`,
		"DELETE /v1/sessions/s1":            `{"revoked":1,"complete":false}`,
		"DELETE /v1/sessions":               `{"revoked":9,"complete":true}`,
		"DELETE /v1/sessions/..%2Fsessions": `{}`,
	}
	for _, test := range []struct {
		args        string
		code        int
		out, stderr string
	}{
		{"list --user 42", exitGood, "s1       42", ""},
		{"list", exitGood, "no session\n", ""},
		{"revoke --user a/b", exitGood, "3 sessions revoked\n  edge e1: applied after 2.0 ms\n", ""},
		{"revoke --session s1", exitNo, "1 session revoked\n", "umbral: not every edge has acknowledged yet"},
		{"revoke --all", exitGood, "9 sessions revoked\n", ""},
	} {
		_, code, out, stderr := ask(t, answers, append([]string{"sessions"}, strings.Fields(test.args)...)...)
		if code != test.code || !strings.Contains(out, test.out) || !strings.HasPrefix(stderr, test.stderr) {
			t.Errorf("%s: code %d\n%s%s", test.args, code, out, stderr)
		}
	}
}

func TestHealthcheck(t *testing.T) {
	_, code, out, stderr := ask(t, map[string]string{"GET /healthz": "{}"}, "healthcheck")
	if code != exitGood || out != "alive\n" {
		t.Errorf("code %d, %s%s", code, out, stderr)
	}
	_, code, _, stderr = ask(t, nil, "healthcheck")
	if code != exitNo || !strings.HasSuffix(stderr, "/healthz answers 404 Not Found\n") {
		t.Errorf("code %d, %s", code, stderr)
	}
}

func TestReachable(t *testing.T) {
	for listen, want := range map[string]string{
		":8081": "http://127.0.0.1:8081", "0.0.0.0:1": "http://127.0.0.1:1", "[::]:1": "http://127.0.0.1:1", "10.0.0.1:8081": "http://10.0.0.1:8081", "[::1]:1": "http://[::1]:1",
	} {
		if got := reachable(listen); got != want {
			t.Errorf("%s: got %s, want %s", listen, got, want)
		}
	}
}
