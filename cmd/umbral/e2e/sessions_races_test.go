package e2e

import (
	"fmt"
	"strings"
	"testing"

	"umbral/proxy/store/storetest"
)

// SESSIONS.md §9, point 5: an answer to a request from before the sign-in that
// ends after it, hundreds of them, signs nobody out.
func TestLateAnswersOfBeforeTheSignInSetNothing(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := startEdge(t, app.URL, redisURL(redis), sessionRoutes, "REDIS_TIMEOUT=20s")
	const late = 100
	for _, before := range []string{"/form", "/opens", "/ended"} {
		c := e.browser()
		if c.get(before); before == "/ended" {
			// A session that has run out, which the browser does not know yet.
			c.login("old")
			for _, key := range sessionKeys(t, redis) {
				redis.Do("DEL", key)
			}
		}
		old := "umbral=" + c.token()
		name := "late" + strings.TrimPrefix(before, "/")
		g := app.gate(name)
		// What Django does on such an answer: a session that is gone is
		// deleted, a token made anew, another cookie set.
		paths := []string{
			"/logout?wait=" + name, "/form?wait=" + name, "/?wait=" + name + "&set=theme%3Dold",
			"/?wait=" + name + "&set=django_language%3Des", "/login?wait=" + name,
		}
		answers := make(chan answer, late)
		for i := range late {
			method := "GET"
			if i%len(paths) == 4 {
				method = "POST"
			}
			go func() {
				// Each its own address, or they would be one request at the app.
				a, err := e.visitor().do(method, fmt.Sprintf("%s&i=%d", paths[i%len(paths)], i), "", "Cookie: "+old, "Origin: http://"+site)
				if err != nil {
					t.Error(err)
				}
				answers <- a
			}()
		}
		for range late {
			<-g.arrived
		}
		c.login("42")
		close(g.open)
		signedIn := 0
		for range late {
			if a := <-answers; a.Response != nil && len(a.setCookies()) > 0 {
				if strings.Contains(a.Request.URL.Path, "login") {
					signedIn++ // another sign-in is nobody's late answer
					continue
				}
				t.Errorf("%s: a late answer to %s set %v", before, a.Request.URL, a.setCookies())
			}
		}
		if before == "/opens" && signedIn > 0 {
			t.Errorf("%d sign-ins by a token that had been rotated away", signedIn)
		}
		if u := c.get("/").said(t); u.field("X-Edge-User") != "42" || u.cookie("theme") == "old" {
			t.Errorf("%s: after the late answers: %v", before, u.Cookie)
		}
	}
}

// SESSIONS.md §9, point 5.
func TestParallelAnswersLoseNoCookie(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := [2]*edge{}
	for i := range e {
		e[i] = startEdge(t, app.URL, redisURL(redis), sessionRoutes+"  limits: {cookies: 300}\n", "REDIS_TIMEOUT=20s")
	}
	const n = 200
	c := e[0].browser()
	c.login("42")
	cookie := "Cookie: umbral=" + c.token()
	g := app.gate("all")
	visitors := [2]*client{e[0].visitor(), e[1].visitor()}
	done := make(chan error, n)
	for i := range n {
		go func() {
			a, err := visitors[i%2].do("GET", fmt.Sprintf("/?wait=all&set=c%d%%3Dv%d%%3B+Path%%3D/", i, i), "", cookie)
			if err == nil && (a.StatusCode != 200 || len(a.setCookies()) > 0) {
				err = fmt.Errorf("%d %v", a.StatusCode, a.setCookies())
			}
			done <- err
		}()
	}
	for range n {
		<-g.arrived // all of them were sent up the same jar
	}
	close(g.open)
	for range n {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	for i := range e {
		got, err := e[i].with("/", strings.TrimPrefix(cookie, "Cookie: "))
		if err != nil {
			t.Fatal(err)
		}
		said := got.said(t)
		for k := range n {
			if want := fmt.Sprintf("v%d", k); said.cookie(fmt.Sprintf("c%d", k)) != want {
				t.Errorf("edge %d: c%d is %q", i, k, said.cookie(fmt.Sprintf("c%d", k)))
			}
		}
	}
}

// SESSIONS.md §9, point 5; §8: versions outlive a deletion.
func TestASlowAnswerNeverOverwritesANewerValue(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := startEdge(t, app.URL, redisURL(redis), sessionRoutes, "REDIS_TIMEOUT=20s")
	set := func(value string) string { return "set=theme%3D" + value + "%3B+Path%3D/" }
	const deletes = "set=theme%3D%3B+Max-Age%3D0%3B+Path%3D/"
	for _, tt := range []struct {
		name, slow string
		then       []string
		want       string
	}{
		{"set", set("slow"), []string{set("quick")}, "quick"},
		{"delete", deletes, []string{set("quick")}, "quick"},
		{"deleted", set("slow"), []string{deletes}, ""},
		{"deleted and set again", set("slow"), []string{deletes, set("again")}, "again"},
		{"set, deleted, set, deleted", set("slow"), []string{set("1"), deletes, set("2"), deletes}, ""},
	} {
		c := e.browser()
		c.login("42")
		c.get("/?" + set("first"))
		name := strings.ReplaceAll(tt.name, " ", "-")
		name = strings.ReplaceAll(name, ",", "")
		g := app.gate(name)
		slow := make(chan error)
		go func() {
			a, err := c.do("GET", "/?wait="+name+"&"+tt.slow, "")
			if err == nil && a.StatusCode != 200 {
				err = fmt.Errorf("status %d", a.StatusCode)
			}
			slow <- err
		}()
		<-g.arrived
		for _, q := range tt.then {
			c.get("/?" + q)
		}
		close(g.open)
		if err := <-slow; err != nil {
			t.Fatal(err)
		}
		if got := c.get("/").said(t); got.cookie("theme") != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got.cookie("theme"), tt.want)
		}
	}
}

// SESSIONS.md §9, point 5: requests in flight over a logout revive nothing.
func TestNothingInFlightOutlivesALogout(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := startEdge(t, app.URL, redisURL(redis), sessionRoutes, "REDIS_TIMEOUT=20s")
	for _, way := range []string{"/.umbral/logout", "/logout", "/control/?h=X-Edge-Session-Logout:current", "/?h=X-Edge-Session-User:anonymous"} {
		c := e.browser()
		c.login("42")
		old := "umbral=" + c.token()
		name := fmt.Sprint("out", len(way))
		g := app.gate(name)
		const flying = 60
		paths := []string{
			"/?wait=" + name + "&set=theme%3Dx", "/form?wait=" + name, "/login?user=42&wait=" + name,
			"/?wait=" + name + "&set=sessionid%3Dsame%3B+Max-Age%3D99", "/control/?wait=" + name + "&h=X-Edge-Session-User:42",
			"/mine/" + name + "?wait=" + name,
		}
		answers := make(chan answer, flying)
		for i := range flying {
			method := "GET"
			if strings.HasPrefix(paths[i%len(paths)], "/login") {
				method = "POST"
			}
			go func() {
				// Each its own address, or they would be one request at the app.
				a, err := e.visitor().do(method, fmt.Sprintf("%s&i=%d", paths[i%len(paths)], i), "", "Cookie: "+old, "Origin: http://"+site)
				if err != nil {
					t.Error(err)
				}
				answers <- a
			}()
		}
		for range flying {
			<-g.arrived
		}
		if a := c.post(way, nil); a.StatusCode >= 400 || len(a.setCookies()) == 0 {
			t.Fatalf("%s: %d %v", way, a.StatusCode, a.setCookies())
		}
		close(g.open)
		for range flying {
			if a := <-answers; a.Response != nil && len(a.setCookies()) > 0 {
				t.Errorf("%s: in flight, %s set %v", way, a.Request.URL, a.setCookies())
			}
		}
		for _, path := range []string{"/", "/mine/" + name + "?wait=" + name} {
			if a, _ := e.with(path, old); !a.said(t).anonymous() {
				t.Errorf("%s: the old cookie on %s: %s", way, path, a.Body)
			}
		}
	}
	records := 0
	for _, key := range sessionKeys(t, redis) {
		if redis.Do("TYPE", key) == "hash" {
			records++
		}
	}
	if records > 0 {
		t.Errorf("%d records outlived their logout", records)
	}
}

// SESSIONS.md §3: what the app says of signing out holds for the session that
// has taken the place of the one that asked, with its pages, on every edge.
func TestASignOutUnderWayEndsTheSessionOfANewToken(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := twoEdges(t, app.URL, redisURL(redis), sessionRoutes, "REDIS_TIMEOUT=20s")
	for i, change := range []string{"/login?user=ana", "/?set=csrftoken%3Dnew%3B+Path%3D/"} {
		here, there := e[0].browser(), e[1].browser()
		here.login("ana")
		there.login("ana")
		old := "Cookie: umbral=" + here.token()
		g := app.gate(fmt.Sprint("leaving", i))
		late := make(chan answer)
		go func() {
			a, err := e[0].visitor().do("POST", fmt.Sprintf("/control/?wait=leaving%d&h=X-Edge-Session-Logout:all", i), "", old)
			if err != nil {
				t.Error(err)
			}
			late <- a
		}()
		<-g.arrived
		if a := here.post(change, nil); len(a.setCookies()) != 1 {
			t.Fatalf("%s: %v", change, a.setCookies())
		}
		for _, c := range []*client{here, there} {
			e[0].eventually("a page in memory", func() bool { return c.get("/mine/").Hit() })
		}
		close(g.open)
		if a := <-late; a.StatusCode != 200 || !strings.Contains(strings.Join(a.setCookies(), ""), "Max-Age=0") {
			t.Errorf("%s: %d %v", change, a.StatusCode, a.setCookies())
		}
		for name, c := range map[string]*client{"this device": here, "the other": there} {
			for _, edge := range e {
				if a, err := edge.with("/mine/", "umbral="+c.token()); err != nil || a.said(t).field("X-Edge-User") != "" {
					t.Errorf("%s: %s is in: %v %s %s", change, name, err, a.Umbral(), a.Body)
				}
			}
		}
	}
}

// SESSIONS.md §9, point 12.
func TestOneAddressThreeVisitorsNothingOfOneAtAnother(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := [2]*edge{}
	for i := range e {
		e[i] = startEdge(t, app.URL, redisURL(redis), sessionRoutes, "REDIS_TIMEOUT=20s")
	}
	ana, luis, anaPhone := e[0].browser(), e[0].browser(), e[1].browser()
	ana.login("ana")
	luis.login("luis")
	anaPhone.login("ana")
	who := map[string]string{"ana": "umbral=" + ana.token(), "luis": "umbral=" + luis.token(), "": "a=b", "ana's phone": "umbral=" + anaPhone.token()}
	users := map[string]string{"ana": "ana", "luis": "luis", "": "", "ana's phone": "ana"}
	check := func(path, name string, a answer) error {
		var got echo
		if err := unmarshal(a, &got); err != nil {
			return err
		}
		if got.field("X-Edge-User") != users[name] || name == "" && !got.anonymous() {
			return fmt.Errorf("%s as %q: %s", path, name, a.Body)
		}
		if cc := a.Header.Get("Cache-Control"); !strings.Contains(cc, "private") {
			return fmt.Errorf("%s as %q: Cache-Control %q", path, name, cc)
		}
		return nil
	}

	// In order first, then all at once, then with the same ETag for all.
	for _, path := range []string{"/mine/", "/tab/", "/mine/tagged?h=ETag:%22same%22", "/tab/tagged?h=ETag:%22same%22"} {
		for range 2 {
			for _, name := range []string{"ana", "luis", "", "ana's phone"} {
				a, err := e[0].with(path, who[name])
				if err == nil {
					err = check(path, name, a)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	var paths []string
	for i := range 4 {
		paths = append(paths, fmt.Sprintf("/mine/%d", i), fmt.Sprintf("/tab/%d", i),
			fmt.Sprintf("/mine/%d?h=ETag:%%22same%%22", i), fmt.Sprintf("/tab/%d?h=ETag:%%22same%%22", i))
	}
	names := []string{"ana", "luis", "", "ana's phone"}
	visitors := [2]*client{e[0].visitor(), e[1].visitor()}
	parallel(t, 250, func(worker int) error {
		for step := range 4 {
			i := worker*4 + step
			path, name := paths[i%len(paths)], names[(i/len(paths)+i)%len(names)]
			headers := []string{"Cookie: " + who[name]}
			a, err := visitors[i%2].do("GET", path, "", headers...)
			if err != nil {
				return err
			}
			if err := check(path, name, a); err != nil {
				return err
			}
		}
		return nil
	})

	// A validator of one's own page answers with a 304; that of another's,
	// where it is another, does not, and either way no foreign byte comes.
	mine, _ := e[0].with("/mine/", who["ana"])
	a, err := visitors[0].do("GET", "/mine/", "", "Cookie: "+who["luis"], "If-None-Match: "+mine.Header.Get("ETag"))
	if err != nil || a.StatusCode != 200 || check("/mine/", "luis", a) != nil {
		t.Errorf("luis with ana's ETag: %d %v", a.StatusCode, err)
	}

	// Two devices of one user share under user, and not under session.
	ana1, _ := e[0].with("/mine/shared", who["ana"])
	ana2, _ := e[1].with("/mine/shared", who["ana's phone"])
	tab1, _ := e[0].with("/tab/shared", who["ana"])
	tab2, _ := e[0].with("/tab/shared", who["ana's phone"])
	if ana1.said(t).N != ana2.said(t).N || tab1.said(t).N == tab2.said(t).N {
		t.Errorf("shared under user: %v, under session: %v", ana1.said(t).N == ana2.said(t).N, tab1.said(t).N == tab2.said(t).N)
	}
}
