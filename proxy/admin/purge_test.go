package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"umbral/proxy/store"
)

func TestPurge(t *testing.T) {
	tests := []struct {
		name, body string
		want       []store.Selector
	}{
		{"url", `{"urls":["https://Site.test:443/a?b=1"]}`, []store.Selector{{URL: "site.test/a?b=1"}}},
		{"path", `{"urls":["/a"]}`, []store.Selector{{URL: "/a"}}},
		{"prefix", `{"prefixes":["/a/","http://site.test"]}`, []store.Selector{{Prefix: "/a/"}, {Prefix: "site.test/"}}},
		{"tag", `{"tags":["certificado:7"]}`, []store.Selector{{Tag: "certificado:7"}}},
		{"another spelling", `{"urls":["/p/%c3%b1?%61=ñ"],"prefixes":["/p/%7e%c3"]}`, []store.Selector{{URL: "/p/%C3%B1?a=%C3%B1"}, {Prefix: "/p/~%C3"}}},
		{"user", `{"users":["42"]}`, []store.Selector{{User: "u1:42"}, {User: "u2:42"}}},
		{"session", `{"sessions":["s1"]}`, []store.Selector{{Session: "s:s1"}}},
		{"all", `{"all":true}`, []store.Selector{{All: true}}},
		{"soft", `{"tags":["a"],"urls":["/b"],"soft":true}`, []store.Selector{{URL: "/b", Soft: true}, {Tag: "a", Soft: true}}},
		{"null is nothing", `{"urls":null,"tags":["a"],"wait":null}`, []store.Selector{{Tag: "a"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			if w := ask(New(f.options()), "POST", "/v1/purge", tt.body); w.Code != 200 {
				t.Fatal(w.Code, w.Body)
			}
			if len(f.purged) != 1 || !reflect.DeepEqual(f.purged[0], tt.want) {
				t.Errorf("got %+v\nwant %+v", f.purged, tt.want)
			}
		})
	}
}

func TestPurge_faults(t *testing.T) {
	many := `{"tags":["x"` + strings.Repeat(`,"x"`, maxSelectors) + `]}`
	tests := []struct {
		name, body string
		status     int
		want       string
	}{
		{"nothing", ``, 400, "nothing to purge"},
		{"an empty object", `{}`, 400, "nothing to purge"},
		{"all false", `{"all":false}`, 400, "nothing to purge"},
		{"unknown field", `{"tag":["x"]}`, 400, `"field":"tag"`},
		{"another case", `{"ALL":true}`, 400, `unknown field \"ALL\"`},
		{"the long s, which Go folds", `{"tagſ":["x"]}`, 400, `unknown field`},
		{"twice", `{"dry_run":true,"all":true,"dry_run":false}`, 400, `dry_run: given twice`},
		{"a list", `["x"]`, 400, "must be a JSON object"},
		{"text", `all`, 400, "not JSON, at byte 1"},
		{"cut off", `{"all":true`, 400, "ends too early"},
		{"more behind it", `{"all":true} {"all":true}`, 400, "something follows"},
		{"wrong type", `{"tags":"x"}`, 400, `tags: must be a list of strings, not string`},
		{"wrong type within", `{"tags":[1]}`, 400, `must be a string, not number`},
		{"wrong flag", `{"all":"yes"}`, 400, `all: must be true or false, not string`},
		{"not UTF-8", "{\"tags\":[\"\xff\"]}", 400, "not UTF-8"},
		{"a bare number", `{"all":true,"wait":2}`, 400, `2 is no duration`},
		{"wait below", `{"all":true,"wait":"-1s"}`, 400, "wait: must be from 0s to 30s"},
		{"wait above", `{"all":true,"wait":"31s"}`, 400, "wait: must be from 0s to 30s"},
		{"too many", many, 400, "1001 selectors are too many"},
		{"too large", `{"tags":["` + strings.Repeat("x", maxBody) + `"]}`, 413, "over 1048576 bytes"},
		{"empty tag", `{"tags":["a",""]}`, 400, "tags[1]: must not be empty"},
		{"line break in a tag", `{"tags":["a\nb"]}`, 400, "tags[0]: holds a space or a control"},
		{"neither host nor path", `{"urls":["page/x"]}`, 400, "urls[0]: must be a URL"},
		{"another scheme", `{"urls":["ftp://site.test/x"]}`, 400, "urls[0]: must be a URL"},
		{"user-info", `{"urls":["http://a@site.test/x"]}`, 400, "urls[0]: the host is malformed"},
		{"a glob", `{"prefixes":["/a/*"]}`, 400, "leave the * away"},
		{"long", `{"urls":["/` + strings.Repeat("x", maxSelector) + `"]}`, 400, "urls[0]: is too long"},
		{"refresh without warming", `{"all":true,"refresh":true}`, 501, "runs without warming"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			w := ask(New(f.options()), "POST", "/v1/purge", tt.body)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
				t.Errorf("got %d %s\nwant %d …%s…", w.Code, w.Body, tt.status, tt.want)
			}
			checkProblem(t, w.Header(), w.Body.Bytes(), tt.status)
			if len(f.purged) > 0 {
				t.Errorf("purged %+v", f.purged)
			}
		})
	}
	if w := ask(New(newFake().options()), "POST", "/v1/purge", `{"all":true}`, "Content-Type: text/plain"); w.Code != 415 {
		t.Errorf("text/plain: %d", w.Code)
	}
}

func TestPurge_receipt_hides_digests(t *testing.T) {
	w := ask(New(newFake().options()), "POST", "/v1/purge", `{"users":["42"],"soft":true}`)
	if !strings.Contains(w.Body.String(), `"selectors":[{"user":"42","soft":true}]`) {
		t.Error(w.Body)
	}
}

func TestPurge_dry_run(t *testing.T) {
	f := newFake()
	h := New(f.options())
	var got PurgeReceipt
	if err := json.Unmarshal(ask(h, "POST", "/v1/purge", `{"tags":["a","b"],"dry_run":true}`).Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(f.purged) != 0 || got.Matched.Memory != 20 || got.ID != "" || !got.DryRun || got.Complete {
		t.Errorf("%+v, purged %v", got, f.purged)
	}
	if w := ask(h, "GET", "/v1/purges", ""); strings.TrimSpace(w.Body.String()) != `{"purges":[]}` {
		t.Error(w.Body)
	}
}

func TestPurge_waits_as_asked(t *testing.T) {
	f := newFake()
	ask(New(f.options()), "POST", "/v1/purge", `{"all":true,"wait":"2s"}`)
	if f.waited != 2*time.Second {
		t.Error(f.waited)
	}
}

func TestPurge_refresh_fetches_again(t *testing.T) {
	f := newFake()
	asked := make(chan string, 4)
	o := f.options()
	o.Warm = NewWarmer(WarmOptions{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.Host + r.RequestURI })})
	var got PurgeReceipt
	w := ask(New(o), "POST", "/v1/purge", `{"urls":["http://site.test/a","/everywhere"],"refresh":true}`)
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Refresh == "" {
		t.Fatal(w.Body, err)
	}
	seen := map[string]bool{<-asked: true, <-asked: true}
	if !seen["site.test/a"] || !seen["site.test/again?a=1"] {
		t.Errorf("fetched %v", seen)
	}
	o.Warm.Close()
}

// ledger is a purge log with an audit that cuts By as the real one does.
type ledger struct{ kept []store.Audited }

func (l *ledger) Purge(_ context.Context, p store.Purge) (store.Receipt, error) {
	r := store.Record{Position: store.Position{Epoch: 10, Number: uint64(len(l.kept) + 1)}, At: time.Unix(int64(len(l.kept)), 0), Edge: "edge-1", Selectors: p.Selectors}
	l.kept = append(l.kept, store.Audited{Record: r, By: p.By[:min(len(p.By), 512)], From: p.From})
	return store.Receipt{ID: r.Position.ID(), At: r.At, Complete: true}, nil
}

func (l *ledger) Audit(context.Context, int) ([]store.Audited, error) { return l.kept, nil }

func TestPurges_of_the_ledger_name_who_and_whose(t *testing.T) {
	l := &ledger{}
	o := newFake().options()
	o.Purge, o.Ledger = nil, l
	h := New(o)
	ask(h, "POST", "/v1/purge", `{"users":["42","ñ"],"sessions":["s1"],"tags":["a"],"soft":true}`, "User-Agent: umbral/1")
	if got := l.kept[0].Selectors; len(got) != 6 || strings.Contains(fmt.Sprint(got), " 42 ") {
		t.Errorf("%+v", got)
	}
	l.kept = append(l.kept, store.Audited{Record: store.Record{Position: store.Position{Epoch: 10, Number: 2}, At: time.Unix(9, 0), Selectors: []store.Selector{{User: "digest"}, {URL: "site.test/a"}}}})
	ask(h, "POST", "/v1/purge", `{"users":["`+strings.Repeat("x", 600)+`"]}`)
	ask(h, "DELETE", "/v1/sessions/s1", "")
	var log struct{ Purges []AuditEntry }
	if err := json.Unmarshal(ask(h, "GET", "/v1/purges?limit=4", "").Body.Bytes(), &log); err != nil || len(log.Purges) != 4 {
		t.Fatal(log, err)
	}
	revoke, app, cut, first := log.Purges[0], log.Purges[1], log.Purges[2], log.Purges[3]
	if revoke.Action != "revoke" || revoke.ID != "" {
		t.Errorf("%+v", revoke)
	}
	if app.Who != "app" || app.ID != "a-2" || !reflect.DeepEqual(app.Selectors, []Selected{{URL: "site.test/a"}, {Session: "…"}}) {
		t.Errorf("%+v", app)
	}
	if cut.Who != "token" || len(cut.Selectors) != 1 || !strings.HasPrefix(cut.Selectors[0].User, "xxx") {
		t.Errorf("%+v", cut)
	}
	if first.Who != "token" || first.Agent != "umbral/1" || first.From != "192.0.2.1:1234" || first.Edge != "edge-1" ||
		!reflect.DeepEqual(first.Selectors, []Selected{{Tag: "a", Soft: true}, {User: "42", Soft: true}, {User: "ñ", Soft: true}, {Session: "s1", Soft: true}}) {
		t.Errorf("%+v", first)
	}
}

func TestPURGE(t *testing.T) {
	f := newFake()
	srv := httptest.NewServer(New(f.options()))
	defer srv.Close()
	own := srv.Listener.Addr().String()
	_, port, _ := net.SplitHostPort(own)
	tests := []struct{ name, line, host, want string }{
		{"a site's page", "/a//b/../c?d=%2f", "Site.test", "site.test/a//b/../c?d=%2F"},
		{"on another port", "/a", "site.test:8443", "site.test:8443/a"},
		{"every host", "/a?b", own, "/a?b"},
		{"every host, by name", "/a", "localhost:" + port, "/a"},
		{"an address of a site", "/a", "127.0.0.1:1", "127.0.0.1:1/a"},
		{"absolute form", "http://site.test/a?b", "other.test", "site.test/a?b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := net.Dial("tcp", own)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Write([]byte("PURGE " + tt.line + " HTTP/1.1\r\nHost: " + tt.host + "\r\nConnection: close\r\nAuthorization: Bearer " + testToken + "\r\n\r\n")); err != nil {
				t.Fatal(err)
			}
			status := make([]byte, 15)
			if _, err := c.Read(status); err != nil || string(status) != "HTTP/1.1 200 OK" {
				t.Fatalf("%q %v", status, err)
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			got := f.purged[len(f.purged)-1]
			if want := []store.Selector{{URL: tt.want}}; !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestPURGENamesAPage(t *testing.T) {
	f := newFake()
	h := New(f.options())
	r := httptest.NewRequest("PURGE", "/", nil)
	r.RequestURI, r.URL = "*", &url.URL{Path: "*"}
	r.Header.Set("Authorization", "Bearer "+testToken)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 400 || !strings.Contains(w.Body.String(), "the path of one page") || len(f.purged) > 0 {
		t.Errorf("PURGE *: %d %s, purged %+v", w.Code, w.Body, f.purged)
	}
}

func TestPlainURL(t *testing.T) {
	for raw, want := range map[string]string{
		"/": "/", "/a?b=1&c": "/a?b=1&c", "/a?": "/a", "/a#b": "/a", "http://h.test": "h.test/", "HTTP://H.test:80/A": "h.test/A",
		"https://h.test:443?q": "h.test/?q", "https://h.test:80/": "h.test:80/", "http://[::1]:8080/x": "[::1]:8080/x",
		"/ñ?ñ=1": "/%C3%B1?%C3%B1=1", "/a%2Fb": "/a%2Fb", "/a//b": "/a//b",
		"http://h.test./a": "h.test/a", "https://h.test.:444/a": "h.test:444/a", "H.test": "h.test/", "h.test/a?b": "h.test/a?b", "localhost/a": "localhost/a", "web:8000/a": "web:8000/a", "[::1]:1/a": "[::1]:1/a",
	} {
		if got, err := PlainURL(raw); got != want || err != nil {
			t.Errorf("PlainURL(%q) = %q, %v; want %q", raw, got, err, want)
		}
	}
	for _, raw := range []string{"", "a", "//h.test/a", "http://", "http:///a", "http://:80/", "http://a b/", "/a b", "/a\x00", "http://h\\.test/", "http://ñ.test/", "*", "mailto:a@b", "mailto:a@b.test", "a/b.html", "a@b.test/", "localhosts/a", "web:a/"} {
		if got, err := PlainURL(raw); err == nil {
			t.Errorf("PlainURL(%q) = %q, want an error", raw, got)
		}
	}
}

func FuzzPurge(f *testing.F) {
	for _, seed := range []string{`{"urls":["/a"],"wait":"2s"}`, `{"all":true,"soft":true,"dry_run":false}`, `{"prefixes":["http://a"],"users":["é"]}`, `{"a":{"a":[`, `{"tags":["\u0000"]}`, "\xff", `{"wait":1e999}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		fake := newFake()
		w := ask(New(fake.options()), "POST", "/v1/purge", string(body))
		switch {
		case w.Code == 200:
			var q PurgeRequest
			if err := decodeBytes(body, &q); err != nil {
				t.Fatal(err)
			}
			if n := len(fake.purged); !q.DryRun && (n != 1 || len(fake.purged[0]) == 0) || q.DryRun && n != 0 {
				t.Fatalf("%q purged %+v", body, fake.purged)
			}
			for _, sels := range fake.purged {
				for _, s := range sels {
					soft := s.Soft
					s.Soft = false
					if s == (store.Selector{}) || soft != q.Soft {
						t.Fatalf("%q purged %+v", body, sels)
					}
				}
			}
		case w.Code >= 400 && w.Code < 500:
			checkProblem(t, w.Header(), w.Body.Bytes(), w.Code)
		default:
			t.Fatalf("%q: %d %s", body, w.Code, w.Body)
		}
	})
}
