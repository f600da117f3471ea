package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"umbral/proxy/store/storetest"
)

// SESSIONS.md §9, point 1.
func TestOneSetCookieAtSignInWithEveryAttribute(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := startEdge(t, app.URL, redisURL(redis), sessionRoutes, "COOKIE_SECURE=true")
	v := e.visitor()
	shape := regexp.MustCompile(`^__Host-umbral=([A-Za-z0-9_-]{112}); Path=/; Max-Age=\d+; HttpOnly; Secure; SameSite=Lax$`)
	a := v.post("/login?user=42", nil, "Origin: https://"+site)
	set := a.setCookies()
	if len(set) != 1 || !shape.MatchString(set[0]) {
		t.Fatalf("sign-in set %q", set)
	}
	cookie := "__Host-umbral=" + shape.FindStringSubmatch(set[0])[1]
	in, err := e.with("/", cookie)
	if err != nil || in.said(t).field("X-Edge-User") != "42" || len(in.setCookies()) != 0 {
		t.Errorf("signed in: %v %s %q", err, in.Body, in.setCookies())
	}
	if in, _ := e.with("/", "umbral="+strings.TrimPrefix(cookie, "__Host-umbral=")); !in.said(t).anonymous() {
		t.Errorf("under the other mode's name: %s", in.Body)
	}

	// An app whose cookie lasts as long as the browser: so does the edge's.
	set = v.post("/?set=sessionid%3Dbrowser-long", nil).setCookies()
	if len(set) != 1 || strings.Contains(set[0], "Max-Age") || strings.Contains(set[0], "Expires") {
		t.Errorf("a browser-session cookie became %q", set)
	}
}

// SESSIONS.md §9, point 1.
func TestThirtyBigCookiesStayAtTheEdge(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := startEdge(t, app.URL, redisURL(redis), sessionRoutes)
	for name, c := range map[string]*client{"anonymous": e.browser(), "signed in": e.browser()} {
		if name == "signed in" {
			c.login("1")
		}
		a := c.get("/?big=30")
		for _, line := range a.setCookies() {
			if !strings.HasPrefix(line, "umbral=") || len(line) > 4096 {
				t.Errorf("%s: the browser got %.60s… of %d bytes", name, line, len(line))
			}
		}
		sent := c.get("/").said(t)
		if n := len(strings.Join(sent.Cookie, "")); n > 8000 || n < 5000 {
			t.Errorf("%s: %d bytes of Cookie went up", name, n)
		}
		if name == "signed in" && sent.cookie("sessionid") == "" {
			t.Error("the session's own cookie was among those left out")
		}
		if sent.cookie("big29") == "" || sent.cookie("big00") != "" {
			t.Errorf("%s: not the oldest were left out: %.100v", name, sent.Cookie)
		}
	}
}

// SESSIONS.md §9, point 2: nothing but the one spelling of a cookie that the
// edge itself made is anybody, and Redis is not asked about the rest.
func TestEveryOtherCookieIsAnonymous(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := startEdge(t, app.URL, redisURL(redis), sessionRoutes)
	other := startEdge(t, app.URL, redisURL(redis), sessionRoutes, "EDGE_SECRETS=another-secret-of-more-than-32-bytes-length")
	in, form := e.browser(), e.browser()
	in.login("42")
	form.get("/form")
	session, sealed := in.token(), form.token()
	if len(session) != 112 || len(sealed) <= 112 || strings.Contains(sealed, "=") {
		t.Fatalf("session of %d, sealed of %d characters", len(session), len(sealed))
	}
	if a := form.get("/").said(t); a.cookie("csrftoken") == "" {
		t.Fatalf("the sealed cookie does not open: %v", a.Cookie)
	}
	watch := watchRedis(t, redis)
	v, w := e.visitor(), other.visitor()
	anonymous := func(what string, c *client, lines ...string) {
		headers := make([]string, len(lines))
		for i, line := range lines {
			headers[i] = "Cookie: " + line
		}
		// Anonymous visitors share one stored page here; anybody else has
		// another.
		a, err := c.do("GET", "/tab/", "", headers...)
		switch {
		case err != nil:
			t.Errorf("%s: %v", what, err)
		case a.StatusCode >= 400 && a.StatusCode < 500:
		case a.StatusCode != 200 || !a.said(t).anonymous() || len(a.setCookies()) > 0:
			t.Errorf("%s: %d %v %s", what, a.StatusCode, a.setCookies(), a.Body)
		}
	}

	var changed []string
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for at := range session {
		for _, c := range letters + "=+/.|%" {
			if byte(c) != session[at] {
				changed = append(changed, "umbral="+session[:at]+string(c)+session[at+1:])
			}
		}
	}
	for at := range sealed {
		for _, c := range "A_9=" {
			if byte(c) != sealed[at] {
				changed = append(changed, "umbral="+sealed[:at]+string(c)+sealed[at+1:])
			}
		}
	}
	parallel(t, 8, func(i int) error {
		for ; i < len(changed); i += 8 {
			anonymous(changed[i], v, changed[i])
		}
		return nil
	})
	anonymous("another edge's secret", w, "umbral="+session)
	anonymous("another edge's secret, sealed", w, "umbral="+sealed)
	for what, lines := range map[string][]string{
		"empty":                 {"umbral="},
		"no value":              {"umbral"},
		"nameless":              {"=" + session},
		"value alone":           {session},
		"quoted":                {`umbral="` + session + `"`},
		"percent-encoded":       {"umbral=%" + fmt.Sprintf("%x", session[0]) + session[1:]},
		"padded":                {"umbral=" + session + "="},
		"longer":                {"umbral=" + session + "A"},
		"shorter":               {"umbral=" + session[:111]},
		"two in one":            {"umbral=" + session + session},
		"upper-case name":       {"UMBRAL=" + session},
		"another name":          {"umbrall=" + session},
		"a prefixed name":       {"__Host-umbral=" + session},
		"a name with a space":   {"umbral =" + session},
		"the app's own name":    {"sessionid=" + session},
		"twice":                 {"umbral=" + session + "; umbral=" + session},
		"twice, one empty":      {"umbral=; umbral=" + session},
		"twice, bad one last":   {"umbral=" + session + "; umbral=bad"},
		"twice, bad one first":  {"umbral=bad; umbral=" + session},
		"twice, sealed first":   {"umbral=" + sealed + "; umbral=" + session},
		"twice, sealed last":    {"umbral=" + session + "; umbral=" + sealed},
		"twice, in two lines":   {"umbral=" + session, "umbral=" + session},
		"twice, over two lines": {"a=b; umbral=" + session, "c=d; umbral=x"},
		"UTF-8":                 {"umbral=ñandú" + session},
		"64 KB":                 {"umbral=" + strings.Repeat("A", 64<<10)},
		"1.5 KB":                {"umbral=" + strings.Repeat("A", 1536)},
		"sealed, session's end": {"umbral=" + sealed[:len(sealed)-40] + session[72:]},
		"session, sealed's end": {"umbral=" + session[:72] + sealed[len(sealed)-40:]},
	} {
		anonymous(what, v, lines...)
	}
	for what, value := range map[string]string{
		"NUL": "umbral=" + session[:50] + "\x00" + session[51:], "a line break": "umbral=" + session + "\r\n folded",
		"bare CR": "umbral=" + session + "\r", "DEL": "umbral=\x7f" + session, "invalid UTF-8": "umbral=\xff\xfe",
	} {
		a, err := e.bytes(t, "GET / HTTP/1.1\r\nHost: "+site+"\r\nConnection: close\r\nCookie: "+value+"\r\n\r\n")
		if err == nil && a.StatusCode != 400 && (a.StatusCode != 200 || !a.said(t).anonymous()) {
			t.Errorf("%s: %d %s", what, a.StatusCode, a.Body)
		}
	}
	if asked := watch.sessions(); len(asked) > 0 {
		t.Errorf("Redis was asked %d times, first %s", len(asked), asked[0])
	}
	if in.get("/").said(t).field("X-Edge-User") != "42" {
		t.Error("and the real one is out")
	}
}

// SESSIONS.md §9, point 3.
func TestATokenElsewhereIsNoTokenAndNobodyTellsIt(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := startEdge(t, app.URL, redisURL(redis), sessionRoutes, "LOG_LEVEL=debug")
	c := e.browser()
	c.login("42")
	token := c.token()
	secret := c.get("/").said(t).cookie("sessionid")
	for _, path := range []string{"/?umbral=" + token, "/?sessionid=" + token, "/" + token, "/;umbral=" + token, "/a/umbral=" + token + "/b"} {
		if a := e.visitor().get(path); !a.said(t).anonymous() {
			t.Errorf("%.30s: %s", path, a.Body)
		}
	}
	for _, h := range []string{"X-Umbral: ", "Authorization: Bearer ", "X-Session-Id: ", "Cookie2: umbral=", "X-Cookie: umbral=", "Set-Cookie: umbral="} {
		if a := e.visitor().get("/", h+token); !a.said(t).anonymous() {
			t.Errorf("%s: %s", h, a.Body)
		}
	}
	page := c.get("/nowhere", "Range: bytes=0-1") // through every path that logs
	metrics, errors := "", ""
	app.Close()
	for _, path := range []string{"/down", "/mine/down", "/down?umbral=" + token} {
		a := c.get(path, "Accept: text/html")
		if a.StatusCode != 502 {
			t.Errorf("%.20s with the app down: %d", path, a.StatusCode)
		}
		errors += fmt.Sprint(a.Header) + a.Body
	}
	e.stopAfter(func() { metrics = e.adminText("/metrics") + e.adminText("/v1/stats") + e.adminText("/v1/routes") })
	for what, text := range map[string]string{
		"the log": e.logs.String(), "metrics": metrics, "error pages": errors, "an answer's header": fmt.Sprint(page.Header),
	} {
		for name, value := range map[string]string{"token": token, "sessionid": secret, "EDGE_SECRETS": edgeSecret, "ADMIN_TOKEN": adminToken} {
			if strings.Contains(text, value) {
				at := strings.Index(text, value)
				t.Errorf("%s shows the %s: …%s", what, name, text[max(0, at-200):at])
			}
		}
	}
}
