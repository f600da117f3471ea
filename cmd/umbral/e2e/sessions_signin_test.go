package e2e

import (
	"fmt"
	"strings"
	"testing"

	"umbral/proxy/store/storetest"
)

// SESSIONS.md §9, point 4.
func TestNoCookieFromBeforeASignInIsAnybodyAfterIt(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := startEdge(t, app.URL, redisURL(redis), sessionRoutes)
	anonymous := func(what, token string) {
		t.Helper()
		a, err := e.with("/", "umbral="+token)
		if err != nil || !a.said(t).anonymous() {
			t.Errorf("%s: %v %s", what, err, a.Body)
		}
	}

	sealed := e.browser()
	sealed.get("/form")
	before := sealed.token()
	sealed.login("victim")
	if sealed.token() == before {
		t.Error("the sealed cookie stayed")
	}
	// The sealed one holds its owner's csrftoken, and nothing of the session.
	if a, _ := e.with("/", "umbral="+before); a.said(t).cookie("sessionid") != "" || a.said(t).field("X-Edge-Auth") != "anonymous" {
		t.Errorf("the sealed cookie of before: %s", a.Body)
	}

	opened := e.browser()
	opened.get("/opens")
	before = opened.token()
	opened.login("victim")
	anonymous("an anonymous session of before", before)

	// The attacker's own valid session, planted in the victim's browser.
	attacker, victim := e.browser(), e.browser()
	attacker.login("attacker")
	planted := attacker.token()
	a := victim.post("/login?user=victim", nil, "Cookie: umbral="+planted)
	if len(a.setCookies()) != 1 || victim.token() == planted {
		t.Errorf("signed in under a planted cookie: %v", a.setCookies())
	}
	anonymous("the planted cookie", planted)
	if u := victim.get("/").said(t).field("X-Edge-User"); u != "victim" {
		t.Errorf("the victim is %q", u)
	}

	// Well formed, signed with the right key, and never issued: another Redis
	// has its record.
	elsewhere := startEdge(t, app.URL, redisURL(storetest.StartRedis(t)), sessionRoutes)
	stranger := elsewhere.browser()
	stranger.login("stranger")
	anonymous("a token that was never issued here", stranger.token())
	if n := len(sessionKeys(t, redis)); n > 8 {
		t.Errorf("%d keys: a token that nobody issued was given a record", n)
	}
}

// SESSIONS.md §9, point 4: what signs somebody in, again or as another, or
// changes the password makes a new token, and the old one is nobody's.
func TestSignInsRotate(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := startEdge(t, app.URL, redisURL(redis), sessionRoutes)
	for _, tt := range []struct{ what, path, user string }{
		{"the same user again, new sessionid", "/login?user=42", "42"},
		{"another user", "/login?user=43", "43"},
		{"the same user, new csrftoken alone", "/?set=csrftoken%3Drotated%3B+Path%3D/", "42"},
		{"a changed password", "/?set=sessionid%3Dnew-hash%3B+Path%3D/&set=csrftoken%3Dnew%3B+Path%3D/&h=X-Edge-Session-User:42", "42"},
		{"the app's word alone", "/?h=X-Edge-Session-User:44", "44"},
	} {
		c := e.browser()
		c.login("42")
		c.get("/?set=theme%3Ddark%3B+Path%3D/")
		before, session := c.token(), c.get("/").said(t).field("X-Edge-Session")
		if a := c.post(tt.path, nil); len(a.setCookies()) != 1 {
			t.Errorf("%s: %v", tt.what, a.setCookies())
		}
		in := c.get("/").said(t)
		if c.token() == before || in.field("X-Edge-User") != tt.user || in.field("X-Edge-Session") == session {
			t.Errorf("%s: rotated %v, %v", tt.what, c.token() != before, in.Header)
		}
		if in.cookie("theme") != "dark" {
			t.Errorf("%s: the jar's other cookies went: %v", tt.what, in.Cookie)
		}
		a, err := e.with("/", "umbral="+before)
		if err != nil || !a.said(t).anonymous() || len(a.setCookies()) > 0 {
			t.Errorf("%s: the old cookie: %v %s %v", tt.what, err, a.Body, a.setCookies())
		}
	}

	c := e.browser()
	c.login("42")
	before := c.token()
	for _, path := range []string{
		"/?set=theme%3Dlight", "/?set=messages%3Dx", "/?set=csrftoken%3D%3B+Max-Age%3D0",
		"/?set=" + strings.ReplaceAll("sessionid="+c.get("/").said(t).cookie("sessionid"), "=", "%3D") + "%3B+Max-Age%3D600%3B+Path%3D/",
	} {
		if a := c.post(path, nil); len(a.setCookies()) > 0 || c.token() != before {
			t.Errorf("%s rotated: %v", path, a.setCookies())
		}
	}
	// What a HEAD without the jar is answered with is nobody's.
	c = e.browser()
	c.login("42")
	before = c.token()
	token := c.get("/").said(t).cookie("csrftoken")
	if a, err := c.do("HEAD", "/public/form", ""); err != nil || a.StatusCode != 200 || len(a.setCookies()) > 0 || c.token() != before {
		t.Errorf("a HEAD of a public form: %v %d %v", err, a.StatusCode, a.setCookies())
	}
	if got := c.get("/").said(t).cookie("csrftoken"); got != token {
		t.Errorf("a HEAD of a public form made the token %q of %q", got, token)
	}
}

// Cookies go up by path and expiry, as a browser would send them.
func TestTheJarIsABrowsersJar(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := startEdge(t, app.URL, redisURL(redis), sessionRoutes)
	c := e.browser()
	c.login("1")
	for _, line := range []string{
		"deep=1; Path=/a/b", "wide=1; Path=/", "byPath=1", "other=1; Domain=elsewhere.test", "own=1; Domain=" + site,
		"gone=1; Max-Age=-1", "past=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "both=1; Path=/", "both=2; Path=/a",
		"two=old; Path=/", "two=new; Path=/", "umbral=evil; Path=/", "=nameless", "broken", "sp ace=1",
	} {
		c.get("/a/x?set=" + strings.NewReplacer("=", "%3D", ";", "%3B", " ", "+").Replace(line))
	}
	for path, want := range map[string]string{
		"/":      "own two wide both=1",
		"/a/":    "byPath own two wide both=2",
		"/a/b":   "byPath own two wide deep both=2",
		"/a/b/c": "byPath own two wide deep both=2",
		"/a/bc":  "byPath own two wide both=2",
		"/ab":    "own two wide both=1",
	} {
		got := c.get(path).said(t)
		for _, name := range []string{"byPath", "own", "two", "wide", "deep", "other", "gone", "past", "umbral"} {
			if has := got.cookie(name) != ""; has != strings.Contains(" "+want+" ", " "+name+" ") && name != "own" {
				t.Errorf("%s: %s sent: %v (%v)", path, name, has, got.Cookie)
			}
		}
		if both := "both=" + got.cookie("both"); !strings.Contains(want, both) {
			t.Errorf("%s: %s first (%v)", path, both, got.Cookie)
		}
		if got.cookie("two") != "new" {
			t.Errorf("%s: the earlier of two lines counts", path)
		}
	}
	c.get("/?set=wide%3D%3B+Max-Age%3D0%3B+Path%3D/")
	if got := c.get("/").said(t); got.cookie("wide") != "" {
		t.Errorf("a deleted cookie went up: %v", got.Cookie)
	}
	if v := c.get("/?set=" + "q%3D%22quoted+value%22%3B+Path%3D/"); v.StatusCode != 200 || c.get("/").said(t).cookie("q") != `"quoted value"` {
		t.Errorf("a quoted value went up as %q", fmt.Sprint(c.get("/").said(t).Cookie))
	}
}
