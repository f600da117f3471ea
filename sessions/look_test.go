package sessions

import (
	"context"
	"maps"
	"net/http"
	"testing"
	"time"

	"umbral/cachepolicy"
)

// dump is what the server holds, without the times to live.
func (s *server) dump() map[string]string {
	s.t.Helper()
	all := map[string]string{}
	for _, key := range s.client.Keys(context.Background(), "*").Val() {
		all[key] = s.client.Dump(context.Background(), key).Val()
	}
	return all
}

// To look who a cookie would be finds the visitor whom a request would find,
// and leaves everything as it is, also what a request would mend.
func TestLookLeavesNoTrace(t *testing.T) {
	s := startRedis(t)
	e := newEdge(t, s, &app{}, func(o *Options) { o.Identity.Source = SourceHeader })
	b := e.browser(t)
	b.do("POST", "/login?user=42&age=3600")
	with := func(cookie string) *http.Request {
		r, err := http.NewRequest(http.MethodGet, "http://app.test/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Cookie", "umbral="+cookie)
		return r
	}
	cookie := b.cookies["umbral"]
	visit := e.term.Visit(t.Context(), with(cookie))
	if err := visit.Resolve(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := visit.Identity()
	// An older secret made the cookie, and the app's own has nearly run out.
	if err := e.term.Reload([][]byte{[]byte("fedcba9876543210fedcba9876543210"), testSecret}); err != nil {
		t.Fatal(err)
	}
	e.clock.advance(50 * time.Minute)

	before, counted := s.dump(), e.term.Stats().Counts
	for range 2 {
		v := e.term.Look(t.Context(), with(cookie))
		if err := v.Resolve(t.Context()); err != nil {
			t.Fatal(err)
		}
		if v.Identity() != want || v.User() != "42" || !v.NeedsApp(e.clock.now()) {
			t.Errorf("got %+v, user %q, want %+v", v.Identity(), v.User(), want)
		}
		h := http.Header{}
		if v.Finish(h); len(h) > 0 {
			t.Errorf("the browser would be told %v", h)
		}
	}
	if v := e.term.Look(t.Context(), with(cookie[1:])); v.Identity() != (cachepolicy.Identity{}) {
		t.Errorf("a bad cookie is %+v", v.Identity())
	}
	if after := s.dump(); !maps.Equal(before, after) {
		t.Errorf("Redis holds other things: %d keys before, %d after", len(before), len(after))
	}
	if now := e.term.Stats().Counts; !maps.Equal(counted, now) {
		t.Errorf("counted: %v before, %v after", counted, now)
	}
}
