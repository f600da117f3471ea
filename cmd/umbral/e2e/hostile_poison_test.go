package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"umbral/proxy/store/storetest"
)

const poisonRoutes = `
version: 1
defaults:
  query: {drop: [utm_*, gclid], sort: true}
routes:
  - {match: /page/, ttl: 15m}
  - {match: /kept/, ttl: 15m, query: {keep: [page]}}
  - {match: /bare/, ttl: 15m, query: {ignore: all}}
  - {match: /app/, ttl: app}
  - {match: /missing/, ttl: 15m, status: {404: 30s}}
`

// credulous is an app that believes what it is told: its page says whatever
// it was told, wherever it was told it.
func credulous(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h := r.Header.Clone()
	for _, name := range []string{"Via", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if strings.Contains(h.Get(name), "evil") {
			continue
		}
		h.Del(name)
	}
	for _, name := range []string{"User-Agent", "Accept", "X-Request-Id"} {
		h.Del(name) // what an app makes of these is for its Vary to say
	}
	if o := h.Get("Origin"); o != "" {
		w.Header().Set("Access-Control-Allow-Origin", o)
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		h.Del("Origin")
	}
	if strings.HasPrefix(r.URL.Path, "/app/") || strings.HasPrefix(r.URL.Path, "/unlisted/") {
		w.Header().Set("Cache-Control", "public, max-age=600")
	}
	w.Header().Set("Content-Type", "text/plain")
	switch {
	case h.Get("Range") != "", h.Get("If-None-Match") != "", h.Get("If-Match") != "", h.Get("Expect") != "", len(body) > 0:
		http.Error(w, "evil", http.StatusBadRequest) // an app that is easily upset
		return
	}
	fmt.Fprintf(w, "%s %s\n", r.Host, r.RequestURI)
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range h {
			if !yield(name) {
				return
			}
		}
	}) {
		fmt.Fprintf(w, "%s: %q\n", name, h[name])
	}
}

// No header of a visitor that is in no key reaches the app, and whatever a
// visitor sends, the next one gets the page as if nobody had been there.
func TestHostileHeadersPoisonNobody(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, credulous)
	e := startEdge(t, app.URL, redisURL(redis), poisonRoutes)
	attacks := []struct{ source, lines string }{
		{"CACHING §9, Kettle 2018", "X-Forwarded-Host: evil"},
		{"CACHING §9, Kettle 2018", "X-Forwarded-Scheme: evil"},
		{"CACHING §9", "X-Forwarded-Server: evil"},
		{"CACHING §9, CVE-2021-23336", "X-Forwarded-Port: evil"},
		{"CACHING §9", "X-Forwarded-Prefix: /evil"},
		{"CACHING §9", "X-Forwarded-Proto: evil"},
		{"CACHING §9", "X-Forwarded-For: 6.6.6.6, evil"},
		{"Kettle 2020", "X-Forwarded: host=evil"},
		{"Kettle 2020", "X-Forwarded-Ssl: evil"},
		{"Kettle 2020", "X-Forwarded-Path: /evil"},
		{"Kettle 2020", "X-Forwarded-By: evil"},
		{"RFC 7239", "Forwarded: host=evil"},
		{"RFC 9110 §7.6.3", "Via: 1.1 evil"},
		{"CACHING §9", "X-Host: evil"},
		{"CACHING §9", "X-HTTP-Host-Override: evil"},
		{"CACHING §9", "X-Original-Host: evil"},
		{"CACHING §9, Symfony CVE-2018-14773", "X-Original-URL: /evil"},
		{"CACHING §9, Symfony CVE-2018-14773", "X-Rewrite-URL: /evil"},
		{"Kettle 2020", "X-Original-Path: /evil"},
		{"Kettle 2020", "X-Original-Forwarded-Host: evil"},
		{"Kettle 2020", "X-Override-URL: /evil"},
		{"Kettle 2020", "X-HTTP-Path-Override: /evil"},
		{"Kettle 2020", "X-HTTP-DestinationURL: http://evil/"},
		{"CACHING §9", "X-Real-IP: evil"},
		{"CACHING §9", "X-Client-IP: evil"},
		{"CACHING §9", "True-Client-IP: evil"},
		{"CACHING §9", "CF-Connecting-IP: evil"},
		{"CACHING §9", "Fastly-Client-IP: evil"},
		{"CACHING §9", "X-ProxyUser-Ip: evil"},
		{"CACHING §9", "X-Originating-IP: evil"},
		{"CACHING §9", "X-Cluster-Client-IP: evil"},
		{"CACHING §9", "X-HTTP-Method-Override: EVIL"},
		{"CACHING §9", "X-HTTP-Method: EVIL"},
		{"CACHING §9", "X-Method-Override: EVIL"},
		{"CACHING §9", "SCRIPT_NAME: /evil"},
		{"CACHING §9", "X-Script-Name: /evil"},
		{"CACHING §9", "X-Scheme: evil"},
		{"CACHING §9", "X-Url-Scheme: evil"},
		{"CACHING §9, CVE-2025-29927", "X-Middleware-Subrequest: evil"},
		{"CVE-2024-46982", "X-Middleware-Prefetch: evil"},
		{"CACHING §9", "Surrogate-Control: evil"},
		{"CACHING §9", "Surrogate-Capability: evil"},
		{"httpoxy, CVE-2016-5385", "Proxy: http://evil/"},
		{"CACHING §9", "X_Forwarded_Host: evil"},
		{"CACHING §9", "X-Forwarded_Host: evil"},
		{"CACHING §9", "X.Forwarded.Host: evil"},
		{"nginx", "X-Accel-Redirect: /evil"},
		{"Amazon S3", "X-Amz-Website-Redirect-Location: http://evil/"},
		{"CACHING §9", "Connection: X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, Host\r\nX-Forwarded-Host: evil"},
		{"CPDoS HHO, Nguyen 2019", "X-Oversized: " + strings.Repeat("x", 20<<10)},
		{"CPDoS HMO, Nguyen 2019", "X-HTTP-Method-Override: POST"},
		{"CACHING §9", "Range: bytes=0-1"},
		{"CACHING §9", "Range: bytes=evil"},
		{"CACHING §9", "If-None-Match: \"evil\""},
		{"CACHING §9", "If-Match: \"evil\""},
		{"CACHING §9", "If-Modified-Since: Fri, 27 Nov 2099 00:00:00 GMT"},
		{"CACHING §9", "If-Unmodified-Since: Fri, 27 Nov 1999 00:00:00 GMT"},
		{"CACHING §9", "Expect: 100-continue"},
		{"CACHING §9, fat GET", "Content-Length: 4\r\nX-Fat: evil"},
		{"CACHING §2", "Cookie: evil=1; sessionid=evil"},
		{"Kettle 2018", "Origin: https://evil.test"},
		{"CACHING §9", "Content-Type: evil"},
		{"CACHING §9", "Content-Encoding: evil"},
		{"CACHING §1", "Cache-Control: no-store"},
		{"CACHING §1", "Pragma: no-cache"},
		{"CACHING §9", "Accept-Encoding: evil, gzip"},
		{"CACHING §9", "TE: trailers, evil"},
		{"CACHING §9", "Max-Forwards: evil"},
		{"SESSIONS §3", "X-Edge-User: evil"},
		{"SESSIONS §3", "Remote-User: evil"},
		{"SESSIONS §3", "X-Auth-Request-User: evil"},
	}
	for i, tt := range attacks {
		for _, route := range []string{"/page/", "/kept/", "/bare/", "/app/", "/unlisted/"} {
			t.Run(tt.lines[:min(len(tt.lines), 40)]+" "+route, func(t *testing.T) {
				path := fmt.Sprintf("%s%d", route, i)
				tail := ""
				if strings.HasPrefix(tt.lines, "Content-Length") {
					tail = "evil"
				}
				e.wire(t, "GET "+path+" HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n"+tt.lines+"\r\n\r\n"+tail)
				a := e.visitor().get(path)
				if a.StatusCode != 200 || strings.Contains(strings.ToLower(a.Body), "evil") || strings.Contains(a.Header.Get("Access-Control-Allow-Origin"), "evil") {
					t.Errorf("the next visitor got %d %v %q (%s)", a.StatusCode, a.Header, a.Body, tt.source)
				}
				if want := "site.test " + path + "\nAccept-Encoding: "; !strings.HasPrefix(a.Body, want) {
					t.Errorf("the next visitor got %q (%s)", a.Body, tt.source)
				}
			})
		}
	}
}

// A parameter that is not in the key makes no difference to what is stored,
// whatever an app takes for a parameter.
func TestHostileQueriesPoisonNobody(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, credulous)
	e := startEdge(t, app.URL, redisURL(redis), poisonRoutes)
	for i, tt := range []struct{ source, path, attack, victim string }{
		{"Kettle 2020, CVE-2021-23336", "/page/", "utm_content=1;x=evil", ""},
		{"Kettle 2020", "/page/", "utm_content=evil", ""},
		{"Kettle 2020", "/page/", "utm_content=1%26x=evil", ""},
		{"Kettle 2020", "/page/", "utm_=evil&gclid=evil", ""},
		{"Kettle 2020", "/page/", "utm_content=1;x=evil&x=1", "x=1"},
		{"Kettle 2020", "/kept/", "p%61ge=evil", ""},
		{"Kettle 2020", "/kept/", "page=1&p%61ge=evil", "page=1"},
		{"Kettle 2020", "/kept/", "page=1&other=evil", "page=1"},
		{"Kettle 2020", "/kept/", "other=1;page=evil", ""},
		{"Kettle 2020", "/kept/", "page[=evil&pa.ge=evil&+page=evil&page%20=evil", ""},
		{"Kettle 2020", "/bare/", "x=evil", ""},
		{"Kettle 2020", "/bare/", "?x=evil&;%zz", ""},
		{"CVE-2022-2880", "/bare/", strings.Repeat("a&", 4000) + "x=evil", ""},
	} {
		t.Run(tt.path+tt.attack[:min(len(tt.attack), 40)], func(t *testing.T) {
			path := fmt.Sprintf("%s%d", tt.path, i)
			victim := path
			if tt.victim != "" {
				victim += "?" + tt.victim
			}
			e.wire(t, "GET "+path+"?"+tt.attack+" HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n")
			a := e.visitor().get(victim)
			if !strings.HasPrefix(a.Body, "site.test "+victim+"\n") {
				t.Errorf("the next visitor got %q (%s)", a.Body, tt.source)
			}
			if !a.Hit() {
				t.Errorf("%s: two keys for one page", a.Umbral())
			}
		})
	}
	v := e.visitor()
	for i, tt := range []struct{ source, one, other string }{
		{"CACHING §9", "a=1&b=2", "a=1;b=2"},
		{"CACHING §9", "a=%zz", "a="},
		{"CACHING §9", "a=1&a=2", "a=2&a=1"},
		{"CACHING §9", strings.Repeat("p=1&", 1500) + "z=1", strings.Repeat("p=1&", 1500) + "z=2"},
		{"RFC 3986 §6.2.2.2", "a=%31", "a=1"},
		{"CACHING §9", "a=1%00", "a=1"},
		{"CACHING §9", "a=1+2", "a=1%202"},
		{"CACHING §9", "a", "a="},
		{"CACHING §9", "A=1", "a=1"},
	} {
		path := fmt.Sprintf("/page/q%d?", i)
		one, other := v.get(path+tt.one), v.get(path+tt.other)
		if one.Body == other.Body || other.Hit() {
			t.Errorf("%.40s and %.40s were one (%s)", tt.one, tt.other, tt.source)
		}
		if again := v.get(path + tt.one); !again.Hit() {
			t.Errorf("%.40s was not stored: %s", tt.one, again.Umbral())
		}
	}
	if a, b := v.get("/page/s?b=2&a=1"), v.get("/page/s?a=1&b=2"); a.Body != b.Body || !strings.Contains(a.Body, "?a=1&b=2") {
		t.Errorf("sorted: %q and %q", a.Body, b.Body)
	}
}

// Whoever's Origin an answer names, it is not another's (Fetch §3.2.6).
func TestHostileOriginsShareNoAnswer(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, credulous)
	e := startEdge(t, app.URL, redisURL(redis), poisonRoutes)
	v := e.visitor()
	for _, path := range []string{"/page/cors", "/app/cors"} {
		for range 2 {
			for _, origin := range []string{"https://evil.test", "", "https://friend.test", "null"} {
				var headers []string
				if origin != "" {
					headers = append(headers, "Origin: "+origin)
				}
				a := v.get(path, headers...)
				// Where an app's Vary is silent, an answer without the field may
				// serve who would have got it; never one with another's.
				got := a.Header.Get("Access-Control-Allow-Origin")
				if got != origin && got != "" {
					t.Errorf("%s from %q: %q", path, origin, got)
				}
				if got != "" && !strings.Contains(strings.Join(a.Header["Vary"], ","), "Origin") {
					t.Errorf("%s from %q: Vary %q", path, origin, a.Header["Vary"])
				}
			}
		}
		if a := v.get(path, "Origin: https://evil.test"); !a.Hit() || a.Header.Get("Access-Control-Allow-Origin") != "https://evil.test" {
			t.Errorf("%s was not stored for its origin: %s", path, a.Umbral())
		}
	}
}

// What one visitor accepts is not forced upon another.
func TestHostileCodingsReachOnlyThoseWhoTakeThem(t *testing.T) {
	redis := storetest.StartRedis(t)
	text := strings.Repeat("the same page for all ", 100)
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Cache-Control", "public, max-age=600")
		w.Header().Set("Vary", "Accept-Encoding")
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && !strings.HasSuffix(r.URL.Path, "lies") {
			fmt.Fprint(w, text)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		fmt.Fprint(z, text)
		z.Close()
	})
	e := startEdge(t, app.URL, redisURL(redis), poisonRoutes)
	for _, path := range []string{"/page/", "/app/", "/unlisted/"} {
		for i, first := range []string{"gzip", "identity", "br", "gzip;q=0", "*"} {
			t.Run(path+first, func(t *testing.T) {
				target := fmt.Sprintf("%s%d", path, i)
				e.visitor().get(target, "Accept-Encoding: "+first)
				for _, accept := range []string{"", "identity", "gzip", "gzip;q=0"} {
					var headers []string
					if accept != "" {
						headers = append(headers, "Accept-Encoding: "+accept)
					}
					a := e.visitor().get(target, headers...)
					body := a.Body
					if a.Header.Get("Content-Encoding") == "gzip" {
						if accept != "gzip" {
							t.Errorf("%q was given gzip", accept)
						}
						z, err := gzip.NewReader(bytes.NewReader([]byte(body)))
						if err != nil {
							t.Fatal(err)
						}
						plain, _ := io.ReadAll(z)
						body = string(plain)
					}
					if body != text {
						t.Errorf("%q got another page: %q", accept, body[:min(40, len(body))])
					}
				}
			})
		}
	}
}
