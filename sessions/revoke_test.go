package sessions

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestRevoke(t *testing.T) {
	s := startRedis(t)
	header := func(o *Options) { o.Identity.Source = SourceHeader }
	e := newEdge(t, s, &app{}, header).started(t)
	f := newEdge(t, s, &app{}, header).started(t)
	ctx := context.Background()
	out := func(b *browser, what string) {
		b.t.Helper()
		eventually(b.t, 30*time.Second, what, func() bool {
			a := b.send("GET", "/")
			return a.value("auth") == "anonymous" && !strings.Contains(a.value("cookie"), "sessionid")
		})
	}

	t.Run("a user with three sessions over two edges", func(t *testing.T) {
		bs := []*browser{signedIn(t, e, "u"), signedIn(t, f, "u"), signedIn(t, e, "u")}
		other := signedIn(t, f, "v")
		list, err := e.term.List(ctx, Selector{User: "u"})
		if err != nil || len(list) != 3 || list[0].User != "u" || list[0].SignedIn.IsZero() || list[0].Expires.IsZero() {
			t.Fatalf("%v %v", list, err)
		}
		keys, err := f.term.UserKeys(ctx, "u")
		if err != nil || len(keys) != 1 {
			t.Fatalf("%v %v", keys, err)
		}
		n, end, err := e.term.Revoke(ctx, Selector{User: "u"})
		if err != nil || n != 3 {
			t.Fatalf("%d %v", n, err)
		}
		if len(end.Sessions) != 3 || !slices.Equal(end.Users, f.term.UserDigests("u")) {
			t.Errorf("%v, want the three sessions and %v", end, f.term.UserDigests("u"))
		}
		for _, b := range bs {
			out(b, "every session out")
			b.edge = map[*edge]*edge{e: f, f: e}[b.edge]
			out(b, "on the other edge too")
		}
		if other.send("GET", "/").anonymous() {
			t.Error("somebody else is out")
		}
		again := signedIn(t, f, "u")
		if fresh, _ := f.term.UserKeys(ctx, "u"); len(fresh) != 1 || fresh[0] == keys[0] {
			t.Errorf("the user's generation is the old one: %v", fresh)
		}
		if again.send("GET", "/").value("user") != "u" {
			t.Error("a sign-in after the mark fails")
		}
	})

	t.Run("a sign-in racing with it leaves nothing older than the mark", func(t *testing.T) {
		for range 5 {
			bs := make([]*browser, 20)
			var all sync.WaitGroup
			for i := range bs {
				bs[i] = []*edge{e, f}[i%2].browser(t)
				all.Add(1)
				go func() {
					defer all.Done()
					bs[i].do("GET", "/form")
					bs[i].do("POST", "/login?user=racer")
				}()
			}
			if _, _, err := e.term.Revoke(ctx, Selector{User: "racer"}); err != nil {
				t.Fatal(err)
			}
			mark := time.Now()
			all.Wait()
			list, err := e.term.List(ctx, Selector{User: "racer"})
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range list {
				if i.SignedIn.Before(mark.Add(-50*time.Millisecond)) && i.SignedIn.UnixMilli() <= e.term.marks.Load().users[e.term.first().userKey("", "racer")] {
					t.Errorf("%v is older than the mark", i)
				}
			}
			live := 0
			for _, b := range bs {
				if !b.send("GET", "/").anonymous() && b.send("GET", "/").value("user") == "racer" {
					live++
				}
			}
			if live != len(list) {
				t.Errorf("%d sessions live, %d listed", live, len(list))
			}
		}
	})

	t.Run("one session by its id", func(t *testing.T) {
		a, b := signedIn(t, e, "w"), signedIn(t, e, "w")
		id := a.send("GET", "/").value("session")
		if n, _, err := f.term.Revoke(ctx, Selector{Session: id}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		out(a, "the session")
		if b.send("GET", "/").anonymous() {
			t.Error("the other one is out")
		}
		if n, _, err := f.term.Revoke(ctx, Selector{Session: "no such id"}); n != 0 || err != nil {
			t.Error(n, err)
		}
	})

	t.Run("the app signs the others out", func(t *testing.T) {
		a, b := signedIn(t, e, "x"), signedIn(t, f, "x")
		b.do("POST", "/control/?h=X-Edge-Session-Logout:others")
		out(a, "the other session")
		if b.send("GET", "/").anonymous() {
			t.Error("the current one is out")
		}
		c := signedIn(t, f, "x")
		b.do("POST", "/control/?h=X-Edge-Session-Logout:all")
		out(b, "the current session")
		out(c, "all sessions")
	})

	t.Run("everybody", func(t *testing.T) {
		a, b := signedIn(t, e, "y"), signedIn(t, f, "z")
		if _, end, err := e.term.Revoke(ctx, Selector{All: true}); err != nil || !end.All {
			t.Fatal(end, err)
		}
		out(a, "here")
		out(b, "on the other edge")
		// A sign-in within the mark's own millisecond is older than the mark.
		eventually(t, 30*time.Second, "the next millisecond", func() bool { return time.Now().UnixMilli() > e.term.marks.Load().all })
		signedIn(t, e, "y")
	})

	t.Run("streams are cut", func(t *testing.T) {
		b := signedIn(t, f, "streamer")
		req, _ := http.NewRequest("GET", "/", nil)
		req.Header.Set("Cookie", "umbral="+b.cookies["umbral"])
		v := f.term.Visit(t.Context(), req)
		if err := v.Resolve(ctx); err != nil {
			t.Fatal(err)
		}
		done := v.Done()
		select {
		case <-done:
			t.Fatal("cut before its time")
		default:
		}
		if _, _, err := e.term.Revoke(ctx, Selector{User: "streamer"}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			t.Error("still open after 5 s")
		}
	})

	if _, _, err := e.term.Revoke(ctx, Selector{}); !errors.Is(err, errSelector) {
		t.Error(err)
	}
}

func TestLogoutPath(t *testing.T) {
	s := startRedis(t)
	e := newEdge(t, s, &app{}, nil)
	b := signedIn(t, e, "1")
	for _, c := range []struct {
		method string
		fields []string
		status int
	}{
		{"GET", nil, 405},
		{"HEAD", []string{"Sec-Fetch-Site: same-origin"}, 405},
		{"POST", nil, 403},
		{"POST", []string{"Sec-Fetch-Site: cross-site"}, 403},
		{"POST", []string{"Sec-Fetch-Site: none"}, 403},
		{"POST", []string{"Sec-Fetch-Site: same-site", "Origin: http://app.test"}, 403},
		{"POST", []string{"Origin: http://evil.test"}, 403},
		{"POST", []string{"Origin: null"}, 403},
		{"POST", []string{"Origin: http://app.test.evil.test"}, 403},
		{"POST", []string{"Origin: http://app.test", "Origin: http://evil.test"}, 403},
		{"POST", []string{"Sec-Fetch-Site: same-origin", "Origin: http://evil.test"}, 403},
	} {
		if a := b.do(c.method, LogoutPath, c.fields...); a.StatusCode != c.status || len(a.set) != 0 {
			t.Errorf("%s %v: %d %v", c.method, c.fields, a.StatusCode, a.set)
		}
	}
	if a := b.do("GET", "/"); !strings.Contains(a.value("cookie"), "sessionid") {
		t.Fatal("signed out by a refused request")
	}
	a := b.do("POST", LogoutPath, "Origin: http://app.test", "Accept: text/html")
	if a.StatusCode != 303 || a.Header.Get("Clear-Site-Data") != `"cache"` || len(a.set) != 1 {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
	if a := b.do("GET", "/"); strings.Contains(a.value("cookie"), "sessionid") {
		t.Errorf("still in: %s", a.body)
	}
	if a := e.browser(t).do("POST", LogoutPath, "Sec-Fetch-Site: same-origin"); a.StatusCode != 204 || len(a.set) != 0 {
		t.Errorf("nobody's sign-out: %d %v", a.StatusCode, a.set)
	}
}
