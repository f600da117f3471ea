package admin

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"umbral/proxy"
	"umbral/proxy/store"
)

const testToken = "a-token-of-thirty-two-characters"

// fake is an edge without an edge: it remembers what it was asked.
type fake struct {
	mu       sync.Mutex
	now      time.Time
	purged   [][]store.Selector
	waited   time.Duration
	revoked  []Target
	explains []ExplainQuery
	faults   []Fault
	checks   []Check
	drains   bool
	purgeErr error
	hub      proxy.Events
}

func newFake() *fake { return &fake{now: time.Unix(1_800_000_000, 0).UTC()} }

func (f *fake) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fake) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func (f *fake) options() Options {
	return Options{
		Token: testToken, Edge: "edge-1", Version: "test", Hosts: []string{"umbral.internal"}, Now: f.clock,
		Purge: func(_ context.Context, sel []store.Selector, wait time.Duration) (store.Receipt, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.purgeErr != nil {
				return store.Receipt{}, f.purgeErr
			}
			f.purged, f.waited = append(f.purged, sel), wait
			return store.Receipt{ID: "7-1", At: f.now, Complete: true, Edges: []store.Ack{{Edge: "edge-1", Applied: true, After: 3 * time.Millisecond}}}, nil
		},
		Holdings:       f,
		UserDigests:    func(_ context.Context, uid string) ([]string, error) { return []string{"u1:" + uid, "u2:" + uid}, nil },
		SessionDigests: func(_ context.Context, id string) ([]string, error) { return []string{"s:" + id}, nil },
		Explain: func(_ context.Context, q ExplainQuery) (Explanation, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.explains = append(f.explains, q)
			return Explanation{Route: "/x", Method: q.Method, URL: q.URL, Verdict: "forward", Reason: "nothing-stored"}, nil
		},
		Routes: func() []Route {
			return []Route{{Pattern: "/x", TTL: "15m", Vary: "public", P50: Millis(1500 * time.Microsecond)}}
		},
		Stats:     func(context.Context) Stats { return Stats{At: f.clock(), Requests: 10, Hits: 8} },
		Edges:     func(context.Context) ([]Edge, error) { return []Edge{{ID: "edge-1", Self: true}}, nil },
		Reload:    func(context.Context) []Fault { return f.faults },
		Sessions:  f,
		Subscribe: f.subscribe,
		JWKS:      func() any { return map[string]any{"keys": []any{}} },
		Ready:     func(context.Context) []Check { return f.checks },
		Draining:  func() bool { return f.drains },
		Metrics:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "umbral_up 1\n") }),
	}
}

func (f *fake) Match(sel []store.Selector, urls int) func() (int, []string) {
	public := []string{"site.test/again?a=1"}
	return func() (int, []string) { return 10 * len(sel), public[:min(urls, 1)] }
}

func (f *fake) List(_ context.Context, of Target, _ int) ([]Session, error) {
	switch {
	case of.User == "nobody":
		return nil, nil
	case of.Session != "":
		return []Session{{ID: of.Session, Auth: "session", Created: f.clock()}}, nil
	case of.All:
		return []Session{{ID: "s2", Auth: "anonymous", Created: f.clock()}}, nil
	}
	return []Session{{ID: "s1", User: of.User, Auth: "user", Created: f.clock()}}, nil
}

func (f *fake) Revoke(_ context.Context, t Target) (Revoked, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t.Session == "gone" {
		return Revoked{}, ErrNotFound
	}
	f.revoked = append(f.revoked, t)
	return Revoked{Revoked: 2, Complete: true}, nil
}

// ask makes a request with the token, unless a field says otherwise; lines
// are "Name: value", and an empty value removes the field.
func ask(h http.Handler, method, target, body string, lines ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "127.0.0.1:8081"
	r.Header.Set("Authorization", "Bearer "+testToken)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case name == "Host":
			r.Host = value
		case value == "":
			r.Header.Del(name)
		default:
			r.Header.Add(name, value)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// signedInCookie signs in and returns the "Cookie: …" line.
func signedInCookie(t *testing.T, h http.Handler) string {
	t.Helper()
	w := ask(h, "POST", "/login", "token="+testToken, "Authorization: ", "Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Site: same-origin")
	if w.Code != http.StatusSeeOther {
		t.Fatalf("sign in: %d %s", w.Code, w.Body)
	}
	value, _, _ := strings.Cut(w.Header().Get("Set-Cookie"), ";")
	return "Cookie: " + value
}

// subscribe hands the proxy's events on, as the wiring does.
func (f *fake) subscribe() (<-chan Event, func()) {
	out, done := make(chan Event), make(chan struct{})
	sub, err := f.hub.Subscribe(0)
	if err != nil {
		close(out)
		return out, func() {}
	}
	go func() {
		defer sub.Close()
		for {
			select {
			case e := <-sub.C:
				select {
				case out <- Event{Type: e.Kind, Time: e.At, Data: e.Data}:
				case <-done:
					return
				}
			case <-done:
				return
			}
		}
	}()
	return out, sync.OnceFunc(func() { close(done) })
}
