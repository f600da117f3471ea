package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"umbral/proxy/store/storetest"
)

// SESSIONS.md §9, point 11.
func TestAnonymousVisitsCostRedisNothing(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := startEdge(t, app.URL, redisURL(redis), sessionRoutes)
	e.visitor().get("/public/")
	watch := watchRedis(t, redis)
	paths := []string{"/public/", "/form", "/logout", "/.umbral/logout", "/public/form"}
	parallel(t, 10, func(i int) error {
		v := e.visitor()
		for n := range 1000 {
			path := paths[n%len(paths)]
			method := "GET"
			if path == "/.umbral/logout" {
				method = "POST"
			}
			a, err := v.do(method, path, "", "Origin: http://"+site)
			if err != nil || a.StatusCode >= 400 {
				return fmt.Errorf("%s: %w %d", path, err, a.StatusCode)
			}
		}
		return nil
	})
	// A sealed cookie that comes back is no session either.
	c := e.browser()
	for range 20 {
		c.get("/form")
		c.get("/")
	}
	for _, line := range watch.sessions() {
		// That nobody has signed in meanwhile is looked up before a sealed
		// cookie is set again: one read, of a key that is not there.
		if !strings.Contains(line, `"get"`) {
			t.Errorf("Redis was asked: %s", line)
		}
	}
	if keys := sessionKeys(t, redis); len(keys) > 0 {
		t.Errorf("%d session keys", len(keys))
	}
}

// SESSIONS.md §9, point 11; §8: new_per_ip, max_anonymous.
func TestAViewThatOpensSessionsIsKeptWithinItsCap(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	for name, tt := range map[string]struct {
		limits string
		most   int
	}{
		"by address": {"{new_per_ip: 25/h}", 25},
		"in all":     {"{new_per_ip: 0, max_anonymous: 40}", 40},
	} {
		prefix := strings.ReplaceAll(name, " ", "")
		e := startEdge(t, app.URL, redisURL(redis), sessionRoutes+"  limits: "+tt.limits+"\n", "CACHE_KEY_PREFIX="+prefix)
		in := e.browser()
		in.login("42")
		sealed := e.browser()
		sealed.get("/form")
		forms := "Cookie: umbral=" + sealed.token()
		parallel(t, 10, func(i int) error {
			v := e.visitor()
			for n := range 100 {
				var headers []string
				if n%2 == 1 { // a sealed cookie, which costs nothing, is no way round
					headers = []string{forms}
				}
				if a, err := v.do("GET", "/opens", "", headers...); err != nil || a.StatusCode != 200 {
					return fmt.Errorf("%w %d", err, a.StatusCode)
				}
			}
			return nil
		})
		records := 0
		for _, key := range sessionKeys(t, redis) {
			if !strings.HasPrefix(key, prefix+":") || redis.Do("TYPE", key) != "hash" {
				continue
			}
			records++
			if d := left(redis, key); d > 30*time.Minute && key != prefix+strings.TrimPrefix(in.recordOf(t), "certificados") {
				t.Errorf("%s: a record of nobody lives %v", name, d)
			}
		}
		if records > tt.most+1 || records < 2 {
			t.Errorf("%s: %d records, the cap is %d", name, records, tt.most)
		}
		if in.get("/").said(t).field("X-Edge-User") != "42" {
			t.Errorf("%s: somebody who had signed in is out", name)
		}
		again := e.browser()
		if again.login("43"); again.get("/").said(t).field("X-Edge-User") != "43" {
			t.Errorf("%s: sign-ins are counted among them", name)
		}
		if metrics := e.adminText("/metrics"); !strings.Contains(metrics, "too_many_") {
			t.Errorf("%s: the refusals are not counted", name)
		}
	}
}

// limits.per_user: the oldest session goes.
func TestSessionsOfOneUserAreBounded(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := twoEdges(t, app.URL, redisURL(redis), sessionRoutes+"  limits: {per_user: 2}\n")
	var all []*client
	for i := range 4 {
		c := e[i%2].browser()
		c.login("ana")
		all = append(all, c)
	}
	for i, c := range all {
		if in := c.get("/").said(t).field("X-Edge-User") == "ana"; in != (i >= 2) {
			t.Errorf("session %d: in %v", i, in)
		}
	}
	if all[0].login("ana"); all[0].get("/").said(t).field("X-Edge-User") != "ana" {
		t.Error("whoever was pushed out cannot sign in again")
	}
}

// limits.per_user: a session that takes the place of another is none more.
func TestANewTokenIsNoSessionMoreOfItsUser(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	for most := 1; most <= 2; most++ {
		e := twoEdges(t, app.URL, redisURL(redis), fmt.Sprintf("%s  limits: {per_user: %d}\n", sessionRoutes, most))
		devices := make([]*client, most)
		for i := range devices {
			devices[i] = e[i].browser()
			devices[i].login("ana")
		}
		for what, path := range map[string]string{
			"a re-login":         "/login?user=ana",
			"a new csrftoken":    "/?set=csrftoken%3Dnew%3B+Path%3D/",
			"a changed password": "/?set=sessionid%3Dnew-hash%3B+Path%3D/&h=X-Edge-Session-User:ana",
		} {
			before := devices[0].token()
			if a := devices[0].post(path, nil); a.StatusCode != 200 || len(a.setCookies()) != 1 || devices[0].token() == before {
				t.Errorf("per_user %d, %s: %d %v", most, what, a.StatusCode, a.setCookies())
			}
			for i, c := range devices {
				if c.get("/").said(t).field("X-Edge-User") != "ana" {
					t.Errorf("per_user %d, %s: device %d is out", most, what, i)
				}
			}
		}
	}
}

// SESSIONS.md §9, point 13.
func TestPagesThatSetACookieWithEachAnswer(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := twoEdges(t, app.URL, redisURL(redis), sessionRoutes)
	// Each answer sets the visitor's sessionid again, or opens one, and says
	// nothing of Vary.
	ana, luis := e[0].browser(), e[0].browser()
	ana.login("ana")
	luis.login("luis")
	saving := func(c *client, path string) answer {
		value := c.get("/").said(t).cookie("sessionid")
		if value == "" {
			return c.get(path + "?set=sessionid%3Dopened%3B+Max-Age%3D500%3B+Path%3D/")
		}
		return c.get(path + "?set=sessionid%3D" + value + "%3B+Max-Age%3D500%3B+Path%3D/")
	}
	for _, path := range []string{"/public/saves", "/unlisted", "/mine/saves", "/tab/saves"} {
		for range 3 {
			for name, c := range map[string]*client{"ana": ana, "luis": luis, "": e[1].browser()} {
				a := saving(c, path)
				got := a.said(t)
				if u := got.field("X-Edge-User"); u != name && u != "" {
					t.Errorf("%s: %q has a page of %q", path, name, u)
				}
				for _, line := range a.setCookies() {
					if !strings.HasPrefix(line, "umbral=") {
						t.Errorf("%s: %q got %q", path, name, line)
					}
				}
			}
		}
	}
	// The same value with another expiry changes nothing: the page is kept.
	value := ana.get("/").said(t).cookie("sessionid")
	path := "/mine/kept?set=sessionid%3D" + value + "%3B+Max-Age%3D700%3B+Path%3D/"
	ana.get(path)
	if a := ana.get(path); !a.Hit() || len(a.setCookies()) > 0 {
		t.Errorf("not kept: %s %v", a.Umbral(), a.setCookies())
	}
	if a := luis.get(path); a.Hit() || a.said(t).field("X-Edge-User") != "luis" {
		t.Errorf("luis: %s %s", a.Umbral(), a.Body)
	}
	if got := luis.get("/").said(t); got.cookie("sessionid") != value {
		// The app gave luis ana's value: that is the app's doing, and luis's
		// own jar. Ana's stays.
		t.Errorf("luis's jar: %v", got.Cookie)
	}
	if got := ana.get("/").said(t).cookie("sessionid"); got != value {
		t.Errorf("ana's jar has %q", got)
	}
}
