package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"umbral/proxy/store/storetest"
)

// recordOf is the key of a session's record.
func (c *client) recordOf(t testing.TB) string {
	t.Helper()
	return "certificados:edge:s:" + c.get("/").said(t).field("X-Edge-Session")
}

// left is how long Redis keeps a key.
func left(r *storetest.Redis, key string) time.Duration {
	ms, _ := r.Do("PTTL", key).(int64)
	return time.Duration(ms) * time.Millisecond
}

// untilOut asks until the session is over, and says when the last answer that
// still knew it was asked for, and the first that did not had come. The edge's
// cookie must be cleared with it.
func (c *client) untilOut(t testing.TB, path string) (lastIn, firstOut time.Time) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		asked := time.Now()
		a := c.get(path)
		if !a.said(t).anonymous() {
			lastIn = asked
			continue
		}
		if set := a.setCookies(); len(set) != 1 || !strings.Contains(set[0], "Max-Age=0") {
			t.Errorf("the cookie of a session that is over was not cleared: %v", set)
		}
		return lastIn, time.Now()
	}
	t.Fatal("the session never ends")
	return
}

// SESSIONS.md §9, point 8: whichever limit comes first ends the session, not
// before its time, and at its time.
func TestSessionsEndToTheSecond(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	for _, tt := range []struct {
		name, lifetime, query string
		life                  time.Duration
	}{
		{"the app's Max-Age", "{}", "age=2", 2 * time.Second},
		{"the absolute lifetime", "{absolute: 2s}", "age=1000", 2 * time.Second},
		{"the absolute lifetime, mode fixed", "{absolute: 2s, mode: fixed}", "age=1", 2 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			prefix := strings.ReplaceAll(strings.ReplaceAll(tt.name, " ", ""), "'", "")
			e := startEdge(t, app.URL, redisURL(redis), sessionRoutes+"  lifetime: "+tt.lifetime+"\n", "CACHE_KEY_PREFIX="+prefix)
			c := e.browser()
			before := time.Now()
			c.post("/login?user=1&"+tt.query, nil)
			after := time.Now()
			if c.get("/").said(t).anonymous() {
				t.Fatal("never signed in")
			}
			// PERSIST, or a far expiry, on the key changes nothing.
			for _, key := range sessionKeys(t, redis) {
				if strings.HasPrefix(key, prefix+":") {
					redis.Do("PERSIST", key)
				}
			}
			lastIn, firstOut := c.untilOut(t, "/")
			if firstOut.Before(before.Add(tt.life)) {
				t.Errorf("ended after %v, its life is %v", firstOut.Sub(before), tt.life)
			}
			if lastIn.After(after.Add(tt.life)) {
				t.Errorf("still in %v after its end", lastIn.Sub(after.Add(tt.life)))
			}
			if c.login("2"); c.get("/").said(t).field("X-Edge-User") != "2" {
				t.Error("no sign-in afterwards")
			}
		})
	}
}

// SESSIONS.md §9, point 8; §8: a hit counts as use, behind the request and at
// most once in a tenth of the idle time.
func TestIdleTimeAndTouches(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := startEdge(t, app.URL, redisURL(redis), sessionRoutes+"  lifetime: {idle: 100s}\n")
	c := e.browser()
	c.login("1")
	key := c.recordOf(t)
	for _, path := range []string{"/mine/", "/public/"} {
		c.get(path)
		if a := c.get(path); !a.Hit() {
			t.Fatalf("%s: %s", path, a.Umbral())
		}
	}
	e.eventually("the end of the probation", func() bool { return left(redis, key) > 90*time.Second })
	if d := left(redis, key); d > 100*time.Second {
		t.Errorf("a new record lives %v", d)
	}
	c.get("/mine/") // the record is read anew after the touch
	watch := watchRedis(t, redis)
	for range 200 {
		c.get("/mine/")
	}
	if asked := watch.sessions(); len(asked) > 0 {
		t.Errorf("200 hits right after the sign-in cost %v", asked)
	}

	// A fifth of the idle time has gone by, as far as Redis knows: one touch.
	for _, path := range []string{"/mine/", "/"} {
		redis.Do("PEXPIRE", key, 80_000)
		watch.sessions()
		hits := 0
		e.eventually("a touch by "+path, func() bool {
			hits++
			c.get(path)
			return left(redis, key) > 90*time.Second
		})
		for range 100 {
			c.get(path)
		}
		touches := 0
		for _, line := range watch.sessions() {
			if strings.Contains(line, `"eval`) && strings.Contains(line, key) {
				touches++
			}
		}
		if touches != 1 {
			t.Errorf("%s: %d touches", path, touches)
		}
	}

	// Idle too long: out, although the app's own cookie would go on.
	redis.Do("PEXPIRE", key, 1)
	c.untilOut(t, "/")

	// Without an idle time no use is ever written.
	plain := startEdge(t, app.URL, redisURL(redis), sessionRoutes, "CACHE_KEY_PREFIX=plain")
	d := plain.browser()
	d.login("1")
	key = strings.Replace(d.recordOf(t), "certificados", "plain", 1)
	plain.eventually("the end of the probation", func() bool { return left(redis, key) > 2*time.Minute })
	d.get("/mine/")
	watch.sessions()
	for range 100 {
		d.get("/mine/")
		d.get("/")
	}
	if asked := watch.sessions(); len(asked) > 0 {
		t.Errorf("without an idle time: %v", asked)
	}
}

// SESSIONS.md §4, Lifetime: hits do not reach a sliding app, so one request is
// let through once a quarter of the cookie's life is left.
func TestASlidingAppIsAskedInTheLastQuarter(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := startEdge(t, app.URL, redisURL(redis), sessionRoutes)
	c := e.browser()
	start := time.Now()
	c.post("/login?user=1&age=4", nil)
	c.get("/mine/")
	asked := app.Asked.Load()
	var through time.Time
	e.eventually("a request let through", func() bool {
		if a := c.get("/mine/", "Cache-Control: only-if-cached"); !a.Hit() {
			t.Errorf("only-if-cached was let through as %s", a.Umbral())
		}
		at := time.Now()
		if a := c.get("/mine/"); !a.Hit() {
			through = at
			if !strings.Contains(a.Umbral(), "session-renewal") {
				t.Errorf("let through as %s", a.Umbral())
			}
		}
		return !through.IsZero()
	})
	if through.Before(start.Add(3 * time.Second)) {
		t.Errorf("let through %v after the sign-in, of 4 s", through.Sub(start))
	}
	for range 10 { // once, and not each time
		c.get("/mine/")
	}
	if n := app.Asked.Load() - asked; n != 1 {
		t.Errorf("the app was asked %d times", n)
	}
	// An answer that moves the expiry lengthens the session, and rotates
	// nothing.
	value := c.get("/").said(t).cookie("sessionid")
	before := c.token()
	if a := c.get("/?set=sessionid%3D" + value + "%3B+Max-Age%3D500%3B+Path%3D/"); len(a.setCookies()) > 0 || c.token() != before {
		t.Errorf("a new expiry set %v", a.setCookies())
	}
	if d := left(redis, c.recordOf(t)); d < 400*time.Second {
		t.Errorf("the record lives %v more", d)
	}
}

// What a personal route learns from a background refresh stays with its
// visitor, and changes no cookie.
func TestBackgroundRefreshOfAPersonalPage(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := startEdge(t, app.URL, redisURL(redis), strings.Replace(sessionRoutes, "sessions:",
		"  - {match: /swr/, ttl: 1s, vary: user, stale_while_revalidate: 1h}\nsessions:", 1))
	ana, luis := e.browser(), e.browser()
	ana.login("ana")
	luis.login("luis")
	for name, c := range map[string]*client{"ana": ana, "luis": luis} {
		first := c.get("/swr/").said(t).N
		e.eventually("a page refreshed behind the visitor", func() bool {
			a := c.get("/swr/")
			got := a.said(t)
			if got.field("X-Edge-User") != name || !a.Hit() {
				t.Fatalf("%s: %s %s", name, a.Umbral(), a.Body)
			}
			return got.N != first
		})
	}
	// An answer that would change the jar is no use behind the visitor's back:
	// no cookie could follow. It is left, and the jar with it.
	ana.get("/swr/sets")
	var first sync.Once // of the answers, which is the background's
	app.set(func(w http.ResponseWriter, r *http.Request) {
		first.Do(func() { w.Header().Set("Set-Cookie", "theme=background; Path=/") })
		app.serve(w, r)
	})
	asked := app.Asked.Load()
	e.eventually("a refresh", func() bool { ana.get("/swr/sets"); return app.Asked.Load() > asked })
	app.set(app.serve)
	if got := ana.get("/").said(t); got.cookie("theme") != "" {
		t.Errorf("a background answer changed the jar: %v", got.Cookie)
	}
}

// SESSIONS.md §4 and §7: how long a record of nobody lives, until its cookie
// has come back and after that.
func TestProbation(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := startEdge(t, app.URL, redisURL(redis), sessionRoutes+"  lifetime: {probation: 20s, anonymous: 200s}\n")
	for _, way := range []string{"/opens", "/login"} {
		c := e.browser()
		known := sessionKeys(t, redis)
		method := map[string]string{"/opens": "GET", "/login": "POST"}[way]
		if _, err := c.do(method, way, "", "Origin: http://"+site); err != nil {
			t.Fatal(err)
		}
		var key string
		for _, k := range sessionKeys(t, redis) {
			if !strings.Contains(fmt.Sprint(known), k) {
				key = k
			}
		}
		if d := left(redis, key); d > 20*time.Second || d <= 0 {
			t.Errorf("%s: on probation for %v", way, d)
		}
		c.get("/")
		e.eventually(way+": a longer life", func() bool { return left(redis, key) > 100*time.Second })
		if d := left(redis, key); way == "/opens" && d > 200*time.Second {
			t.Errorf("%s: a record of nobody lives %v", way, d)
		}
	}
}
