package e2e

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"umbral/proxy/store/storetest"
)

// The probe's answer says who it is, and nothing that it can hold is an error
// to a visitor.
func TestTheProbeNamesTheUser(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	var mu sync.Mutex
	answers := map[string]string{}
	app.set(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/whoami/" {
			app.serve(w, r)
			return
		}
		c, err := r.Cookie("sessionid")
		if err != nil || len(r.Header["X-Edge-User"]) > 0 {
			http.Error(w, "who?", http.StatusForbidden)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprint(w, answers[c.Value])
	})
	e := startEdge(t, app.URL, redisURL(redis), strings.Replace(sessionRoutes, "{source: header}",
		"{source: probe, probe: {url: /whoami/, pointer: /user/id}}", 1))
	for i, tt := range []struct{ answer, user string }{
		{`{"user": {"id": 42}}`, "42"}, {`{"user": {"id": "ana@x.test"}}`, "ana@x.test"},
		{`{"user": {"id": 4.2}}`, ""}, {`{"user": {"id": null}}`, ""}, {`{"user": {"id": true}}`, ""}, {`{"user": {"id": {}}}`, ""},
		{`{"user": {"id": ""}}`, ""}, {`{"user": {"id": "anonymous"}}`, ""}, {`{"user": {"id": "a\u0000b"}}`, ""}, {`{"user": {"id": "a\r\nX-Evil: 1"}}`, ""},
		{`{"user": {"id": "` + strings.Repeat("x", 300) + `"}}`, ""}, {`{"user": []}`, ""}, {`[]`, ""}, {`not json`, ""}, {``, ""},
		{strings.Repeat("[", 20000), ""}, {`{"x": "` + strings.Repeat("y", 70<<10) + `"}`, ""},
	} {
		value := fmt.Sprintf("probe-secret-%d", i)
		mu.Lock()
		answers[value] = tt.answer
		mu.Unlock()
		c := e.browser()
		a := c.post("/?set=sessionid%3D"+value+"%3B+Path%3D/", nil)
		got := c.get("/").said(t)
		auth := map[bool]string{true: "user", false: "session"}[tt.user != ""]
		if a.StatusCode != 200 || got.field("X-Edge-User") != tt.user || got.field("X-Edge-Auth") != auth {
			t.Errorf("%.40s: %d, user %q, auth %q", tt.answer, a.StatusCode, got.field("X-Edge-User"), got.field("X-Edge-Auth"))
		}
	}
	// The probe is asked again every second: another answer is another user.
	f := startEdge(t, app.URL, redisURL(redis), strings.Replace(sessionRoutes, "{source: header}",
		"{source: probe, probe: {url: /whoami/, pointer: /user/id, every: 1s}}", 1), "CACHE_KEY_PREFIX=again")
	c := f.browser()
	c.post("/?set=sessionid%3Dprobe-secret-0%3B+Path%3D/", nil)
	c.get("/mine/")
	before := c.get("/mine/").said(t)
	for _, next := range []string{"43", ""} {
		mu.Lock()
		answers["probe-secret-0"] = `{"user": {"id": "` + next + `"}}`
		mu.Unlock()
		f.eventually("the user "+next, func() bool { return c.get("/").said(t).field("X-Edge-User") == next })
		if got := c.get("/mine/").said(t); got.field("X-Edge-User") != next || got.N == before.N {
			t.Errorf("the page of user 42 for %q: %v", next, got.Header)
		}
	}
	for line := range strings.Lines(e.logs.String()) {
		// The access log shows the addresses that this test itself asks for.
		if strings.Contains(line, "probe-secret") && !strings.Contains(line, `"logger":"access"`) {
			t.Errorf("the log shows a sessionid: %s", line)
		}
	}
}

// A Django session in Redis is a pickle, and only one of plain values is read.
func TestPickledDjangoSessions(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := startEdge(t, app.URL, redisURL(redis), strings.Replace(sessionRoutes, "{source: header}",
		`{source: django_redis, django_redis: {key: ":1:django.contrib.sessions.cache{sessionid}"}}`, 1))
	zipped := func(b string) string {
		var out bytes.Buffer
		z := zlib.NewWriter(&out)
		_, _ = z.Write([]byte(b))
		z.Close()
		return out.String()
	}
	// pickle.dumps({"_auth_user_id": "42", "_auth_user_hash": "x"}, 4)
	plain := "\x80\x04\x95/\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\r_auth_user_id\x94\x8c\x0242\x94\x8c\x0f_auth_user_hash\x94\x8c\x01x\x94u."
	for i, tt := range []struct{ what, blob, user string }{
		{"plain", plain, "42"},
		{"zlib", zipped(plain), "42"},
		{"an integer", "\x80\x04}\x8c\r_auth_user_idK\x2as.", "42"},
		{"os.system", "\x80\x04}\x8c\r_auth_user_idcposix\nsystem\n\x8c\x05touchx\x85Rs.", ""},
		{"STACK_GLOBAL", "\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.", ""},
		{"REDUCE", "\x80\x04}(\x8c\r_auth_user_id\x8c\x0242u)R.", ""},
		{"no dict", "\x80\x04]\x94.", ""},
		{"cut off", plain[:20], ""},
		{"empty", "", ""},
		{"a memo of nothing", "\x80\x04h\x05.", ""},
		{"a huge length", "\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.", ""},
		{"a bomb of zeros", zipped(strings.Repeat("\x00", 4<<20)), ""},
		{"a bomb of steps", "\x80\x04" + strings.Repeat("}", 200000) + ".", ""},
		{"another user in a list", "\x80\x04}\x8c\r_auth_user_id]\x8c\x0242as.", ""},
	} {
		value := fmt.Sprintf("pickledsession%dxxxxxxxx", i)
		redis.Do("SET", ":1:django.contrib.sessions.cache"+value, tt.blob)
		c := e.browser()
		a := c.post("/?set=sessionid%3D"+value+"%3B+Path%3D/", nil)
		got := c.get("/").said(t)
		if a.StatusCode != 200 || got.field("X-Edge-User") != tt.user || got.cookie("sessionid") != value {
			t.Errorf("%s: %d, user %q", tt.what, a.StatusCode, got.field("X-Edge-User"))
		}
	}
	// A key that is none of Django's is not looked up, above all not one with
	// a pattern, a path or another's prefix in it.
	watch := watchRedis(t, redis)
	for _, value := range []string{"short", "with:colon:in:it:and:more", "*", "../../etc/passwd/x"} {
		e.browser().post("/?set=sessionid%3D"+value+"%3B+Path%3D/", nil)
	}
	watch.sessions()
	for _, line := range watch.seen {
		if strings.Contains(line, "django.contrib.sessions") {
			t.Errorf("looked up: %s", line)
		}
	}
}

// adopt_once, expose, client_allow and bypass.
func TestCookiesOfTheBrowsersOwn(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := startEdge(t, app.URL, redisURL(redis), sessionRoutes+
		"  app_cookies: {adopt_once: true, expose: [csrftoken, theme], client_allow: [consent], bypass: [messages]}\n")

	// On the day of the roll-out the browser still holds Django's cookies.
	old := "Cookie: sessionid=adopted-secret; csrftoken=adopted-csrf; analytics=1"
	a := e.visitor().get("/", old)
	got := a.said(t)
	if got.cookie("sessionid") != "adopted-secret" || got.cookie("csrftoken") != "adopted-csrf" || got.cookie("analytics") != "" {
		t.Errorf("adopted: %v", got.Cookie)
	}
	var ours string
	expired := false
	for _, line := range a.setCookies() {
		switch {
		case strings.HasPrefix(line, "umbral="):
			ours, _, _ = strings.Cut(line, ";")
		case strings.HasPrefix(line, "sessionid=;") && strings.Contains(line, "Max-Age=0"):
			expired = true
		case !strings.HasPrefix(line, "csrftoken="):
			t.Errorf("adoption set %q", line)
		}
	}
	if ours == "" || !expired {
		t.Fatalf("adoption set %v", a.setCookies())
	}
	if a, _ := e.with("/", ours); a.said(t).cookie("sessionid") != "adopted-secret" || len(a.setCookies()) > 0 {
		t.Errorf("after the adoption: %s", a.Body)
	}
	// Beside the edge's own cookie the browser's is nothing, and a session
	// that the app takes back or replaces is not adopted.
	if a, _ := e.with("/", ours+"; sessionid=forged"); a.said(t).cookie("sessionid") != "adopted-secret" {
		t.Errorf("the browser's own beside ours: %s", a.Body)
	}
	keys := len(sessionKeys(t, redis))
	// Nor is one that the app has not seen; and a sign-out at the edge ends the
	// browser's own.
	if a := e.visitor().get("/public/adopt", old); len(a.setCookies()) > 0 {
		t.Errorf("adopted by a page that is asked for without cookies: %v", a.setCookies())
	}
	if a, err := e.visitor().do("POST", "/.umbral/logout", "", old, "Origin: http://"+site); err != nil || !strings.Contains(strings.Join(a.setCookies(), ","), "sessionid=; Path=/; Max-Age=0") {
		t.Errorf("a sign-out before the adoption: %v %v", err, a.setCookies())
	}
	for _, path := range []string{"/logout", "/?set=sessionid%3D%3B+Max-Age%3D0%3B+Path%3D/"} {
		a := e.visitor().get(path, old)
		for _, line := range a.setCookies() {
			if strings.HasPrefix(line, "umbral=") && len(line) > 112 && !strings.Contains(line, "Max-Age=0") {
				if b, _ := e.with("/", strings.SplitN(line, ";", 2)[0]); b.said(t).cookie("sessionid") != "" {
					t.Errorf("%s: adopted all the same: %s", path, line)
				}
			}
		}
	}
	if n := len(sessionKeys(t, redis)); n != keys {
		t.Errorf("%d records of sessions that the app does not know", n-keys)
	}

	// expose: the browser sees the app's value, and its own copy counts for
	// nothing. client_allow: the browser's own goes up, and only that.
	c := e.browser()
	c.post("/login?user=ana", nil)
	c.get("/?set=theme%3Ddark%3B+Path%3D/%3B+HttpOnly%3B+Domain%3D" + site)
	shown := false
	for _, k := range c.cookies() {
		if k.Name == "theme" {
			shown = k.Value == "dark" && !k.HttpOnly
		}
	}
	got = c.get("/", "Cookie: theme=forged; consent=yes; sessionid=forged; other=1").said(t)
	if !shown || got.cookie("theme") != "dark" || got.cookie("consent") != "yes" || got.cookie("other") != "" || strings.Contains(fmt.Sprint(got.Cookie), "forged") {
		t.Errorf("exposed %v, sent up %v", shown, got.Cookie)
	}
	for _, bad := range []string{"consent=a; consent=b", "consent=a\tb\x7f"} {
		if a, err := e.with("/", bad); err == nil && a.StatusCode == 200 && a.said(t).cookie("consent") != "" {
			t.Errorf("%q went up: %s", bad, a.Body)
		}
	}
	// Two browsers with another consent share no personal page.
	yes, _ := e.with("/tab/", "consent=yes")
	no, _ := e.with("/tab/", "consent=no")
	if yes.said(t).cookie("consent") != "yes" || no.said(t).cookie("consent") != "no" {
		t.Errorf("%s %s", yes.Body, no.Body)
	}

	// bypass: while a flash message is in the jar, no stored page.
	c.get("/public/flash")
	c.get("/?set=messages%3Dhello%3B+Path%3D/")
	if a := c.get("/public/flash"); a.Hit() || a.said(t).cookie("messages") != "hello" {
		t.Errorf("with a message in the jar: %s", a.Umbral())
	}
	c.get("/?set=messages%3D%3B+Max-Age%3D0%3B+Path%3D/")
	if a := c.get("/public/flash"); !a.Hit() {
		t.Errorf("without: %s", a.Umbral())
	}
}

// What a session costs a request: no call to Redis where this edge holds the
// record, and exactly one round trip where it does not.
func TestOneRoundTripAtMost(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := twoEdges(t, app.URL, redisURL(redis), sessionRoutes)
	c := e[0].browser()
	c.login("ana")
	key := c.recordOf(t)
	e[0].eventually("the end of the probation", func() bool { c.get("/"); return left(redis, key) > 2*time.Minute })
	c.get("/")
	watch := watchRedis(t, redis)
	for range 50 {
		c.get("/")
		c.post("/x", nil)
		c.get("/mine/")
	}
	if asked := watch.sessions(); len(asked) > 0 {
		t.Errorf("a held record cost %v", asked)
	}
	if a, err := e[1].with("/", "umbral="+c.token()); err != nil || a.said(t).field("X-Edge-User") != "ana" {
		t.Fatalf("%v %s", err, a.Body)
	}
	asked := watch.sessions()
	connections := map[string]bool{}
	for _, line := range asked {
		if i := strings.IndexByte(line, '['); i >= 0 {
			connections[line[i:strings.IndexByte(line, ']')]] = true
		}
	}
	// HGETALL and PTTL, pipelined on one connection.
	if len(asked) != 2 || len(connections) != 1 {
		t.Errorf("the first request at another edge cost %v", asked)
	}
}

// limits: what goes is counted and named in the log once, and never shown.
func TestJarsAreBounded(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := startEdge(t, app.URL, redisURL(redis), sessionRoutes+
		"  limits: {cookies: 5, cookie_bytes: 200, jar_bytes: 600, cookie_header: 400}\n", "LOG_LEVEL=debug")
	c := e.browser()
	c.login("ana")
	for i := range 8 {
		c.get(fmt.Sprintf("/?set=n%d%%3Dvalue-secret-%d%%3B+Path%%3D/", i, i))
	}
	got := c.get("/").said(t)
	for i := range 8 { // sessionid, which stays, and the four newest
		if has := got.cookie(fmt.Sprint("n", i)) != ""; has != (i >= 4) {
			t.Errorf("n%d: sent up %v", i, has)
		}
	}
	if got.cookie("sessionid") == "" {
		t.Error("the session's own cookie went")
	}
	c.get("/?set=huge%3D" + strings.Repeat("value-secret", 30))
	if got := c.get("/").said(t); got.cookie("huge") != "" {
		t.Error("a cookie over cookie_bytes was kept")
	}
	for i := range 4 {
		c.get(fmt.Sprintf("/?set=wide%d%%3D%s%%3B+Path%%3D/", i, strings.Repeat("w", 150)))
	}
	if line := strings.Join(c.get("/").said(t).Cookie, ""); len(line) > 400 || !strings.Contains(line, "wide3") || !strings.Contains(line, "sessionid") {
		t.Errorf("%d bytes of Cookie: %.60s", len(line), line)
	}
	metrics := e.adminText("/metrics")
	for _, reason := range []string{"jar_full", "cookie_too_big"} {
		if !strings.Contains(metrics, `umbral_session_events_total{reason="`+reason+`"}`) || strings.Contains(metrics, `{reason="`+reason+`"} 0`) {
			t.Errorf("%s is not counted", reason)
		}
	}
	log := e.logs.String()
	if strings.Count(log, `"cookie":"huge"`) != 1 || strings.Contains(log, "session-secret") {
		t.Errorf("the log names what went once, and no value: %d", strings.Count(log, `"cookie":"huge"`))
	}
}
