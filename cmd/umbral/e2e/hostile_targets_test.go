package e2e

import (
	"slices"
	"strings"
	"testing"

	"umbral/proxy/store/storetest"
)

// What names no page of this site is refused.
func TestHostileTargetsAndHosts(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, echoTarget)
	e := startEdge(t, app.URL, redisURL(redis), simpleRoutes)
	get := func(target, host string) string {
		return "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n"
	}
	for _, tt := range []struct {
		name, source, raw string
		status            int
	}{
		{"absolute form", "CACHING §9", get("http://site.test/page/1", "site.test"), 400},
		{"absolute form of another host", "RFC 9112 §3.2.2", get("http://evil.test/page/1", "site.test"), 400},
		{"absolute form of another scheme", "Kettle 2017", get("ftp://site.test/", "site.test"), 400},
		{"authority form", "RFC 9112 §3.2.3", get("site.test:80", "site.test"), 400},
		{"asterisk form", "RFC 9112 §3.2.4", "OPTIONS * HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n", 400},
		{"asterisk for GET", "RFC 9112 §3.2.4", get("*", "site.test"), 400},
		{"@ before a host", "Kettle 2017", get("@evil.test/", "site.test"), 400},
		{"a target without slash", "RFC 9112 §3.2.1", get("page/1", "site.test"), 400},
		{"fragment", "RFC 9112 §3.2", get("/page/1#x", "site.test"), 400},
		{"CONNECT", "CACHING §9", "CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\nConnection: close\r\n\r\n", 405},
		{"CONNECT with a path", "CACHING §9", "CONNECT /page/1 HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n", 405},
		{"TRACE", "CACHING §9", "TRACE /page/1 HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n", 405},
		{"a method that nobody named", "CACHING §9", "BREW /page/1 HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n", 501},
		{"PURGE by a visitor", "CONTRACT §6", "PURGE /page/1 HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n", 501},
		{"method in lower case", "RFC 9110 §9.1", "get /page/1 HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n", 501},
		{"no method", "RFC 9112 §3", " /page/1 HTTP/1.1\r\nHost: site.test\r\n\r\n", 400},
		{"no Host", "RFC 9112 §3.2", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 400},
		{"no Host in HTTP/1.0", "CACHING §9", "GET / HTTP/1.0\r\n\r\n", 400},
		{"two Hosts", "RFC 9112 §3.2", "GET / HTTP/1.1\r\nHost: site.test\r\nHost: evil.test\r\n\r\n", 400},
		{"the same Host twice", "RFC 9112 §3.2", "GET / HTTP/1.1\r\nHost: site.test\r\nHost: site.test\r\n\r\n", 400},
		{"Host folded over two lines", "Kettle 2017", "GET / HTTP/1.1\r\nHost: site.test\r\n evil.test\r\nConnection: close\r\n\r\n", 400},
		{"Host behind a space", "Kettle 2017", "GET / HTTP/1.1\r\n Host: evil.test\r\nHost: site.test\r\n\r\n", 400},
		{"Host with a space before the colon", "RFC 9112 §5.1", "GET / HTTP/1.1\r\nHost : site.test\r\n\r\n", 400},
		{"empty Host", "CACHING §9", get("/", ""), 400},
		{"Host a:b:c", "CACHING §9", get("/", "a:b:c"), 400},
		{"Host [::1", "CACHING §9", get("/", "[::1"), 400},
		{"Host [::1]x", "CACHING §9", get("/", "[::1]x"), 400},
		{"Host with zone", "RFC 6874", get("/", "[fe80::1%25eth0]"), 400},
		{"Host with user-info", "CACHING §9", get("/", "me@site.test"), 400},
		{"Host with user-info and port", "CACHING §9", get("/", "site.test:80@evil.test"), 400},
		{"Host with path", "Kettle 2017", get("/", "site.test/evil"), 400},
		{"Host with query", "Kettle 2017", get("/", "site.test?x"), 400},
		{"Host with fragment", "Kettle 2017", get("/", "site.test#evil.test"), 400},
		{"Host with backslash", "Kettle 2017", get("/", `site.test\evil.test`), 400},
		{"Host as a list", "Kettle 2017", get("/", "site.test, evil.test"), 400},
		{"Host with a blank", "CACHING §9", get("/", "site.test evil.test"), 400},
		{"Host with a tab", "CACHING §9", get("/", "site.test\tevil.test"), 400},
		{"Host with NUL", "CACHING §9", get("/", "site.test\x00evil.test"), 400},
		{"Host with a control character", "CACHING §9", get("/", "site\x01.test"), 400},
		{"Host with DEL", "CACHING §9", get("/", "site\x7f.test"), 400},
		{"Host percent-encoded", "RFC 3986 §3.2.2", get("/", "site%2etest"), 400},
		{"Host not in ASCII", "RFC 3986 §3.2.2", get("/", "sité.test"), 400},
		{"Host with quotes", "Kettle 2018", get("/", `site.test"><script>`), 400},
		{"port 0080", "CACHING §9", get("/", "site.test:0080"), 400},
		{"port 65536", "CACHING §9", get("/", "site.test:65536"), 400},
		{"port in letters", "CACHING §9", get("/", "site.test:http"), 400},
		{"port with sign", "CACHING §9", get("/", "site.test:+80"), 400},
		{"only a port", "CACHING §9", get("/", ":80"), 400},
		{"Host too long", "RFC 1035 §2.3.4", get("/", strings.Repeat("a", 256)), 400},
		{"a raw control character in the target", "RFC 3986 §2", get("/page/\x01", "site.test"), 400},
		{"a raw NUL in the target", "RFC 3986 §2", get("/page/\x00", "site.test"), 400},
		{"two slashes and a byte that cannot be sent on so", "CACHING §2", get("//page/a|b", "site.test"), 400},
		{"an escape that is none", "RFC 3986 §2.1", get("/page/%zz", "site.test"), 400},
		{"a target over the limit", "CACHING §7", get("/"+strings.Repeat("x", 9<<10), "site.test"), 414},
		{"a query over the limit", "CACHING §7", get("/?"+strings.Repeat("x", 9<<10), "site.test"), 414},
		{"a header section over the limit", "CACHING §7", "GET / HTTP/1.1\r\nHost: site.test\r\nX: " + strings.Repeat("x", 80<<10) + "\r\n\r\n", 431},
		{"very many fields", "CACHING §7", "GET / HTTP/1.1\r\nHost: site.test\r\n" + strings.Repeat("X: y\r\n", 20000) + "\r\n", 431},
	} {
		t.Run(tt.name, func(t *testing.T) {
			app.takeTargets()
			got := wireAnswers(t, e.wire(t, tt.raw), "GET")
			if !slices.Equal(statusesOf(got), []int{tt.status}) {
				t.Errorf("answers %v, want %d (%s)", statusesOf(got), tt.status, tt.source)
			}
			if asked := app.takeTargets(); len(asked) > 0 {
				t.Errorf("the app was asked %q (%s)", asked, tt.source)
			}
			for _, a := range got {
				if strings.Contains(a.Body, "evil") || strings.Contains(a.Body, "127.0.0.1") || strings.Contains(a.Body, "upstream") {
					t.Errorf("the page says %q", a.Body)
				}
			}
		})
	}
}

const targetRoutes = `
version: 1
routes:
  - {match: /page/, ttl: 15m}
  - {match: /mine/, ttl: 15m, vary: user}
  - {match: /off/, cache: off}
  - {match: "POST /accounts/login/", rate_limit: {rate: 3/h, by: ip}}
`

// A target that two programs could read differently goes up byte for byte and
// is never stored; one that can be read in one way only goes up as it is, too.
func TestHostilePathsGoUpAsTheyCame(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, echoTarget)
	e := startEdge(t, app.URL, redisURL(redis), targetRoutes)
	for _, tt := range []struct {
		source, path string
		stored       bool
	}{
		{"CACHING §2", "/page//a", false},
		{"CACHING §2", "//page/a", false},
		{"CACHING §2", "//evil.test/page/a", false},
		{"CACHING §2", "///", false},
		{"CACHING §2", "/page/./a", false},
		{"CACHING §2", "/page/../mine/", false},
		{"CACHING §2", "/page/..", false},
		{"CACHING §2", "/page/.", false},
		{"CACHING §2", "/page/%2e%2e/mine/", false},
		{"CACHING §2", "/page/.%2E/mine/", false},
		{"CACHING §2", "/page/%2e", false},
		{"CACHING §2", "/page/a%2fb", false},
		{"CACHING §2", "/page/a%2Fb", false},
		{"CACHING §2", "/page/..%2fmine%2f", false},
		{"CACHING §2", "/page/a%5cb", false},
		{"CACHING §2", `/page/a\b`, false},
		{"CACHING §2", `/page/..\mine\`, false},
		{"CACHING §2", "/page/a;x=1", false},
		{"CVE-2021-26919, Tsai 2018", "/page/..;/mine/", false},
		{"CACHING §2", "/page/a%3bx=1", false},
		{"CACHING §2", "/page/a%00.css", false},
		{"Kettle 2024", "/page/a%0a.css", false},
		{"Kettle 2024", "/page/a%0d%0aX:%20y", false},
		{"Kettle 2024", "/page/a%09.css", false},
		{"Kettle 2024", "/page/a%7f", false},
		{"Kettle 2024", "/page/a%3f.css", false},
		{"Kettle 2024", "/page/a%23.css", false},
		{"CACHING §2", "/page/%ff", false},
		{"CACHING §2", "/page/%c0%af", false},
		{"CACHING §2", "/page/%c0%ae%c0%ae/mine/", false},
		{"CACHING §2", "/page/%e0%80%af", false},
		{"CACHING §2", "/page/%ed%a0%80", false},
		{"CACHING §2", "/page/\xff", false},
		{"CACHING §2", "/page/%252e%252e/mine/", false},
		{"CACHING §2", "/page/a%252fb", false},
		{"CACHING §2", "/page/%25%32%66", false},
		{"a raw byte beside an encoded slash", "/page/a%2fb|c", false},
		{"a raw byte beside encoded dots", `/page/%2e%2e/"x"`, false},
		{"raw UTF-8 beside an encoded slash", "/page/%2F\u00e9", false},
		{"plain", "/page/a", true},
		{"RFC 3986 §6.2.2", "/page/%61", true},
		{"RFC 3986 §6.2.2.1", "/page/%c3%a9", true},
		{"RFC 3986 §6.2.2.1", "/page/%C3%A9", true},
		{"raw UTF-8", "/page/\u00e9", true},
		{"WHATWG URL", "/page/a|b", true},
		{"WHATWG URL", "/page/a^b`c{d}\"e<f>", true},
		{"sub-delims", "/page/a!$&'()*+,=:@-._~", true},
		{"brackets", "/page/[a]", true},
		{"a percent sign of one's own", "/page/100%25", true},
		{"a plus and a blank", "/page/a+b%20c", true},
		{"three dots", "/page/...", true},
		{"a trailing dot", "/page/a.", true},
	} {
		t.Run(tt.path, func(t *testing.T) {
			app.takeTargets()
			request := "GET " + tt.path + "?q=%2f;&x HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n"
			for range 2 {
				got := wireAnswers(t, e.wire(t, request), "GET")
				if len(got) != 1 || got[0].StatusCode != 200 {
					t.Fatalf("%v (%s)", got, tt.source)
				}
			}
			asked := app.takeTargets()
			want := "GET " + tt.path + "?q=%2f;&x"
			if len(asked) == 0 || asked[0] != want {
				t.Fatalf("the app was asked %q, want %q (%s)", asked, want, tt.source)
			}
			if stored := len(asked) == 1; stored != tt.stored {
				t.Errorf("stored %v (%s)", stored, tt.source)
			}
		})
	}
}

// Two spellings that an app may tell apart never share a key.
func TestHostileSpellingsShareNoKey(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, echoTarget)
	e := startEdge(t, app.URL, redisURL(redis), targetRoutes)
	v := e.visitor()
	seen := map[string]string{}
	for _, target := range []string{
		"/page/abc", "/page/a%62c", "/page/a%62%63", "/page/ABC", "/page/abc/", "/page/abc?", "/page/abc?&", "/page/abc?a", "/page/abc?a=",
		"/page/abc?a=1&b=2", "/page/abc?b=2&a=1", "/page/abc?a=1&&b=2", "/page/abc?a=1;b=2", "/page/abc?a=1%26b=2", "/page/abc?A=1&b=2",
		"/page/abc?%61=1&b=2", "/page/abc?a=%zz", "/page/abc?a=1&a=2", "/page/abc?a=2&a=1", "/page/abc%3f", "/page/abc%20", "/page/abc+",
	} {
		if target == "/page/abc?" {
			continue // an empty query is none (net/http cannot send one)
		}
		a := v.get(target)
		if a.Body != "GET "+target+" []" {
			t.Errorf("%s was answered with %q", target, a.Body)
		}
		if other, taken := seen[a.Body]; taken {
			t.Errorf("%s and %s were one", target, other)
		}
		seen[a.Body] = target
	}
	for _, host := range []string{"SITE.test", "site.test:80", "site.test:", "site.test."} {
		if a := v.get("/page/abc", "Host: "+host); !a.Hit() {
			t.Errorf("Host %s is another site: %s", host, a.Umbral())
		}
	}
	for _, host := range []string{"site.test:8080", "www.site.test"} {
		if a := v.get("/page/abc", "Host: "+host); a.Hit() {
			t.Errorf("Host %s shares a key with site.test", host)
		}
	}
}

// An unusual spelling of an address gets round neither cache: off, nor vary,
// nor a rate limit.
func TestHostileSpellingsMatchTheRouteThatTheAppWillServe(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, numbered())
	e := startEdge(t, app.URL, redisURL(redis), targetRoutes)
	v := e.visitor()
	for _, path := range []string{"/off/a", "/%6fff/a", "/%6f%66%66/a", "/off/%61", "//off/a", "/page/../off/a", "/page/%2e%2e/off/a", "/page/..%2foff%2fa", "/page/..;/off/a", `/page\..\off\a`} {
		v.get(path)
		if a := v.get(path); a.Hit() {
			t.Errorf("%s was stored", path)
		}
	}
	limited := e.visitor()
	var denied int
	for _, path := range []string{
		"/accounts/login/", "/accounts/%6cogin/", "/%61ccounts/login/", // three are allowed
		"/accounts/login/", "/accounts/%6c%6f%67%69%6e/", "/accounts%2flogin/", "/accounts/%6cogin%2f", "/accounts//login/", "//accounts/login/",
		"/accounts/./login/", "/x/../accounts/login/", "/accounts/x/%2e%2e/login/", "/accounts/login/;x=1", "/accounts/login;x/", "/accounts/..;/accounts/login/", `/accounts\login/`,
		"/accounts/login/%2e", "/accounts%252flogin/", "/accounts/login/?x", "/accounts/login/%00",
	} {
		a, err := limited.do("POST", path, "a=b")
		if err != nil {
			t.Fatal(err)
		}
		if a.StatusCode == 429 {
			denied++
		} else if denied > 0 {
			t.Errorf("POST %s gets round the limit: %d", path, a.StatusCode)
		}
	}
	if denied == 0 {
		t.Error("there was no limit")
	}
}
