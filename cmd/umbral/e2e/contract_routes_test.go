package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"umbral/proxy/store/storetest"
)

const everyKey = `
version: 1
defaults:
  query: {drop: [utm_*, "g?lid"], sort: true}
methods: [PROPFIND]
routes:
  - match: /{$}
    ttl: 5m
  - match: /plain/
  - match: /short/{id}
    ttl: 1h
    max_object: 1KiB
  - match: other.test/plain/
    ttl: 7m
  - match: POST /plain/form
    rate_limit: {rate: 2/h, by: ip}
  - match: /rest/{all...}
    ttl: 8m
    tags: ["all:{all}", fixed]
  - match: /two/{a}/{b}
    ttl: 1h
    tags: ["{a}-{b}"]
  - match: /lang/
    ttl: 1h
    vary_headers: [Accept-Language, x-variant]
  - match: /cookies/
    ttl: 1h
    vary_cookies: [django_language]
  - match: /keep/
    ttl: 1h
    query: {keep: [page, "q*"]}
  - match: /ignore/
    ttl: 1h
    query: {ignore: all}
  - match: /order/
    ttl: 1h
    query: {keep: ["*"], sort: false}
  - match: /status/
    ttl: 1h
    status: {404: 30s, 301: 1d, 410: 2m}
  - match: /ahead/
    ttl: 3s
    refresh_ahead: 90%
  - match: /off/
    cache: off
  - match: /limit/session
    cache: off
    rate_limit: {rate: 3/h, by: session}
  - match: /limit/user
    cache: off
    rate_limit: {rate: 3/h, by: user}
  - match: /limit/ip
    ttl: 1h
    rate_limit: {rate: 3/h, by: ip}
  - match: POST /login
    control: on
  - match: /nocontrol
    cache: off
  - match: /user/
    vary: user
    ttl: 1h
  - match: /session/
    vary: session
    ttl: 1h
  - match: /esi/
    ttl: 1h
    esi: on
  - match: /noesi/
    ttl: 1h
  - match: /app/
    ttl: app
sessions: {identity: {source: none}}
`

// routesApp answers with what it was asked; what is asked of it by a query is
// in its answer's header.
func routesApp(t testing.TB) *app {
	n := contractApp(t)
	h := n.h
	n.set(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/status/"):
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(atoi(r.URL.Path[len("/status/"):]))
			return
		case strings.Contains(r.URL.Path, "esi/"):
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, `<p>before <esi:include src="/plain/fragment"/> after`)
			return
		case r.URL.Path == "/short/large":
			_, _ = w.Write(make([]byte, 2000))
			return
		case r.URL.Path == "/nocontrol":
			w.Header().Set("X-Edge-Session-Logout", "current")
		}
		for _, name := range []string{"Cache-Control", "Set-Cookie", "Vary"} {
			if v := r.URL.Query().Get(name); v != "" {
				w.Header().Set(name, v)
			}
		}
		h(w, r)
	})
	return n
}

// TestEveryKeyOfARoute goes through CONTRACT.md §3.
func TestEveryKeyOfARoute(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := routesApp(t)
	e := startEdge(t, app.URL, redisURL(redis), everyKey, "CACHE_TIMEOUT=77")
	v := e.visitor()
	ttl := func(path, want string, headers ...string) {
		t.Helper()
		a := v.get(path, headers...)
		if want == "" && strings.Contains(a.Umbral(), "stored") {
			t.Errorf("%s %v: %s: it was to be stored by nobody", path, headers, a.Umbral())
		}
		if n := atoi(want); want != "" && !strings.HasSuffix(a.Umbral(), fmt.Sprintf("; ttl=%d; detail=nothing-stored", n)) && !strings.HasSuffix(a.Umbral(), fmt.Sprintf("; ttl=%d; detail=nothing-stored", n-1)) {
			t.Errorf("%s %v: %s, want a ttl of %s", path, headers, a.Umbral(), want)
		}
	}
	same := func(one, two string, want bool, headers ...string) {
		t.Helper()
		a, b := v.get(one), v.get(two, headers...)
		if (a.Body == b.Body) != want {
			t.Errorf("%s and %s %v: %q and %q, one page: want %v", one, two, headers, a.Body, b.Body, want)
		}
	}
	// ttl, and which pattern matches.
	ttl("/", "300")
	ttl("/plain/1", "77")
	ttl("/plain/form", "77")
	ttl("/plain/1", "420", "Host: other.test")
	ttl("/rest/a/b/c", "480")
	ttl("/nothing", "")
	ttl("/nothing/2?Cache-Control=max-age=50", "50")
	ttl("/nothing/3?Cache-Control=private,max-age=50", "")
	ttl("/nothing/4?Cache-Control=max-age=50&Set-Cookie=a%3Db", "")
	ttl("/app/1", "")
	ttl("/app/2?Cache-Control=s-maxage=40,max-age=50", "40")
	ttl("/plain/2?Cache-Control=max-age=5", "77")
	ttl("/plain/3?Cache-Control=no-store", "")
	ttl("/plain/4?Cache-Control=private", "")
	ttl("/plain/5?Set-Cookie=a%3Db", "")
	ttl("/plain/6?Vary=*", "")
	ttl("/short/small", "3600")
	ttl("/short/large", "")
	ttl("/off/x", "")
	ttl("/two/x", "")

	// status.
	for code, want := range map[int]string{200: "3600", 404: "30", 301: "86400", 410: "120", 302: "", 500: "", 308: "", 203: ""} {
		ttl(fmt.Sprintf("/status/%d", code), want)
	}

	// query.
	same("/plain/q?a=1&b=2", "/plain/q?b=2&a=1", true)
	same("/plain/q?a=1&b=2", "/plain/q?utm_source=x&a=1&gclid=7&b=2&utm_medium=y", true)
	same("/plain/q?a=1&b=2", "/plain/q?a=1&b=3", false)
	same("/plain/q?a=1", "/plain/q?a=1&glid=7", false) // "?" is one character
	same("/plain/q?a=1;b=2", "/plain/q?a=1", false)    // raw, not url.Values
	same("/plain/q?a=%zz", "/plain/q?a=", false)
	same("/plain/q?a=1&a=2", "/plain/q?a=2&a=1", false)
	same("/keep/?page=1", "/keep/?page=1&x=y&utm_source=z", true)
	same("/keep/?page=1&q1=a", "/keep/?page=1&q1=b", false)
	same("/ignore/?a=1", "/ignore/", true)
	same("/order/?a=1&b=2", "/order/?b=2&a=1", false)
	same("/order/?a=1", "/order/?a=1&utm_source=x", false)

	// vary_headers.
	v.get("/lang/x", "Accept-Language: es")
	same("/lang/x", "/lang/x", false, "Accept-Language: es")
	same("/lang/x", "/lang/x", false, "X-Variant: b")
	same("/lang/x", "/lang/x", true, "X-Other: c")

	// tags with wildcards.
	for path, tags := range map[string][]string{"/rest/a/b": {"all:a/b", "fixed"}, "/two/x/y": {"x-y"}} {
		for _, tag := range tags {
			v.get(path)
			if !v.get(path).Hit() {
				t.Errorf("%s is not stored", path)
			}
			if e.purge(map[string]any{"tags": []string{tag}}); v.get(path).Hit() {
				t.Errorf("%s does not purge %s", tag, path)
			}
		}
	}

	// methods, also where no route matches.
	for _, path := range []string{"/plain/1", "/nowhere"} {
		if a, err := v.do("PROPFIND", path, ""); err != nil || a.StatusCode != 200 || app.last().Method != "PROPFIND" || app.last().URL.Path != path {
			t.Errorf("PROPFIND %s: %v %v", path, a.Response, err)
		}
	}

	// esi.
	if a := v.get("/esi/x"); !strings.Contains(a.Body, "before GET /plain/fragment") || strings.Contains(a.Body, "<esi:") {
		t.Errorf("esi: %s", a.Body)
	}
	if a := v.get("/noesi/x"); !strings.Contains(a.Body, "<esi:include") {
		t.Errorf("without esi: %s", a.Body)
	}

	// refresh_ahead: a popular page is fetched again although every visitor is
	// served from the store.
	v.get("/ahead/x")
	asked := app.Asked.Load()
	e.eventually("the page is fetched ahead of its end", func() bool {
		if a := v.get("/ahead/x"); !a.Hit() {
			asked = app.Asked.Load() // it was too late: once more
		}
		return app.Asked.Load() > asked
	})
}

// TestWhoseAPageIs: vary, vary_cookies and control.
func TestWhoseAPageIs(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := routesApp(t)
	e := startEdge(t, app.URL, redisURL(redis), strings.Replace(everyKey, "source: none", "source: header", 1))
	ana, phone, ben, nobody := e.signIn("ana"), e.signIn("ana"), e.signIn("ben"), e.visitor()
	body := func(c *client, path string) string { return c.get(path).Body }
	for _, test := range []struct {
		path         string
		phone, other bool // whether the page is ana's too
	}{{"/plain/x", true, true}, {"/user/x", true, false}, {"/session/x", false, false}, {"/off/x", false, false}} {
		first := body(ana, test.path)
		if again := body(ana, test.path); (again == first) != (test.path != "/off/x") {
			t.Errorf("%s: %q, then %q", test.path, first, again)
		}
		if got := body(phone, test.path); (got == first) != test.phone {
			t.Errorf("%s: another device gets %q after %q", test.path, got, first)
		}
		for _, c := range []*client{ben, nobody} {
			if got := body(c, test.path); (got == first) != test.other {
				t.Errorf("%s: somebody else gets %q after %q", test.path, got, first)
			}
		}
	}
	// What is public is asked without cookies, but for those that are named.
	body(ana, "/plain/cookies")
	if got := app.last().Header.Get("Cookie"); got != "" {
		t.Errorf("a public page was asked with %q", got)
	}
	for _, c := range []*client{ana, ben} {
		c.get("/off/set?Set-Cookie=django_language%3D" + map[*client]string{ana: "es", ben: "de"}[c] + "%3B+Path%3D/")
	}
	es, de, none := body(ana, "/cookies/x"), body(ben, "/cookies/x"), body(nobody, "/cookies/x")
	if !strings.Contains(es, `cookie="django_language=es"`) || !strings.Contains(de, `cookie="django_language=de"`) || !strings.Contains(none, `cookie=""`) {
		t.Errorf("vary_cookies: %q, %q, %q", es, de, none)
	}
	if body(ana, "/cookies/x") != es || body(ben, "/cookies/x") != de || body(e.visitor(), "/cookies/x") != none {
		t.Error("vary_cookies: not stored by value")
	}
	// control: only where it is on.
	ana.get("/nocontrol")
	if !strings.Contains(body(ana, "/off/x"), "sid-of-ana") {
		t.Error("a route without control has signed ana out")
	}
}

// TestRateLimits: 429 with Retry-After and the RateLimit fields, by ip,
// session and user.
func TestRateLimits(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := routesApp(t)
	e := startEdge(t, app.URL, redisURL(redis), strings.Replace(everyKey, "source: none", "source: header", 1), "TRUSTED_PROXIES=127.0.0.1/32")
	second := startEdge(t, app.URL, redisURL(redis), strings.Replace(everyKey, "source: none", "source: header", 1), "TRUSTED_PROXIES=127.0.0.1/32")
	use := func(what string, good int, ask func(i int) answer) {
		t.Helper()
		for i := range good {
			a := ask(i)
			if a.StatusCode != 200 || a.Header.Get("Ratelimit") == "" || a.Header.Get("Ratelimit-Policy") == "" {
				t.Errorf("%s, number %d: %d %v", what, i, a.StatusCode, a.Header)
			}
		}
		a := ask(good)
		if a.StatusCode != 429 || atoi(a.Header.Get("Retry-After")) <= 0 || !strings.Contains(a.Header.Get("Ratelimit"), "r=0") || !strings.Contains(a.Header.Get("Ratelimit-Policy"), "w=3600") {
			t.Errorf("%s, beyond: %d %v", what, a.StatusCode, a.Header)
		}
		checkStatus(t, what, a.Header)
	}
	from := func(ip string) string { return "X-Forwarded-For: " + ip }
	v, w := e.visitor(), second.visitor()
	use("by ip", 3, func(i int) answer { return v.get("/limit/ip", from("192.0.2.1")) })
	use("another ip", 3, func(i int) answer {
		if i%2 == 1 { // every edge counts
			return w.get("/limit/ip", from("192.0.2.2"))
		}
		return v.get("/limit/ip", from("192.0.2.2"))
	})
	use("a POST", 2, func(i int) answer {
		a, err := v.do("POST", "/plain/form", "", from("192.0.2.1"))
		if err != nil {
			t.Fatal(err)
		}
		return a
	})
	if a := v.get("/plain/form", from("192.0.2.1")); a.StatusCode != 200 {
		t.Errorf("a GET counts as a POST: %d", a.StatusCode)
	}
	ana, phone := e.signIn("ana"), e.signIn("ana")
	use("by session", 3, func(int) answer { return ana.get("/limit/session") })
	use("another session", 3, func(int) answer { return phone.get("/limit/session") })
	use("by user", 3, func(i int) answer { return []*client{ana, phone}[i%2].get("/limit/user") })
	ben := e.signIn("ben")
	use("another user", 3, func(int) answer { return ben.get("/limit/user") })
}

// TestWarmAsTheFileSays: at the start, again as often as it says, and what a
// reload makes of it.
func TestWarmAsTheFileSays(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := contractApp(t)
	h := app.h
	app.set(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/sitemap.xml" {
			fmt.Fprintf(w, `<urlset><url><loc>https://%s/page/mapped</loc></url></urlset>`, site)
			return
		}
		h(w, r)
	})
	routes := contractRoutes + "warm: {site: " + site + ", sitemap: /sitemap.xml, urls: [/page/named], every: 1s, concurrency: 2}\n"
	e := startEdge(t, app.URL, redisURL(redis), routes)
	explain := func(path string) (found bool) {
		var x struct{ Verdict string }
		e.admin("GET", "/v1/explain?url=http://"+site+path, nil, &x)
		return x.Verdict == "serve"
	}
	for _, path := range []string{"/page/mapped", "/page/named"} {
		e.eventually(path+" is warmed", func() bool { return explain(path) })
	}
	e.purge(map[string]any{"all": true})
	e.eventually("it is warmed again", func() bool { return explain("/page/named") })
	if a := e.visitor().get("/page/named"); !a.Hit() {
		t.Errorf("a visitor: %s", a.Umbral())
	}
	if err := writeFile(e.Routes, strings.Replace(routes, "/page/named", "/page/later", 1)); err != nil {
		t.Fatal(err)
	}
	e.eventually("what a reload names is warmed", func() bool { return explain("/page/later") })
}

func writeFile(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }
