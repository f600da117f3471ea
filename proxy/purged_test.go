package proxy

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"umbral/proxy/store"
)

// gated is a bed whose app numbers its answers to pages, and holds each back
// until it is let through.
type gated struct {
	*bed
	cookie  string
	session string // its digest
	arrived chan http.Header
	let     chan struct{}
}

func newGated(t *testing.T) *gated {
	g := &gated{arrived: make(chan http.Header, 100), let: make(chan struct{})}
	g.bed = newBed(t, 64<<20, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/login") {
			pages(w, r)
			return
		}
		n := g.asked.Load()
		g.arrived <- r.Header
		<-g.let
		w.Header().Set("Etag", `"same"`)
		if r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		fmt.Fprintf(w, "%d", n)
	}, expressRules...)
	login, _ := g.dial(t).ask(plain("/off/login?anna"))
	g.cookie = "Cookie: " + regexp.MustCompile(`Set-Cookie: (umbral=[^;]+)`).FindStringSubmatch(login)[1]
	g.asked.Store(0)
	return g
}

// crowd has one visitor lead a fetch of path and n others wait for it, has the
// purge done, then lets every request to the app through. It returns what the
// others got.
func (g *gated) crowd(t *testing.T, path string, n int, purge store.Selector) (bodies []string) {
	t.Helper()
	got := make(chan string, n+1)
	var all sync.WaitGroup
	visit := func() {
		c := g.dial(t)
		all.Go(func() {
			_, body := c.ask(plain(path, g.cookie))
			got <- body
		})
	}
	visit()
	g.session = (<-g.arrived).Get("X-Edge-Session")
	for range n {
		visit()
	}
	// Those who wait for a flight have been counted before they join it, and so
	// a bit too early: whoever comes too late leads the next.
	g.eventually(t, func() bool { return g.access.metrics.inFlight.Load() == int64(n+1) })
	if purge.Session == "it" {
		purge.Session = g.session
	}
	if _, err := g.store.Log().Append(context.Background(), []store.Selector{purge}, 0); err != nil {
		t.Fatal(err)
	}
	close(g.let)
	all.Wait()
	close(got)
	for body := range got {
		bodies = append(bodies, body)
	}
	return bodies
}

func (b *bed) eventually(t *testing.T, is func() bool) {
	t.Helper()
	late := time.After(20 * time.Second)
	for !is() {
		select {
		case <-late:
			t.Fatal("it does not come to be")
		case <-time.After(time.Millisecond):
		}
	}
}

// TestAPurgeCostsThoseWhoWaitOneFetch: what the first of them fetches after the
// purge is as good for the others, although they all came before it.
func TestAPurgeCostsThoseWhoWaitOneFetch(t *testing.T) {
	for _, tt := range []struct {
		path  string
		purge store.Selector
	}{
		{"/public/a", store.Selector{URL: "site.test/public/a"}},
		{"/public/a", store.Selector{Tag: "t"}},
		{"/public/a", store.Selector{All: true}},
		{"/mine/a", store.Selector{URL: "site.test/mine/a"}},
	} {
		t.Run(fmt.Sprint(tt.path, tt.purge), func(t *testing.T) {
			g := newGated(t)
			bodies := g.crowd(t, tt.path, 20, tt.purge)
			if n := g.asked.Load(); n != 2 {
				t.Errorf("%d requests to the app: %v", n, bodies)
			}
			if _, body := g.dial(t).ask(plain(tt.path, g.cookie)); body != "2" {
				t.Errorf("afterwards: %s", body)
			}
		})
	}
}

// TestAPurgedSessionStoresNothing: whoever came with a session that has been
// purged while they waited is answered, with the jar of that session, and
// nothing of that is kept.
func TestAPurgedSessionStoresNothing(t *testing.T) {
	g := newGated(t)
	g.crowd(t, "/mine/a", 3, store.Selector{Session: "it"})
	before := g.asked.Load()
	if _, body := g.dial(t).ask(plain("/mine/a", g.cookie)); g.asked.Load() != before+1 {
		t.Errorf("the page %s of a session that was purged is served", body)
	}
}

// TestAPurgedPageIsNotValidated: a page that is purged between a visitor's look
// at it and the fetch for it does not come back by a 304.
func TestAPurgedPageIsNotValidated(t *testing.T) {
	g := newGated(t)
	close(g.let)
	visit := func(path string) string {
		_, body := g.dial(t).ask(plain(path))
		return body
	}
	visit("/public/a")
	x := &Exchange{R: g.request(t, "/public/a"), pos: g.log.Position()}
	if g.front.Admit(x) != nil {
		t.Fatal("refused")
	}
	x.Route = g.Rules().Match("GET", x.Ask.Host, x.Ask.Path)
	x.Visitor = g.sessions.Visit(t.Context(), x.R)
	key := x.Route.Key(&x.Ask)
	f := g.find(t.Context(), x.Route, &x.Ask, key, far)
	if f.entry == nil {
		t.Fatal(f.reason)
	}
	if _, err := g.store.Log().Append(t.Context(), []store.Selector{{Tag: "t"}}, 0); err != nil {
		t.Fatal(err)
	}
	g.refresh(x, f, g.judge(x, f, g.now()))
	g.eventually(t, func() bool { return g.asked.Load() == 2 })
	g.eventually(t, func() bool { return g.store.Recall(key) != nil })
	if body := visit("/public/a"); body != "2" {
		t.Errorf("afterwards: %s", body)
	}
}

// request is a GET as net/http's server gives it.
func (b *bed) request(t *testing.T, path string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host, r.RequestURI, r.RemoteAddr = "site.test", path, "192.0.2.1:4000"
	return r
}
