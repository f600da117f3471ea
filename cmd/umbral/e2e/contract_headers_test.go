package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/dunglas/httpsfv"

	"umbral/cachepolicy"
	"umbral/proxy/store/storetest"
)

// checkStatus holds an answer's Cache-Status against RFC 9211 §2 and
// CONTRACT.md §4: our member comes last, and says hit, or else why not, in a
// word from the closed list.
func checkStatus(t *testing.T, what string, h http.Header) {
	t.Helper()
	list, err := httpsfv.UnmarshalList(h.Values("Cache-Status"))
	if err != nil || len(list) == 0 {
		t.Errorf("%s: Cache-Status %q: %v", what, h.Values("Cache-Status"), err)
		return
	}
	member, ok := list[len(list)-1].(httpsfv.Item)
	if !ok || member.Value != httpsfv.Token("umbral") {
		t.Errorf("%s: Cache-Status %q", what, h.Values("Cache-Status"))
		return
	}
	if hit, _ := member.Params.Get("hit"); hit == true {
		return
	}
	detail, _ := member.Params.Get("detail")
	word, ok := detail.(httpsfv.Token)
	if !ok || !slices.ContainsFunc(cachepolicy.Reasons(), func(r cachepolicy.Reason) bool { return r.String() == string(word) }) {
		t.Errorf("%s: Cache-Status %q gives no reason of the list", what, h.Values("Cache-Status"))
	}
}

// TestEveryAnswerHasAStatusWithItsReason goes through every way to an answer.
func TestEveryAnswerHasAStatusWithItsReason(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := contractApp(t)
	h := app.h
	app.set(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/abort"):
			panic(http.ErrAbortHandler)
		case strings.HasSuffix(r.URL.Path, "/socket"):
			conn, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
			rw.Flush()
		case strings.HasSuffix(r.URL.Path, "/cookie"):
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
			h(w, r)
		case strings.HasSuffix(r.URL.Path, "/nostore"):
			w.Header().Set("Cache-Control", "no-store")
			h(w, r)
		default:
			h(w, r)
		}
	})
	e := startEdge(t, app.URL, redisURL(redis), contractRoutes+`
limits: {body: 1KiB, url: 4KiB}
`)
	v := e.visitor()
	tag := v.get("/page/7").Header.Get("Etag")
	for _, test := range []struct {
		line   string
		code   int
		header []string
	}{
		{"GET /page/7", 200, nil},
		{"GET /page/8", 200, nil},
		{"HEAD /page/7", 200, nil},
		{"HEAD /page/9", 200, nil},
		{"GET /page/7", 304, []string{"If-None-Match: " + tag}},
		{"GET /page/7", 412, []string{"If-Match: \"other\""}},
		{"GET /page/7", 206, []string{"Range: bytes=0-1"}},
		{"GET /page/7", 416, []string{"Range: bytes=99999-"}},
		{"GET /page/cookie", 200, nil},
		{"GET /page/nostore", 200, nil},
		{"GET /page/nostore", 200, nil}, // now remembered
		{"GET /page/none", 404, nil},
		{"GET /page/broken", 500, nil},
		{"GET /page/abort", 502, nil},
		{"GET /verify/none", 404, nil},
		{"GET /verify/moved", 301, nil},
		{"GET /mine/x", 200, nil},
		{"GET /off/x", 200, nil},
		{"GET /off/abort", 502, nil},
		{"GET /app/x", 200, nil},
		{"GET /unlisted", 200, nil},
		{"GET /page/../off/x", 200, nil},
		{"GET /page//7", 200, nil},
		{"POST /page/7", 200, nil},
		{"OPTIONS /page/7", 200, nil},
		{"DELETE /page/7", 200, nil},
		{"TRACE /page/7", 405, nil},
		{"FROB /page/7", 501, nil},
		{"POST /.umbral/logout", 403, nil},
		{"POST /.umbral/logout", 204, []string{"Origin: http://" + site}},
		{"GET /page/7?" + strings.Repeat("a", 5000), 414, nil},
		{"GET /page/7", 400, []string{"Host: a:b:c"}},
		{"GET /page/only", 504, []string{"Cache-Control: only-if-cached"}},
		{"GET /off/x", 504, []string{"Cache-Control: only-if-cached"}},
		{"HEAD /off/x", 504, []string{"Cache-Control: only-if-cached"}},
		{"POST /off/x", 200, []string{"Cache-Control: only-if-cached"}},
		{"GET /page/nostore", 504, []string{"Cache-Control: only-if-cached"}},
	} {
		method, path, _ := strings.Cut(test.line, " ")
		what := fmt.Sprintf("%.60s %v", test.line, test.header)
		a, err := v.do(method, path, "", test.header...)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if a.StatusCode != test.code {
			t.Errorf("%s: %d, want %d", what, a.StatusCode, test.code)
		}
		checkStatus(t, what, a.Header)
		if a.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s: no X-Request-Id", what)
		}
	}
	if a, err := v.do("POST", "/off/x", strings.Repeat("x", 2000)); err != nil || a.StatusCode != 413 {
		t.Errorf("a large body: %v %v", a.Response, err)
	} else {
		checkStatus(t, "a large body", a.Header)
	}

	// A websocket's 101.
	r, _ := http.NewRequest("GET", e.URL+"/off/socket", nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	ws, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || ws.StatusCode != 101 {
		t.Fatalf("upgrade: %v %v", ws, err)
	}
	ws.Body.Close()
	checkStatus(t, "101", ws.Header)

	// The app gone altogether: stored, and not.
	app.CloseClientConnections()
	app.Close()
	for _, path := range []string{"/page/8", "/page/new", "/off/x", "/unlisted"} {
		checkStatus(t, "without the app: "+path, v.get(path).Header)
	}
}

// TestFieldsOfTheAppAreTakenOff: what is for the edge is not for visitors.
func TestFieldsOfTheAppAreTakenOff(t *testing.T) {
	redis := storetest.StartRedis(t)
	n := numbered()
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		for name, value := range r.URL.Query() {
			for _, v := range value {
				w.Header().Add(name, v)
			}
		}
		n(w, r)
	})
	e := startEdge(t, app.URL, redisURL(redis), `
version: 1
routes:
  - match: /page/{id}
    ttl: app
`)
	v := e.visitor()
	const all = "?Umbral-Cache-Control=max-age=60&CDN-Cache-Control=max-age=50&Cache-Control=max-age=40&Cache-Tag=one,two&Cache-Tag=three&Surrogate-Key=four+five&xkey=six&Cache-Groups=%22seven%22" +
		"&X-Edge-Session-User=9&X-Edge-Session-Logout=all&X-Edge-Session-Set=a%3D1&X-Edge-Identity=x"
	for i := range 2 {
		a := v.get("/page/1" + all)
		if a.Hit() != (i == 1) {
			t.Errorf("number %d: %s", i, a.Umbral())
		}
		for name := range a.Header {
			switch strings.ToLower(name) {
			case "umbral-cache-control", "cache-tag", "surrogate-key", "xkey":
				t.Errorf("%s reaches the visitor", name)
			}
			if strings.HasPrefix(strings.ToLower(name), "x-edge-") {
				t.Errorf("%s reaches the visitor", name)
			}
		}
		if a.Header.Get("CDN-Cache-Control") != "max-age=50" || a.Header.Get("Cache-Groups") != `"seven"` || a.Header.Get("Cache-Control") != "max-age=40" {
			t.Errorf("header %v", a.Header)
		}
	}
	// In that order, before Cache-Control.
	for query, ttl := range map[string]string{
		all: "60", "?CDN-Cache-Control=max-age=50&Cache-Control=max-age=40": "50", "?Cache-Control=max-age=40": "40",
		"?Umbral-Cache-Control=no-store&Cache-Control=max-age=40": "", "?CDN-Cache-Control=%3B%3B&Cache-Control=max-age=40": "40",
	} {
		a := v.get("/page/2" + query)
		stored := strings.Contains(a.Umbral(), "; stored; ttl=")
		if stored != (ttl != "") || stored && !strings.Contains(a.Umbral(), "ttl="+ttl) && !strings.Contains(a.Umbral(), "ttl="+fmt.Sprint(atoi(ttl)-1)) {
			t.Errorf("%s: %s, want ttl %s", query, a.Umbral(), ttl)
		}
	}
	// Each of them is a tag to purge by.
	for _, tag := range []string{"one", "two", "three", "four", "five", "six", "seven"} {
		v.get("/page/1" + all)
		if !v.get("/page/1" + all).Hit() {
			t.Fatalf("%s: not stored", tag)
		}
		if e.purge(map[string]any{"tags": []string{tag}}); v.get("/page/1" + all).Hit() {
			t.Errorf("the tag %s does not purge", tag)
		}
	}
	// An unsafe request's answer purges groups (RFC 9875 §3).
	v.get("/page/1" + all)
	if !v.get("/page/1" + all).Hit() {
		t.Fatal("not stored")
	}
	if a, err := v.do("POST", "/other?Cache-Group-Invalidation=%22seven%22", "x"); err != nil || a.StatusCode != 200 {
		t.Fatalf("post: %v %v", a.Response, err)
	}
	if v.get("/page/1" + all).Hit() {
		t.Error("Cache-Group-Invalidation purges nothing")
	}
	if a := v.get("/page/9?Cache-Control=max-age=40&Cache-Group-Invalidation=%22seven%22"); !v.get("/page/1"+all).Hit() && a.StatusCode == 200 {
		if v.get("/page/1" + all); !v.get("/page/1" + all).Hit() {
			t.Error("a GET's answer has invalidated a group")
		}
	}
}

func atoi(s string) (n int) {
	fmt.Sscan(s, &n)
	return n
}

// TestFieldsForTheAppAreSet: by the edge, whatever the visitor says.
func TestFieldsForTheAppAreSet(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := contractApp(t)
	e := startEdge(t, app.URL, redisURL(redis), contractRoutes)
	trusting := startEdge(t, app.URL, redisURL(redis), contractRoutes, "TRUSTED_PROXIES=127.0.0.0/8")
	lies := []string{
		"X-Edge-Auth: user", "X-Edge-User: root", "X-Edge-Session: x", "X-Edge-Identity: x", "X_Edge_User: root", "x-edge.user: root",
		"X-Forwarded-For: 9.9.9.9", "X-Forwarded-Host: evil.test", "X-Forwarded-Proto: https", "Forwarded: for=9.9.9.9;host=evil.test",
		"X-Real-Ip: 9.9.9.9", "X-Request-Id: from-outside", "Remote-User: root",
	}
	e.visitor().get("/off/x", lies...)
	up := app.last().Header
	for name, want := range map[string]string{
		"X-Edge-Auth": "anonymous", "X-Edge-User": "", "X-Edge-Session": "", "X-Edge-Identity": "", "X_edge_user": "", "X-Edge.user": "",
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": site, "X-Forwarded-Proto": "http", "X-Real-Ip": "", "Remote-User": "",
	} {
		if got := strings.Join(up.Values(name), "|"); got != want {
			t.Errorf("%s: the app sees %q, want %q", name, got, want)
		}
	}
	if got := up.Get("Forwarded"); !strings.Contains(got, "127.0.0.1") || !strings.Contains(got, site) || strings.Contains(got, "9.9.9.9") || strings.Contains(got, "evil") {
		t.Errorf("Forwarded: %q", got)
	}
	if got := up.Get("Via"); !strings.Contains(got, "umbral") {
		t.Errorf("Via: %q", got)
	}
	if got := up.Get("X-Request-Id"); got == "" || got == "from-outside" {
		t.Errorf("X-Request-Id: %q", got)
	}
	if app.last().Host != site {
		t.Errorf("Host: %q", app.last().Host)
	}
	a := trusting.visitor().get("/off/x", lies...)
	up = app.last().Header
	if got := up.Get("X-Request-Id"); got != "from-outside" || a.Header.Get("X-Request-Id") != got {
		t.Errorf("X-Request-Id of a trusted proxy: %q up, %q down", got, a.Header.Get("X-Request-Id"))
	}
	if got := up.Get("X-Forwarded-For"); !strings.HasPrefix(got, "9.9.9.9") {
		t.Errorf("X-Forwarded-For of a trusted proxy: %q", got)
	}
	if up.Get("X-Forwarded-Proto") != "https" || up.Get("X-Edge-User") != "" {
		t.Errorf("of a trusted proxy: %v", up)
	}
	ana := e.signIn("ana")
	ana.get("/off/x", lies...)
	up = app.last().Header
	if up.Get("X-Edge-Auth") != "user" || up.Get("X-Edge-User") != "ana" || up.Get("X-Edge-Session") == "" || strings.Count(up.Get("X-Edge-Identity"), ".") != 2 {
		t.Errorf("of who is signed in: %v", up)
	}
	if got := up.Get("Cookie"); got != "sessionid=sid-of-ana" {
		t.Errorf("Cookie: %q", got)
	}
}

// TestAdminTokenMakesDirectivesCount: CACHING.md §1. The token is the edge's
// alone, so that the app neither sees it nor takes the page for somebody's.
func TestAdminTokenMakesDirectivesCount(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := contractApp(t)
	e := startEdge(t, app.URL, redisURL(redis), contractRoutes)
	v := e.visitor()
	v.get("/page/t", bearer)
	if a := v.get("/page/t"); !a.Hit() {
		t.Errorf("not stored with the token: %s", a.Umbral())
	}
	if a := v.get("/page/t", bearer, "Cache-Control: no-cache"); !strings.Contains(a.Umbral(), "fwd=request") || !strings.Contains(a.Umbral(), "detail=request-no-cache") {
		t.Errorf("no-cache with the token: %s", a.Umbral())
	}
	if a := v.get("/page/t", bearer, "Cache-Control: no-store"); !strings.Contains(a.Umbral(), "detail=request-no-store") {
		t.Errorf("no-store with the token: %s", a.Umbral())
	}
	if a := v.get("/page/t", bearer+"x", "Cache-Control: no-cache"); !a.Hit() {
		t.Errorf("no-cache with a wrong token: %s", a.Umbral())
	}
	v.get("/off/t", bearer)
	if got := app.last().Header.Values("Authorization"); len(got) > 0 {
		t.Errorf("the app sees the token")
	}
	v.get("/off/t", "Authorization: Bearer of-the-app")
	if got := app.last().Header.Get("Authorization"); got != "Bearer of-the-app" {
		t.Errorf("the app sees Authorization %q, want its own", got)
	}
	none := startEdge(t, app.URL, redisURL(redis), contractRoutes, "ADMIN_TOKEN=")
	if a := none.visitor().get("/page/t", "Authorization: Bearer ", "Cache-Control: no-cache"); !a.Hit() {
		t.Errorf("no-cache where no token is set: %s", a.Umbral())
	}
}

// TestCookieIsTheOnlyOne, by CONTRACT.md §5.
func TestCookieIsTheOnlyOne(t *testing.T) {
	redis := storetest.StartRedis(t)
	e := startEdge(t, contractApp(t).URL, redisURL(redis), contractRoutes, "COOKIE_SECURE=true")
	conn, err := net.Dial("tcp", strings.TrimPrefix(e.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /login HTTP/1.1\r\nHost: %s\r\nOrigin: https://%s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 8\r\n\r\nuser=ana", site, site)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got := resp.Header.Values("Set-Cookie")
	if len(got) != 1 || !strings.HasPrefix(got[0], "__Host-umbral=") || strings.Contains(got[0], "Domain") || strings.Contains(strings.Join(got, ""), "sessionid") {
		t.Fatalf("Set-Cookie %q", got)
	}
	for _, attribute := range []string{"; Path=/", "; HttpOnly", "; Secure", "; SameSite=Lax"} {
		if !strings.Contains(got[0], attribute) {
			t.Errorf("%q lacks %q", got[0], attribute)
		}
	}
}
