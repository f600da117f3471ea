package e2e

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"umbral/proxy/store/storetest"
)

// An upgrade that the app declines leaves an HTTP connection; one that it
// takes leaves none (Kettle 2020, "websocket smuggling").
func TestHostileUpgradesThatAreDeclined(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/off/ws":
			conn, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
			rw.Flush()
			fmt.Fprint(rw, "frames")
			rw.Flush()
		case "/off/old":
			w.WriteHeader(http.StatusUpgradeRequired)
		default:
			fmt.Fprintf(w, "%s %v", r.RequestURI, r.Header["Upgrade"])
		}
	})
	e := startEdge(t, app.URL, redisURL(redis), simpleRoutes)
	upgrade := func(path, more string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: site.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\n" + more + "\r\n"
	}
	const last = "GET /off/last HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n"
	for _, tt := range []struct {
		name, raw string
		status    []int
	}{
		{"declined with 200", upgrade("/off/a", "") + last, []int{200, 200}},
		{"declined with 426", upgrade("/off/old", "") + last, []int{426, 200}},
		{"declined, stored page", upgrade("/page/a", "") + last, []int{200, 200}},
		{"to h2c, taken off", strings.Replace(upgrade("/off/a", ""), "websocket", "h2c", 1) + last, []int{200, 200}},
		{"with content", upgrade("/off/a", "Content-Length: 3\r\n") + "abc" + last, []int{200, 200}},
		{"chunked", upgrade("/off/a", "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n" + last, []int{200}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if as := wireAnswers(t, e.wire(t, tt.raw), "GET"); !slices.Equal(statusesOf(as), tt.status) {
				t.Errorf("%v, want %v", statusesOf(as), tt.status)
			}
		})
	}
	if all := e.wire(t, upgrade("/off/ws", "")+smuggled); !strings.Contains(all, " 101 ") || !strings.Contains(all, "frames") || strings.Count(all, "HTTP/1.1 ") != 1 {
		t.Errorf("%q", all)
	}
	if asked := app.askedFor("/smuggled"); len(asked) > 0 {
		t.Error("a frame became a request")
	}
}

// A trusted proxy is believed as far as it must be, and no further; a stranger
// who speaks through it, not at all.
func TestHostileWordsThroughATrustedProxy(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		h := r.Header
		fmt.Fprintf(w, "for=%s host=%s proto=%s forwarded=%s", h.Get("X-Forwarded-For"), h.Get("X-Forwarded-Host"), h.Get("X-Forwarded-Proto"), h.Get("Forwarded"))
	})
	e := startEdge(t, app.URL, redisURL(redis), simpleRoutes, "TRUSTED_PROXIES=127.0.0.0/8")
	for _, tt := range []struct{ name, lines, want string }{
		{"address", "X-Forwarded-For: 192.0.2.1\r\n", "for=192.0.2.1, 127.0.0.1 host=site.test proto=http forwarded=for=192.0.2.1;"},
		{"an address that the visitor wrote", "X-Forwarded-For: 6.6.6.6, 192.0.2.1\r\n", "for=192.0.2.1, 127.0.0.1 "},
		{"an address that is none", "X-Forwarded-For: 6.6.6.6, <script>\r\n", "for=127.0.0.1 "},
		{"host", "X-Forwarded-Host: evil.test\r\n", "host=site.test "},
		{"host in Forwarded", "Forwarded: for=6.6.6.6;host=evil.test;proto=https\r\n", "for=127.0.0.1 host=site.test proto=http forwarded=for=127.0.0.1;host=site.test;proto=http"},
		{"two protocols", "X-Forwarded-Proto: https, http\r\n", "proto=http "},
		{"a protocol of no kind", "X-Forwarded-Proto: javascript\r\n", "proto=http "},
		{"protocol", "X-Forwarded-Proto: https\r\n", "proto=https "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			as := wireAnswers(t, e.wire(t, "GET /off/a HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n"+tt.lines+"\r\n"), "GET")
			if len(as) != 1 || !strings.Contains(as[0].Body, tt.want) || strings.Contains(as[0].Body, "evil") || strings.Contains(as[0].Body, "6.6.6.6") {
				t.Errorf("%v", as)
			}
		})
	}
	v := e.visitor()
	v.get("/page/p", "X-Forwarded-Proto: https")
	if a := v.get("/page/p"); a.Hit() || !strings.Contains(a.Body, "proto=http ") {
		t.Errorf("http was answered with https's page: %q", a.Body)
	}
}

// What is small on the wire and large in memory stays where it is.
func TestHostileBombs(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		block := make([]byte, 1<<20)
		for range 64 {
			if _, err := z.Write(block); err != nil {
				return
			}
		}
		z.Close()
	})
	e := startEdge(t, app.URL, redisURL(redis), esiRoutes)
	if a := e.visitor().get("/esi/bomb"); a.StatusCode != 502 {
		t.Errorf("with fragments: %d, %d bytes", a.StatusCode, len(a.Body))
	}
	if a := e.visitor().get("/plain/bomb", "Accept-Encoding: gzip"); a.StatusCode != 200 || len(a.Body) > 1<<20 {
		t.Errorf("without: %d, %d bytes", a.StatusCode, len(a.Body))
	}
}

// Nothing that anybody keeps secret is in a log or on a page of ours.
func TestHostileLogsAndPagesKeepSecrets(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, signInApp)
	e := startEdge(t, app.URL, redisURL(redis), simpleRoutes, "LOG_LEVEL=debug")
	c := e.browser()
	c.get("/sign-in?who=ana")
	cookie := c.cookies()[0].Value
	c.get("/mine/")
	app.Server.CloseClientConnections()
	pages := ""
	for _, raw := range []string{
		"GET /mine/ HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\nCookie: umbral=" + cookie + "x\r\nAuthorization: Bearer in-the-header\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a:b:c\r\nCookie: umbral=" + cookie + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: site.test\r\nCookie umbral=" + cookie + "\r\n\r\n",
		"POST /off/ HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\nContent-Length: 17\r\n\r\npassword=in-a-form",
	} {
		pages += e.wire(t, raw)
	}
	for _, token := range []string{adminToken, "a-wrong-token-of-some-length"} {
		for _, path := range []string{"/v1/stats", "/v1/nothing", "/v1/explain?url=/&token=" + token} {
			r, _ := http.NewRequest("GET", e.Admin+path, nil)
			if token != adminToken {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != 401 {
				t.Errorf("%s: %d", path, resp.StatusCode)
			}
			pages += string(body)
		}
	}
	app.Close()
	pages += c.get("/off/down").Body + c.get("/mine/new").Body
	e.stop()
	for _, secret := range []string{cookie, "session-of-ana", edgeSecret, adminToken, "a-wrong-token", "in-the-header", "in-a-form"} {
		if strings.Contains(e.logs.String(), secret) {
			t.Errorf("the log shows %q", secret)
		}
		if strings.Contains(pages, secret) {
			t.Errorf("a page shows %q", secret)
		}
	}
	for _, ours := range []string{strings.TrimPrefix(app.URL, "http://"), redis.Addr, "dial tcp", "connection refused", "proxy:"} {
		if strings.Contains(pages, ours) {
			t.Errorf("a page shows %q", ours)
		}
	}
}
