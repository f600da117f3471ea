package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"umbral/proxy/store/storetest"
)

// SESSIONS.md §9, point 14, for every way in which Redis can go, with hundreds
// of requests at once: whoever has signed in gets an answer or 503 with
// Retry-After, keeps the cookie, and goes on with it when Redis is back.
func TestSessionsWhileRedisIsGone(t *testing.T) {
	for name, way := range map[string]struct{ out, back func(*storetest.Redis) }{
		"stopped": {(*storetest.Redis).Stop, nil},
		"killed":  {(*storetest.Redis).Kill, nil},
		"paused":  {(*storetest.Redis).Pause, (*storetest.Redis).Resume},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := storetest.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
			app := startCookieApp(t)
			e := twoEdges(t, app.URL, redisURL(redis), sessionRoutes+"  offline_grace: 1s\n")
			in, sealed := e[0].browser(), e[0].browser()
			in.login("42")
			sealed.get("/form")
			form := sealed.get("/").said(t).cookie("csrftoken")
			e[0].visitor().get("/public/")
			in.get("/mine/")
			in.get("/mine/") // the record and the page are in this edge's memory
			cookie := "umbral=" + in.token()

			way.out(redis)
			unavailable := func(edge *edge, method, path string) error {
				a, err := edge.visitor().do(method, path, "", "Cookie: "+cookie, "Origin: http://"+site)
				switch {
				case err != nil:
					return err
				case len(a.setCookies()) > 0:
					return fmt.Errorf("%s %s touched the cookie: %v", method, path, a.setCookies())
				case a.StatusCode == 503 && a.Header.Get("Retry-After") != "" && !strings.Contains(strings.ToLower(a.Body), "redis"):
					return nil
				case a.StatusCode == 200 && edge == e[0]: // its record is in memory, for the grace
					var got echo
					if err := unmarshal(a, &got); err != nil {
						return err
					}
					if got.field("X-Edge-User") != "42" {
						return fmt.Errorf("%s %s: served as %v", method, path, got.Header)
					}
					return nil
				}
				return fmt.Errorf("%s %s: %d, Location %q: %s", method, path, a.StatusCode, a.Header.Get("Location"), a.Body)
			}
			paths := []string{"/", "/mine/", "/tab/", "/mine/new", "/form"}
			parallel(t, 100, func(i int) error { return unavailable(e[i%2], "GET", paths[i/2%len(paths)]) })
			// The other edge never held the record: nobody is let in or out.
			for _, method := range []string{"GET", "POST", "HEAD"} {
				if err := unavailable(e[1], method, "/private"); err != nil {
					t.Error(err)
				}
			}
			if err := unavailable(e[1], "POST", "/.umbral/logout"); err != nil {
				t.Error(err)
			}
			// What is everybody's is shown to them as to everybody, also where the
			// app would set a cookie: it knew nothing of their jar.
			for _, path := range []string{"/public/", "/public/form", "/public/cart?set=cart%3D1%3B+Path%3D/", "/public/logout"} {
				for _, method := range []string{"HEAD", "GET", "GET"} {
					a, err := e[1].visitor().do(method, path, "", "Cookie: "+cookie)
					if err != nil || a.StatusCode != 200 || len(a.setCookies()) > 0 || method == "GET" && !a.said(t).anonymous() {
						t.Errorf("%s %s: %v %d %v %s", method, path, err, a.StatusCode, a.setCookies(), a.Body)
					}
				}
			}
			// A sign-in there cannot be theirs.
			if err := unavailable(e[1], "GET", "/public/opens"); err != nil {
				t.Error(err)
			}
			// A sign-in that cannot be written is none: everything is dropped.
			a, err := e[0].visitor().do("POST", "/login?user=43", "", "Origin: http://"+site)
			if err != nil || a.StatusCode != 503 || len(a.setCookies()) > 0 || strings.Contains(a.Body, "session-secret") || a.Header.Get("Retry-After") == "" {
				t.Errorf("a sign-in without Redis: %v %d %v %s", err, a.StatusCode, a.setCookies(), a.Body)
			}
			// Everybody else goes on.
			if a := sealed.get("/"); a.StatusCode != 200 || a.said(t).cookie("csrftoken") != form {
				t.Errorf("sealed: %d %s", a.StatusCode, a.Body)
			}
			if a := sealed.get("/form"); a.StatusCode != 200 {
				t.Errorf("a form: %d", a.StatusCode)
			}
			for _, path := range []string{"/public/", "/public/new", "/unlisted"} {
				if a := e[0].visitor().get(path); a.StatusCode != 200 {
					t.Errorf("%s: %d", path, a.StatusCode)
				}
			}
			// The grace ends: then the record in memory serves no longer.
			e[0].eventually("the end of the grace", func() bool {
				a, err := e[0].with("/", cookie)
				return err == nil && a.StatusCode == 503 && len(a.setCookies()) == 0
			})
			// No answer waits longer than Redis may take, a few times over.
			began := time.Now()
			parallel(t, 100, func(i int) error { return unavailable(e[i%2], "GET", "/") })
			if took := time.Since(began); took > patience/2 {
				t.Errorf("100 requests took %v", took)
			}

			if way.back != nil {
				way.back(redis)
			} else {
				redis.Restart()
			}
			for i, edge := range e {
				edge.eventually("the same cookie works again", func() bool {
					a, err := edge.with("/", cookie)
					if err == nil && a.StatusCode == 200 && a.said(t).anonymous() {
						t.Fatalf("edge %d signed the visitor out: %v", i, a.setCookies())
					}
					return err == nil && a.StatusCode == 200 && a.said(t).field("X-Edge-User") == "42"
				})
			}
			late := e[1].browser()
			if late.login("44"); late.get("/").said(t).field("X-Edge-User") != "44" {
				t.Error("no sign-in once Redis is back")
			}
		})
	}
}

// SESSIONS.md §9, point 14: a flush is the end of the sessions, not of the
// site. The login form works at once.
func TestSessionsAfterAFlush(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := twoEdges(t, app.URL, redisURL(redis), sessionRoutes)
	c := e[0].browser()
	c.login("42")
	cookie := "umbral=" + c.token()
	for _, edge := range e {
		edge.with("/mine/", cookie)
		edge.with("/mine/", cookie)
	}
	redis.Do("FLUSHALL")
	for _, edge := range e {
		edge.eventually("everybody out", func() bool {
			a, err := edge.with("/mine/", cookie)
			return err == nil && a.StatusCode == 200 && a.said(t).anonymous()
		})
	}
	if a := c.get("/"); !a.said(t).anonymous() || len(a.setCookies()) != 1 || c.token() != "" {
		t.Errorf("%v %s", a.setCookies(), a.Body)
	}
	c.get("/form")
	if c.login("42"); c.get("/mine/").said(t).field("X-Edge-User") != "42" {
		t.Error("no sign-in after a flush")
	}
}

// SESSIONS.md §9, point 14: Redis dies between the sign-in at the app and the
// write of its record.
func TestRedisDiesDuringASignIn(t *testing.T) {
	redis := storetest.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	app := startCookieApp(t)
	e := startEdge(t, app.URL, redisURL(redis), sessionRoutes)
	c := e.browser()
	c.login("42")
	before := c.token()
	g := app.gate("dying")
	const many = 40
	done := make(chan answer, many)
	for i := range many {
		go func() {
			headers := []string{"Origin: http://" + site}
			if i%2 == 0 { // a re-login of somebody, and sign-ins of nobody yet
				headers = append(headers, "Cookie: umbral="+before)
			}
			a, err := e.visitor().do("POST", fmt.Sprintf("/login?user=42&wait=dying&i=%d", i), "", headers...)
			if err != nil {
				t.Error(err)
			}
			done <- a
		}()
	}
	for range many {
		<-g.arrived
	}
	redis.Kill()
	close(g.open)
	for range many {
		a := <-done
		if a.Response == nil {
			continue
		}
		if a.StatusCode != 503 || len(a.setCookies()) > 0 || a.Header.Get("Retry-After") == "" || strings.Contains(a.Body, "session") {
			t.Errorf("%d %v %s", a.StatusCode, a.setCookies(), a.Body)
		}
	}
	redis.Restart()
	e.eventually("the cookie of before the failed sign-in works", func() bool {
		a := c.get("/")
		return a.StatusCode == 200 && a.said(t).field("X-Edge-User") == "42"
	})
	if c.token() != before {
		t.Error("the cookie is another")
	}
}

// Who is signed in stays so when a master ends: meanwhile they may be told to
// come again, but nobody is shown a stranger's page, and after it they can sign
// out, on every edge at once.
func TestSessionsOutliveTheirMaster(t *testing.T) {
	onEveryRedis(t, func(t *testing.T, _ *cookieApp, e [2]*edge, failover func()) {
		users := []string{"ana", "ana", "luis"}
		var cookies []string
		for i, u := range users {
			c := e[i%2].browser()
			c.login(u)
			cookies = append(cookies, "umbral="+c.token())
		}
		shown := func(edge *edge, i int, path string) (user string, ok bool) {
			a, err := edge.with(path, cookies[i])
			if err != nil || a.StatusCode >= 500 {
				return "", false
			}
			return a.said(t).field("X-Edge-User"), true
		}
		own := func(when string, out ...int) {
			t.Helper()
			for i, u := range users {
				if slices.Contains(out, i) {
					u = ""
				}
				for _, edge := range e {
					for _, path := range []string{"/", "/mine/", "/tab/"} {
						within(t, when+": an answer to "+path, func() bool {
							got, ok := shown(edge, i, path)
							if ok && got != u {
								t.Fatalf("%s: %s shows %q to %q (%d)", when, path, got, u, i)
							}
							return ok
						})
					}
				}
			}
		}
		own("before")
		failover()
		own("after")
		within(t, "a sign-out", func() bool {
			a, err := e[0].visitor().do("POST", "/.umbral/logout", "", "Cookie: "+cookies[0], "Origin: http://"+site)
			return err == nil && a.StatusCode < 400
		})
		own("signed out", 0)
		within(t, "a revocation", func() bool {
			var done struct{ Complete bool }
			return e[1].admin("DELETE", "/v1/users/luis/sessions", nil, &done) == 200 && done.Complete
		})
		own("revoked", 0, 2)
	})
}

// Who is signed in has two things looked up in Redis, the session and the page,
// and waits for a Redis that says nothing no longer than anybody else.
func TestASignedInVisitorWaitsForRedisOnce(t *testing.T) {
	t.Parallel()
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	const timeout = 3 * time.Second
	e := twoEdges(t, app.URL, redisURL(redis), sessionRoutes, "REDIS_TIMEOUT="+timeout.String())
	in := e[0].browser()
	in.login("42")
	cookie := "umbral=" + in.token()
	redis.Pause()
	t.Cleanup(redis.Resume)
	began := time.Now()
	if a, err := e[1].with("/public/", cookie); err != nil || a.StatusCode != 200 {
		t.Errorf("%v %v", a, err)
	}
	if took := time.Since(began); took > timeout*5/3 {
		t.Errorf("it took %v, with a time-out of %v", took, timeout)
	}
}
