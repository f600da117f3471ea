package e2e

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"umbral/proxy/store/storetest"
)

const identityRoutes = `
version: 1
routes:
  - {match: /page/, ttl: 15m}
  - {match: /mine/, ttl: 15m, vary: user}
  - {match: /tab/, ttl: 15m, vary: session}
  - {match: /app/, ttl: app}
  - {match: /off/, cache: off}
  - {match: /control/, control: on, cache: off}
`

// signInApp signs in whoever asks /sign-in?who=, and its pages say for whom
// they are.
func signInApp(w http.ResponseWriter, r *http.Request) {
	who := "nobody"
	if c, err := r.Cookie("sessionid"); err == nil {
		who = strings.TrimPrefix(c.Value, "session-of-")
	}
	h := w.Header()
	h.Set("Content-Type", "text/html")
	switch {
	case r.URL.Path == "/sign-in":
		http.SetCookie(w, &http.Cookie{Name: "sessionid", Value: "session-of-" + r.URL.Query().Get("who"), Path: "/", HttpOnly: true})
	case strings.HasSuffix(r.URL.Path, ".css"), strings.HasSuffix(r.URL.Path, ".js"):
		h.Set("Cache-Control", "max-age=600") // as a careless app says for whatever ends so
	}
	fmt.Fprintf(w, "page of %s", who)
}

// No spelling of an address makes one person's page another's (web cache
// deception: Gil 2017, Mirheidari 2020, Kettle 2024).
func TestHostileAddressesDeceiveNoCache(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, signInApp)
	e := startEdge(t, app.URL, redisURL(redis), identityRoutes)
	victim, other := e.browser(), e.browser()
	victim.get("/sign-in?who=victim")
	other.get("/sign-in?who=other")
	victims := victim.cookies()[0]
	var targets []string
	for _, base := range []string{"/mine/", "/tab/", "/off/", "/app/", "/panel/", "/account"} {
		for _, tail := range []string{
			"", "x.css", "x.js", "%2fx.css", "%2Fx.css", ";x.css", "%3bx.css", "%00x.css", "%0ax.css", "%23x.css", "%3fx.css", "?x.css", "?utm_source=x.css",
			"/x.css", "//x.css", "./x.css", "../static/x.css", "%2e%2e/static/x.css", "..%2fstatic%2fx.css", "..;/x.css", `\x.css`, "%5cx.css", "x.css/", "x.css.", "x.css%20", ".css",
			"~x.css", "$x.css", "x.css;jsessionid=1", "x%252ecss", "x.CSS", "%E3%82%A2.css",
		} {
			targets = append(targets, base+tail)
		}
	}
	targets = append(targets, "/page/../mine/", "/page/%2e%2e/mine/", "/page/..%2fmine/", "/page/..;/mine/", "/page/%2e%2e%2fmine%2f", `/page\..\mine\`, "/%70age/../mine/x.css", "//page/x.css/../../mine/")
	ask := func(target, cookie string) string {
		line := ""
		if cookie != "" {
			line = "Cookie: umbral=" + cookie + "\r\n"
		}
		return e.wire(t, "GET "+target+" HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n"+line+"\r\n")
	}
	for _, target := range targets {
		if got := ask(target, victims.Value); strings.Contains(got, "page of other") {
			t.Fatalf("%s: the victim sees %q", target, got)
		}
		for who, cookie := range map[string]string{"nobody": "", "other": other.cookies()[0].Value} {
			if got := ask(target, cookie); strings.Contains(got, "page of victim") {
				t.Errorf("%s: %s sees %q", target, who, got)
			}
		}
	}
}

// The app hears who asks from the edge alone, whatever the visitor says and
// however it is spelled (SESSIONS §3).
func TestHostileIdentityIsOursAlone(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, signInApp)
	e := startEdge(t, app.URL, redisURL(redis), identityRoutes)
	signed := e.browser()
	signed.get("/sign-in?who=ana")
	cookie := "Cookie: umbral=" + signed.cookies()[0].Value + "\r\n"
	for _, name := range []string{
		"X-Edge-User", "x-edge-user", "X-EDGE-USER", "X_Edge_User", "X-Edge_User", "x.edge.user", "X-Edge.User", "X~Edge~User", "X!Edge!User", "x'edge'user",
		"X-Edge-Auth", "X-Edge-Session", "X-Edge-Identity", "X-Edge-Session-User", "X-Edge-Session-Logout", "X-Edge-Session-Set", "X-Edge-Anything", "X_EDGE_AUTH",
		"Remote-User", "REMOTE_USER", "X-Remote-User", "X-Remote_User", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Auth-Request-User", "X-Auth-Request-Email",
		"X-User", "X-User-Id", "X-Webauth-User", "X-Authenticated-User", "X-Ssl-Client-Dn", "Ssl-Client-Cert", "X-Client-Cert", "X-Ms-Client-Principal-Name", "X-Goog-Authenticated-User-Email", "Tailscale-User-Login", "Cf-Access-Jwt-Assertion",
	} {
		for _, how := range []struct{ name, lines, tail string }{
			{"once", name + ": evil\r\n", ""},
			{"twice", name + ": evil\r\n" + strings.ToLower(name) + ": evil2\r\n", ""},
			{"named by Connection", "Connection: " + name + ", X-Edge-Auth\r\n" + name + ": evil\r\n", ""},
			{"folded", name + ":\r\n evil\r\n", ""},
			{"in trailers", "Transfer-Encoding: chunked\r\nTrailer: " + name + "\r\n", "1\r\na\r\n0\r\n" + name + ": evil\r\n\r\n"},
		} {
			for _, who := range []string{"", cookie} {
				app.takeTargets()
				e.wire(t, "POST /off/x HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n"+who+how.lines+"\r\n"+how.tail)
				app.mu.Lock()
				seen := slices.Clone(app.seen)
				app.mu.Unlock()
				if len(seen) == 0 {
					continue // refused: no token, as RFC 9110 §5.1 has it
				}
				r := seen[0]
				for name, values := range r.Header {
					if strings.Contains(strings.Join(values, " "), "evil") {
						t.Errorf("%s, %s: the app hears %s: %q", name, how.name, name, values)
					}
				}
				if len(r.Trailer) > 0 {
					t.Errorf("%s, %s: trailers %v go up", name, how.name, r.Trailer)
				}
				want := "anonymous"
				if who != "" {
					want = "session"
				}
				if got := r.Header.Values("X-Edge-Auth"); len(got) != 1 || got[0] != want {
					t.Errorf("%s, %s: X-Edge-Auth %q, want %q", name, how.name, got, want)
				}
				if who != "" && len(r.Header.Values("X-Edge-Session")) != 1 {
					t.Errorf("%s, %s: X-Edge-Session %q", name, how.name, r.Header.Values("X-Edge-Session"))
				}
			}
		}
	}
}

// What the app says to the edge no visitor hears: in an interim answer, in
// trailers, on a miss or a hit; and it holds only where the file says so.
func TestHostileControlIsNotForVisitors(t *testing.T) {
	redis := storetest.StartRedis(t)
	fields := "X-Edge-Session-User: 42\r\nX_Edge_Session_User: 42\r\nx-edge-session-set: a=\"b\"\r\nX-Edge-Auth: user\r\nCache-Tag: secret-tag\r\nSurrogate-Key: secret-tag\r\nxkey: secret-tag\r\n" +
		"Umbral-Cache-Control: max-age=60\r\nCache-Group-Invalidation: \"secret-tag\"\r\nSet-Cookie: app=secret-tag\r\n"
	app := startWireApp(t, func(r *http.Request) string {
		return "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n" + fields + "\r\n" +
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Edge-Session-User, Set-Cookie\r\nContent-Type: text/plain\r\n" + fields + "\r\n4\r\npage\r\n0\r\n" + fields + "\r\n"
	})
	e := startEdge(t, app.URL, redisURL(redis), identityRoutes)
	for _, path := range []string{"/page/a", "/mine/a", "/app/a", "/off/a", "/unlisted", "/control/a", "/page/a%2fb"} {
		for range 2 {
			for _, version := range []string{"1.1", "1.0"} {
				all := e.wire(t, "GET "+path+" HTTP/"+version+"\r\nHost: site.test\r\nConnection: close\r\nTE: trailers\r\n\r\n")
				low := strings.ToLower(all)
				if strings.Contains(low, "edge-") || strings.Contains(low, "edge_") || strings.Contains(low, "secret-tag") || strings.Contains(low, "umbral-cache-control") || strings.Contains(low, "trailer") {
					t.Errorf("%s: a visitor hears %q", path, all)
				}
				if !strings.Contains(all, "page") {
					t.Errorf("%s: %q", path, all)
				}
				if version == "1.0" && strings.Contains(all, " 103 ") {
					t.Errorf("%s: a 1xx to HTTP/1.0 (RFC 9110 §15.2): %q", path, all)
				}
			}
		}
	}
	if all := e.wire(t, "GET /off/b HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n"); !strings.Contains(all, " 103 ") || !strings.Contains(all, "Link: </style.css>") {
		t.Errorf("the hint did not come through: %q", all)
	}
	// What the edge has set before the hint still holds after it.
	all := e.wire(t, "POST /off/c HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /off/smuggled HTTP/1.1\r\nHost: site.test\r\n\r\n")
	if as := wireAnswers(t, all, "POST"); len(as) != 1 || !as[0].Close {
		t.Errorf("after a hint the connection goes on: %q", all)
	}
}

// A flood of interim answers ends.
func TestHostileInterimAnswersEnd(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startWireApp(t, func(r *http.Request) string {
		return strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 20000) + wireOK("page") + hangUp
	})
	e := startEdge(t, app.URL, redisURL(redis), identityRoutes)
	for _, path := range []string{"/page/a", "/off/a"} {
		all := e.wire(t, "GET "+path+" HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n")
		if n := strings.Count(all, " 103 "); n > 100 {
			t.Errorf("%s: %d interim answers", path, n)
		}
		if !strings.Contains(all, "502 Bad Gateway") {
			t.Errorf("%s: %.100q…", path, all)
		}
	}
}

// An app that answers before it has read what it is sent leaves no half-read
// connection behind, on either side.
func TestHostileEarlyAnswers(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/off/refuses":
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			fmt.Fprint(w, "too large for me")
		case r.URL.Path == "/off/reads":
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
		default:
			fmt.Fprintf(w, "well %s", r.RequestURI)
		}
	})
	e := startEdge(t, app.URL, redisURL(redis), identityRoutes)
	large := strings.Repeat("GET /off/smuggled HTTP/1.1\r\nHost: site.test\r\n\r\n", 100_000) // 4.7 MB
	for i := range 10 {
		v := e.visitor()
		a, err := v.do("POST", "/off/refuses", large)
		if err == nil && (a.StatusCode != 413 || a.Body != "too large for me") {
			t.Errorf("%d %q", a.StatusCode, a.Body)
		}
		path := fmt.Sprintf("/off/next/%d", i)
		if a := v.get(path); a.Body != "well "+path {
			t.Errorf("the next was answered with %d %q", a.StatusCode, a.Body)
		}
	}
	if asked := app.askedFor("/off/smuggled"); len(asked) > 0 {
		t.Errorf("%d requests were smuggled", len(asked))
	}
	// The edge asks for content only when the app wants it, and says so once.
	c := e.dialWire(t)
	defer c.Close()
	_, _ = io.WriteString(c, "POST /off/reads HTTP/1.1\r\nHost: site.test\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
	head := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
	if _, err := io.ReadFull(c, head); err != nil || !strings.HasPrefix(string(head), "HTTP/1.1 100 ") {
		t.Fatalf("%v %q", err, head)
	}
	_, _ = io.WriteString(c, "abc")
	if rest := drainWire(t, c); !strings.Contains(rest, "\r\n\r\n3") {
		t.Errorf("%q", rest)
	}
}

// What is out of bounds is said so, and nothing behind it is a request.
func TestHostileSizes(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	})
	e := startEdge(t, app.URL, redisURL(redis), identityRoutes+"limits: {body: 64KiB, url: 2KiB, header: 16KiB}\n")
	for _, tt := range []struct {
		name, raw string
		status    int
	}{
		{"declared content", "POST /off/a HTTP/1.1\r\nHost: site.test\r\nContent-Length: 70000\r\n\r\n" + strings.Repeat("x", 70000), 413},
		{"content declared as huge", "POST /off/a HTTP/1.1\r\nHost: site.test\r\nContent-Length: 9000000000000000000\r\n\r\n", 413},
		{"chunked content", "POST /off/a HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1000\r\n"+strings.Repeat("x", 4096)+"\r\n", 20) + "0\r\n\r\n", 413},
		{"one chunk beyond all", "POST /off/a HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n" + strings.Repeat("x", 70000), 413},
		{"target", "GET /" + strings.Repeat("a", 3000) + " HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n", 414},
		{"header section", "GET / HTTP/1.1\r\nHost: site.test\r\nX: " + strings.Repeat("a", 30000) + "\r\n\r\n", 431},
		{"expected content", "POST /off/a HTTP/1.1\r\nHost: site.test\r\nExpect: 100-continue\r\nContent-Length: 700000\r\n\r\n", 413},
	} {
		t.Run(tt.name, func(t *testing.T) {
			as := wireAnswers(t, e.wire(t, tt.raw+smuggled), "POST")
			if len(as) == 0 || as[0].StatusCode != tt.status || len(as) > 1 {
				t.Errorf("%v, want %d", statusesOf(as), tt.status)
			}
		})
	}
	if asked := app.askedFor("/smuggled"); len(asked) > 0 {
		t.Errorf("%d requests were smuggled", len(asked))
	}
}
