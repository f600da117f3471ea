package sessions

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestLifetime(t *testing.T) {
	s := startRedis(t)
	ctx := context.Background()
	gone := func(t *testing.T, b *browser) {
		t.Helper()
		a := b.send("GET", "/")
		if !a.anonymous() {
			t.Errorf("still in: %s", a.body)
		}
		if len(a.set) != 1 || a.set[0].MaxAge >= 0 {
			t.Errorf("the cookie of a session that is over was not cleared: %v", a.set)
		}
	}
	in := func(t *testing.T, b *browser) {
		t.Helper()
		if a := b.send("GET", "/"); a.anonymous() || len(a.set) != 0 {
			t.Errorf("out: %s %v", a.body, a.set)
		}
	}

	t.Run("the app's Max-Age to the second", func(t *testing.T) {
		e := newEdge(t, s, &app{}, nil)
		b := e.browser(t)
		b.do("GET", "/form")
		b.do("POST", "/login?age=600")
		e.clock.advance(599 * time.Second)
		in(t, b)
		e.clock.advance(time.Second)
		gone(t, b)
	})
	t.Run("the absolute lifetime to the second, whatever the app says", func(t *testing.T) {
		e := newEdge(t, s, &app{}, func(o *Options) { o.Lifetime.Absolute = time.Hour })
		b := signedIn(t, e, "1")
		e.clock.advance(time.Hour - time.Second)
		in(t, b)
		b.do("GET", "/?set=sessionid=sess2%3B+Max-Age%3D99999%3B+Path%3D/") // another expiry, the same session
		e.clock.advance(time.Second)
		if a := b.send("GET", "/"); !a.anonymous() {
			t.Errorf("over the absolute lifetime: %s", a.body)
		}
	})
	t.Run("PERSIST does not outlive the signed age", func(t *testing.T) {
		e := newEdge(t, s, &app{}, nil)
		b := signedIn(t, e, "1")
		if !s.client.Persist(ctx, "test:edge:s:"+b.id()).Val() {
			t.Fatal("no such key")
		}
		in(t, b)
		e.clock.advance(24 * time.Hour)
		if a := b.send("GET", "/"); !a.anonymous() {
			t.Error(a.body)
		}
	})
	t.Run("a sliding app lengthens the session", func(t *testing.T) {
		e := newEdge(t, s, &app{}, nil)
		b := e.browser(t)
		b.do("GET", "/form")
		b.do("POST", "/login?age=600")
		e.clock.advance(500 * time.Second)
		id := strings.Split(strings.Split(b.do("GET", "/").value("cookie"), "sessionid=")[1], ";")[0]
		if a := b.do("GET", "/?set=sessionid="+id+"%3B+Max-Age%3D600%3B+Path%3D/"); len(a.set) != 0 {
			t.Errorf("another expiry gave another cookie: %v", a.set)
		}
		e.clock.advance(500 * time.Second)
		in(t, b)
		e.clock.advance(100 * time.Second)
		gone(t, b)
	})
	t.Run("idle: touches at most once in a tenth", func(t *testing.T) {
		e := newEdge(t, s, &app{}, func(o *Options) { o.Lifetime.Idle = 100 * time.Second })
		b := signedIn(t, e, "1")
		key := "test:edge:s:" + b.id()
		if ttl := s.client.PTTL(ctx, key).Val(); ttl > 100*time.Second || ttl < 98*time.Second {
			t.Errorf("ttl %v", ttl)
		}
		touched := func() bool {
			e.term.touches.mu.Lock()
			n := len(e.term.touches.m)
			e.term.touches.mu.Unlock()
			if err := e.term.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			return n > 0
		}
		touched()
		e.clock.advance(5 * time.Second)
		in(t, b)
		if touched() {
			t.Error("touched after a twentieth")
		}
		s.client.PExpire(ctx, key, 80*time.Second)
		in(t, b)
		if !touched() {
			t.Error("not touched after a fifth")
		}
		if ttl := s.client.PTTL(ctx, key).Val(); ttl < 98*time.Second {
			t.Errorf("ttl %v after a touch", ttl)
		}
		s.client.PExpire(ctx, key, time.Millisecond)
		eventually(t, 30*time.Second, "idle time-out", func() bool { return b.send("GET", "/").anonymous() })
		gone(t, b)
	})
	t.Run("a cached record idles out by the edge's clock", func(t *testing.T) {
		e := newEdge(t, s, &app{}, func(o *Options) { o.Lifetime.Idle = 100 * time.Second }).started(t)
		b := signedIn(t, e, "1")
		eventually(t, 30*time.Second, "cached", func() bool { in(t, b); return e.term.Stats().Cached > 0 })
		e.clock.advance(101 * time.Second)
		gone(t, b)
	})
	t.Run("a gone record lets the login form work at once", func(t *testing.T) {
		e := newEdge(t, s, &app{}, nil)
		b := signedIn(t, e, "1")
		s.client.FlushAll(ctx)
		gone(t, b)
		b.do("GET", "/form")
		b.do("POST", "/login")
		in(t, b)
	})
	t.Run("a browser-session cookie where the app's is one", func(t *testing.T) {
		e := newEdge(t, s, &app{}, nil)
		b := e.browser(t)
		if a := b.do("POST", "/?set=sessionid=x"); len(a.set) != 1 || a.set[0].MaxAge != 0 {
			t.Errorf("%v", a.set)
		}
		if a := b.do("POST", "/?set=sessionid=y%3B+Max-Age%3D999999999"); len(a.set) != 1 || a.set[0].MaxAge != 86400 {
			t.Errorf("%v", a.set)
		}
	})
}

func TestAnonymousRecords(t *testing.T) {
	s := startRedis(t)
	ctx := context.Background()
	t.Run("are on probation until the cookie comes back", func(t *testing.T) {
		e := newEdge(t, s, &app{}, nil)
		b := e.browser(t)
		b.do("GET", "/?set=sessionid=open1")
		key := "test:edge:s:" + b.id()
		if ttl := s.client.PTTL(ctx, key).Val(); ttl > time.Minute || ttl <= 0 {
			t.Errorf("ttl %v", ttl)
		}
		b.do("GET", "/")
		if err := e.term.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		if ttl := s.client.PTTL(ctx, key).Val(); ttl < 29*time.Minute || ttl > 30*time.Minute {
			t.Errorf("ttl %v once it has come back", ttl)
		}
	})
	t.Run("are limited by address and in number", func(t *testing.T) {
		e := newEdge(t, s, &app{}, func(o *Options) { o.Limits.NewPerIP = Rate{10, time.Minute} })
		signed := signedIn(t, e, "1")
		made := 0
		for range 200 {
			a := e.browser(t).do("GET", "/?set=sessionid=open")
			if a.StatusCode != 200 {
				t.Fatal(a.StatusCode)
			}
			made += len(a.set)
		}
		if made != 10 {
			t.Errorf("%d records of one address", made)
		}
		if signed.do("GET", "/").anonymous() {
			t.Error("a signed-in session went")
		}
		f := newEdge(t, s, &app{}, func(o *Options) {
			o.Prefix, o.Limits.MaxAnonymous, o.Limits.NewPerIP.N = "other", 5, -1
		})
		for range 20 {
			f.browser(t).do("GET", "/?set=sessionid=open")
		}
		if n := len(s.client.Keys(ctx, "other:edge:s:*").Val()); n != 5 {
			t.Errorf("%d anonymous records of at most 5", n)
		}
		if b := f.browser(t); len(b.do("POST", "/login").set) != 1 {
			t.Error("a sign-in was counted among them")
		}
	})
	t.Run("cost nothing where nothing is set", func(t *testing.T) {
		e := newEdge(t, s, &app{}, nil)
		before := s.commands()
		for range 1000 {
			b := e.browser(t)
			b.do("GET", "/")
			b.do("GET", "/form")
			b.do("GET", "/logout")
		}
		if n := s.commands() - before; n != 0 {
			t.Errorf("%d commands", n)
		}
	})
	t.Run("thirty cookies of 1 KB never make a big cookie", func(t *testing.T) {
		e := newEdge(t, s, &app{}, nil)
		b := e.browser(t)
		var q strings.Builder
		for i := range 30 {
			q.WriteString("&set=big" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + "=" + strings.Repeat("x", 1024))
		}
		b.do("GET", "/?"+q.String()[1:])
		if n := len(b.cookies["umbral"]); n != 112 {
			t.Errorf("%d bytes of cookie", n)
		}
		if n := len(b.do("GET", "/").value("cookie")); n > 8000 || n < 6500 {
			t.Errorf("%d bytes of Cookie sent up", n)
		}
	})
}

func TestNeedsApp(t *testing.T) {
	s := startRedis(t)
	e := newEdge(t, s, &app{}, nil).started(t)
	b := e.browser(t)
	b.do("GET", "/form")
	b.do("POST", "/login?age=1000")
	visit := func() bool {
		v := visitor(t, e.term, "umbral="+b.cookies["umbral"])
		return v.NeedsApp(e.clock.now())
	}
	e.clock.advance(740 * time.Second)
	if visit() {
		t.Error("with more than a quarter left")
	}
	e.clock.advance(20 * time.Second)
	eventually(t, 30*time.Second, "cached", func() bool { visitor(t, e.term, "umbral="+b.cookies["umbral"]); return e.term.Stats().Cached > 0 })
	first, second := visit(), visit()
	if !first || second {
		t.Errorf("%v %v: one request is let through", first, second)
	}
	e.clock.advance(50 * time.Second)
	if !visit() {
		t.Error("never again")
	}
}

// Who is taken over on the day of the roll-out is not signed out by it, however
// late they come back (SESSIONS.md §7); and what no app has looked at makes no
// more records than anybody's (§8).
func TestAnAdoptedSessionStays(t *testing.T) {
	s := startRedis(t)
	e := newEdge(t, s, &app{}, func(o *Options) {
		o.Cookies.AdoptOnce, o.Limits.NewPerIP = true, Rate{3, time.Minute}
	})
	adopt := func(name string) (*browser, *answer) {
		b := e.browser(t)
		b.cookies["sessionid"] = name
		return b, b.do("GET", "/")
	}
	b, _ := adopt("before")
	if b.cookies["umbral"] == "" || b.cookies["sessionid"] != "" {
		t.Fatalf("not adopted: %v", b.cookies)
	}
	e.clock.advance(10 * time.Minute)
	if a := b.do("GET", "/"); !strings.Contains(a.value("cookie"), "sessionid=before") {
		t.Errorf("ten minutes later: %s", a.body)
	}
	for i := range 5 {
		b, a := adopt(fmt.Sprint("garbage", i))
		if made := b.cookies["umbral"] != ""; made != (i < 3) || a.StatusCode != 200 || !strings.Contains(a.value("cookie"), "sessionid=garbage") {
			t.Errorf("%d: a record %v, %d %s", i, made, a.StatusCode, a.body)
		}
	}
}
