package e2e

import (
	"compress/gzip"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"umbral/proxy/store/storetest"
)

const esiRoutes = `
version: 1
routes:
  - {match: /esi/, ttl: 15m, esi: on}
  - {match: /esi/app/, ttl: app, esi: on}
  - {match: /esi/off/, cache: off, esi: on}
  - {match: /esi/missing/, ttl: 15m, esi: on, status: {404: 1m}}
  - {match: /esi/mine/, ttl: 15m, vary: session, esi: on}
  - {match: /plain/, ttl: 15m}
  - {match: /fragment/, ttl: 15m}
  - {match: /mine/, ttl: 15m, vary: session}
`

// esiPage is the page that every path under /esi/ is.
const esiPage = `<p>page</p>[<esi:include src="/fragment/a"/>]<esi:remove>never</esi:remove><esi:vars>$(QUERY_STRING{name})</esi:vars>`

// esiApp has pages with tags, and pages that repeat what visitors say.
func esiApp(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	switch {
	case strings.HasPrefix(r.URL.Path, "/fragment/"), strings.HasPrefix(r.URL.Path, "/plain/"):
		fmt.Fprintf(w, "fragment %s", r.URL.Query().Get("say"))
		return
	case strings.HasPrefix(r.URL.Path, "/mine/"):
		http.SetCookie(w, &http.Cookie{Name: "seen", Value: "1", Path: "/"})
		fmt.Fprintf(w, "mine of %q", r.Header.Get("Cookie"))
		return
	case r.URL.Path == "/flash":
		http.SetCookie(w, &http.Cookie{Name: "messages", Value: "saved", Path: "/"})
		return
	}
	h.Set("Etag", `"of-the-template"`)
	switch {
	case name == "no-store":
		h.Set("Cache-Control", "no-store")
	case strings.HasPrefix(r.URL.Path, "/esi/app/"):
		h.Set("Cache-Control", "public, max-age=600")
		h.Set("Cdn-Cache-Control", "max-age=600")
	}
	if r.Method == http.MethodPost || name == "404" || name == "500" {
		code := map[string]int{"404": 404, "500": 500}[name]
		if code == 0 {
			code = http.StatusOK
		}
		w.WriteHeader(code)
		fmt.Fprint(w, esiPage)
		return
	}
	if name == "gzip" || strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		fmt.Fprint(z, esiPage)
		return
	}
	http.ServeContent(w, r, "", time.Unix(1e9, 0), strings.NewReader(esiPage))
}

// Whatever is asked of a page with tags, and however, no browser sees one of
// them, and nothing is said of the template as if it were the page.
func TestHostileNoTagIsEverShown(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, esiApp)
	e := startEdge(t, app.URL, redisURL(redis), esiRoutes)
	flashed := e.browser()
	flashed.get("/flash")
	n := 0
	for _, route := range []string{"/esi/", "/esi/app/", "/esi/off/", "/esi/missing/", "/esi/mine/"} {
		for _, page := range []string{"page", "no-store", "404", "500", "gzip"} {
			for _, ask := range []struct{ name, method, line string }{
				{"GET", "GET", ""},
				{"HEAD", "HEAD", ""},
				{"POST", "POST", ""},
				{"gzip", "GET", "Accept-Encoding: gzip"},
				{"br", "GET", "Accept-Encoding: br, gzip;q=0.5"},
				{"range", "GET", "Range: bytes=5-40"},
				{"If-Range", "GET", "Range: bytes=5-40\r\nIf-Range: \"of-the-template\""},
				{"condition", "GET", `If-None-Match: "of-the-template"`},
				{"date", "GET", "If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT"},
				{"any", "GET", "If-None-Match: *"},
				{"HEAD with condition", "HEAD", `If-None-Match: "of-the-template"`},
				{"Authorization", "GET", "Authorization: Bearer x"},
				{"with content", "GET", "Content-Length: 1\r\n\r\nx"},
			} {
				paths := []string{route + "x/" + page}
				if route == "/esi/" {
					paths = append(paths, route+"x%2f"+page) // goes up as it came, and is not stored
				}
				for _, path := range paths {
					n++
					target := fmt.Sprintf("%s?n=%d&name=%%3Cb%%3E", path, n)
					for again := range 2 {
						request := ask.method + " " + target + " HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n" + ask.line + "\r\n\r\n"
						if strings.HasSuffix(ask.line, "\r\n\r\nx") {
							request = strings.TrimSuffix(request, "\r\n\r\n")
						}
						as := wireAnswers(t, e.wire(t, request), ask.method)
						if len(as) != 1 {
							t.Fatalf("%s %s: %d answers", ask.name, target, len(as))
						}
						judgeAssembled(t, fmt.Sprintf("%s %s (%d)", ask.name, target, again), ask.method, as[0])
					}
				}
			}
			target := route + "f/" + page + "?name=%3Cb%3E"
			judgeAssembled(t, "flashed "+target, "GET", flashed.get(target))
		}
	}
}

func judgeAssembled(t *testing.T, what, method string, a answer) {
	t.Helper()
	if strings.Contains(a.Body, "esi:") || strings.Contains(a.Body, "never") || strings.Contains(a.Body, "$(") || strings.Contains(a.Body, "<b>") {
		t.Errorf("%s: %d %v %q", what, a.StatusCode, a.Header, a.Body)
	}
	if a.StatusCode >= 500 && !strings.Contains(what, "500?") || a.StatusCode == 304 || a.StatusCode == 206 || a.StatusCode == 412 || a.StatusCode == 416 {
		t.Errorf("%s: %d", what, a.StatusCode)
	}
	if method != "HEAD" && !strings.Contains(a.Body, "<p>page</p>[fragment ]") {
		t.Errorf("%s: %d %q", what, a.StatusCode, a.Body)
	}
	for _, name := range []string{"Etag", "Last-Modified", "Accept-Ranges", "Content-Range", "Content-Encoding", "Cdn-Cache-Control", "Expires"} {
		if a.Header.Get(name) != "" {
			t.Errorf("%s: %s: %s speaks of the template", what, name, a.Header.Get(name))
		}
	}
	if strings.Contains(what, "no-store") && !strings.Contains(a.Header.Get("Cache-Control"), "no-store") {
		t.Errorf("%s: the app's no-store is gone: %q", what, a.Header.Get("Cache-Control"))
	}
	if method == "HEAD" && a.ContentLength >= 0 && a.ContentLength == int64(len(esiPage)) {
		t.Errorf("%s: the length of the template", what)
	}
}

// Text that came from a visitor is text: it names no fragment, on no route,
// and ends no element, attribute or string (ESI injection, GoSecure 2018).
func TestHostileTextIsNoTag(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		said := r.URL.Query().Get("say")
		switch {
		case strings.HasPrefix(r.URL.Path, "/secret"):
			fmt.Fprint(w, "secret")
		case strings.HasPrefix(r.URL.Path, "/plain/"): // repeats it as it came
			fmt.Fprintf(w, "plain [%s]", said)
		case r.URL.Path == "/esi/around": // includes what repeats it
			fmt.Fprintf(w, `around <esi:include src="/plain/x?say=$(QUERY_STRING{say})"/>`)
		case r.URL.Path == "/esi/escaped":
			fmt.Fprintf(w, "escaped [%s]", html.EscapeString(said))
		case r.URL.Path == "/esi/vars":
			fmt.Fprint(w, `<esi:vars>[$(QUERY_STRING{say})] <a title="$(QUERY_STRING{say})" href='$(QUERY_STRING)'> $(HTTP_HOST)</esi:vars>`)
		case r.URL.Path == "/esi/src":
			fmt.Fprint(w, `[<esi:include src="/plain/$(QUERY_STRING{say})" onerror="continue"/>]`)
		case r.URL.Path == "/esi/query":
			fmt.Fprint(w, `[<esi:include src="/plain/x?say=$(QUERY_STRING{say})&b=1" onerror="continue"/>]`)
		}
	})
	e := startEdge(t, app.URL, redisURL(redis), esiRoutes)
	v := e.visitor()
	for _, said := range []string{
		`<esi:include src="/secret"/>`, `<esi:include src='/secret'/>`, `<ESI:include src="/secret"/>`, `<esi:include src=/secret />`,
		`<!--esi <esi:include src="/secret"/> -->`, `--><esi:include src="/secret"/><!--`, `<esi:vars>$(QUERY_STRING{x})</esi:vars>`,
		`<es<esi:x/>i:include src="/secret"/>`, `<esi:include src="/secret`, `</esi:vars><esi:include src="/secret"/>`, `$(HTTP_COOKIE)`, `$(EDGE_USER)`,
		`"><script>alert(1)</script>`, `'><script>alert(1)</script>`, "\"onmouseover=alert(1) x=", `</esi:try>`, "<esi:remove>", `<esi:include src="http://127.0.0.1/secret"/>`,
		"<esi:\x00include src=\"/secret\"/>", "%3Cesi:include src=%22/secret%22/%3E", `&lt;esi:include src="/secret"/&gt;`,
	} {
		query := "?say=" + url.QueryEscape(said)
		plain := v.get("/plain/y" + query)
		if plain.Body != "plain ["+said+"]" || strings.Contains(plain.Body, "[secret]") {
			t.Errorf("on a route without esi %q became %q", said, plain.Body)
		}
		for _, page := range []string{"/esi/around", "/esi/escaped", "/esi/vars", "/esi/query", "/esi/src"} {
			a := v.get(page + query)
			if a.StatusCode != 200 || strings.Contains(a.Body, "[secret") || strings.Contains(a.Body, "around secret") || strings.Contains(a.Body, "<esi:") || strings.Contains(a.Body, "<!--esi") {
				t.Errorf("%s with %q: %d %q", page, said, a.StatusCode, a.Body)
			}
			if page == "/esi/vars" && strings.ContainsAny(strings.NewReplacer(`<a title="`, "", `" href='`, "", `'>`, "").Replace(a.Body), `<>"'`) {
				t.Errorf("%s with %q: %q", page, said, a.Body)
			}
		}
	}
	for _, target := range app.takeTargets() {
		if strings.Contains(target, "/secret") && !strings.Contains(target, "?") && !strings.Contains(target, "/plain/") {
			t.Errorf("the app was asked %s", target)
		}
	}
}

// src and alt name this site's own paths, whoever wrote them and however
// (SSRF through ESI, GoSecure 2018).
func TestHostileFragmentsAreThisSites(t *testing.T) {
	redis := storetest.StartRedis(t)
	other := startApp(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "other") })
	outside := strings.TrimPrefix(other.URL, "http://")
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if r.URL.Path == "/esi/page" {
			src := html.EscapeString(r.URL.Query().Get("src"))
			fmt.Fprintf(w, `[<esi:include src="%s" onerror="continue"/>][<esi:include src="/gone" alt="%s" onerror="continue"/>]`, src, src)
			return
		}
		if r.URL.Path == "/gone" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintf(w, "own %s %s", r.Host, r.RequestURI)
	})
	e := startEdge(t, app.URL, redisURL(redis), esiRoutes)
	for src, want := range map[string]string{
		"/fragment/a":                         "own site.test /fragment/a",
		"http://site.test/fragment/a":         "own site.test /fragment/a",
		"b":                                   "own site.test /esi/b",
		"../fragment/a":                       "own site.test /fragment/a",
		"/x/../fragment/a":                    "own site.test /fragment/a",
		"../../../../fragment/a":              "own site.test /fragment/a",
		"http://" + outside + "/":             "",
		"//" + outside + "/":                  "",
		"///" + outside + "/":                 "",
		"/\\" + outside + "/":                 "",
		"\\\\" + outside + "/":                "",
		"http:\\\\" + outside + "/":           "",
		"http:/" + outside + "/":              "",
		"http:" + outside + "/":               "",
		"https://" + outside + "/":            "",
		"ftp://site.test/":                    "",
		"file:///etc/passwd":                  "",
		"javascript:alert(1)":                 "",
		"data:text/html,x":                    "",
		"http://site.test@" + outside + "/":   "",
		"http://" + outside + "#site.test/":   "",
		"http://site.test:81/":                "",
		"http://user@site.test/fragment/a":    "",
		"http://site.test." + outside + "/":   "",
		" http://" + outside + "/":            "",
		"\thttp://" + outside + "/":           "",
		"/fragment/a\r\nX-Edge-User: 1":       "",
		"/fragment/a HTTP/1.1":                "",
		"/fragment/\x00":                      "",
		"/fragment/a#x":                       "own site.test /fragment/a",
		"/fragment/%2e%2e/%2e%2e/secret":      "own site.test /fragment/%2e%2e/%2e%2e/secret",
		"/fragment/..%2f..%2fsecret":          "own site.test /fragment/..%2f..%2fsecret",
		"/fragment/a?x=http://" + outside:     "own site.test /fragment/a?x=http://" + outside,
		"":                                    "",
		"?x":                                  "",
		"/.umbral/logout":                     "",
		"/fragment/" + strings.Repeat("%", 5): "",
	} {
		t.Run(fmt.Sprintf("%.40q", src), func(t *testing.T) {
			a := e.visitor().get("/esi/page?src=" + url.QueryEscape(src))
			if a.StatusCode != 200 {
				t.Fatalf("%d %q", a.StatusCode, a.Body)
			}
			if src == "?x" || src == "/.umbral/logout" {
				return // the page itself, and what the edge says there: neither is another site
			}
			if a.Body != "["+want+"]["+want+"]" {
				t.Errorf("%q, want %q", a.Body, want)
			}
		})
	}
	if n := other.Asked.Load(); n > 0 {
		t.Errorf("the other site was asked %d times", n)
	}
}

// Fragments have an end: in depth, in number and in bytes, and what
// does not end leaves the rest of the page as it is.
func TestHostileFragmentsHaveAnEnd(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		switch r.URL.Path {
		case "/esi/itself":
			fmt.Fprint(w, `(<esi:include src="/esi/itself" onerror="continue"/>)`)
		case "/esi/ping":
			fmt.Fprint(w, `ping <esi:include src="/esi/pong" onerror="continue"/>`)
		case "/esi/pong":
			fmt.Fprint(w, `pong <esi:include src="/esi/ping" onerror="continue"/>`)
		case "/esi/many":
			for i := range 1000 {
				fmt.Fprintf(w, `<esi:include src="/fragment/%d" onerror="continue"/>`, i)
			}
		case "/esi/deep":
			fmt.Fprint(w, strings.Repeat("<esi:try><esi:attempt>", 20000)+"deep")
		case "/esi/large":
			fmt.Fprint(w, `[<esi:include src="/off/large" onerror="continue"/>]`)
		case "/off/large":
			block := strings.Repeat("x", 1<<20)
			for range 64 {
				if _, err := fmt.Fprint(w, block); err != nil {
					return
				}
			}
		case "/esi/coded":
			fmt.Fprint(w, `[<esi:include src="/off/coded" onerror="continue"/>]`)
		case "/off/coded":
			w.Header().Set("Content-Encoding", "gzip")
			fmt.Fprint(w, "\x1f\x8b\x08 not a page")
		default:
			fmt.Fprint(w, ".")
		}
	})
	e := startEdge(t, app.URL, redisURL(redis), esiRoutes)
	v := e.visitor()
	for path, want := range map[string]string{
		"/esi/itself": "(((())))",
		"/esi/ping":   "ping pong ping pong ",
		"/esi/many":   strings.Repeat(".", 64),
		"/esi/large":  "[]",
		"/esi/coded":  "[]",
	} {
		if a := v.get(path); a.StatusCode != 200 || a.Body != want {
			t.Errorf("%s: %d %d bytes %.80q", path, a.StatusCode, len(a.Body), a.Body)
		}
	}
	if a := v.get("/esi/deep"); a.StatusCode != 200 || strings.Contains(a.Body, "esi:") {
		t.Errorf("deep: %d %.80q", a.StatusCode, a.Body)
	}
	if n := app.askedFor("/esi/itself"); len(n) > 1 {
		t.Errorf("a page that includes itself was fetched %d times", len(n))
	}
}

// A fragment that is one person's is nobody else's, within a page of all.
func TestHostilePersonalFragmentsInPublicPages(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		switch {
		case r.URL.Path == "/sign-in":
			http.SetCookie(w, &http.Cookie{Name: "sessionid", Value: "session-of-" + r.URL.Query().Get("who"), Path: "/"})
		case strings.HasPrefix(r.URL.Path, "/esi/"):
			w.Header().Set("Cdn-Cache-Control", "max-age=600")
			fmt.Fprint(w, `all <esi:include src="/mine/name"/> <esi:include src="/whoever"/>`)
		default:
			c, _ := r.Cookie("sessionid")
			who := "nobody"
			if c != nil {
				who = strings.TrimPrefix(c.Value, "session-of-")
			}
			w.Header().Set("Cache-Control", "public, max-age=600") // an app that lies
			fmt.Fprintf(w, "%s at %s", who, r.URL.Path)
		}
	})
	e := startEdge(t, app.URL, redisURL(redis), esiRoutes)
	ana, luis, stranger := e.browser(), e.browser(), e.visitor()
	ana.get("/sign-in?who=ana")
	luis.get("/sign-in?who=luis")
	for range 3 {
		for who, c := range map[string]*client{"ana": ana, "luis": luis, "nobody": stranger} {
			a := c.get("/esi/page")
			if !strings.HasPrefix(a.Body, "all "+who+" at /mine/name ") {
				t.Errorf("%s got %q", who, a.Body)
			}
			if cc := a.Header.Get("Cache-Control"); !strings.Contains(cc, "private") || a.Header.Get("Cdn-Cache-Control") != "" {
				t.Errorf("%s: Cache-Control %q, CDN-Cache-Control %q", who, cc, a.Header.Get("Cdn-Cache-Control"))
			}
		}
	}
	for _, key := range keysOf(t, redis) {
		if dump := dumpOf(t, redis, key); strings.Contains(dump, "ana at /mine") || strings.Contains(dump, "luis at /mine") {
			t.Errorf("%s holds a name in the clear", key)
		}
	}
}

// A fragment that gives its visitor a cookie gives it to the browser.
func TestHostileFragmentsCookiesReachTheirVisitor(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		switch r.URL.Path {
		case "/esi/page":
			fmt.Fprint(w, `<esi:include src="/form"/>`)
		case "/form":
			http.SetCookie(w, &http.Cookie{Name: "csrftoken", Value: "token", Path: "/"})
			fmt.Fprint(w, "form")
		default:
			fmt.Fprintf(w, "%q", r.Header.Get("Cookie"))
		}
	})
	e := startEdge(t, app.URL, redisURL(redis), esiRoutes)
	c := e.browser()
	a := c.get("/esi/page")
	if a.Body != "form" || strings.Contains(strings.Join(a.Header["Set-Cookie"], ""), "csrftoken") {
		t.Errorf("%q %q", a.Body, a.Header["Set-Cookie"])
	}
	if got := c.get("/elsewhere").Body; got != `"csrftoken=token"` {
		t.Errorf("the app sees %s", got)
	}
}
