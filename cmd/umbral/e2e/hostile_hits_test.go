package e2e

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"umbral/proxy/store/storetest"
)

// A page that is in memory is answered by the shortest way there is; what is
// not plain about its request must not get lost on it.
func TestHostileRequestsForStoredPages(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, echoTarget)
	e := startEdge(t, app.URL, redisURL(redis), simpleRoutes)
	e.visitor().get("/page/1")
	e.visitor().get("/page/1")
	app.takeTargets()
	const get, host = "GET /page/1 HTTP/1.1\r\n", "Host: site.test\r\n"
	const plain = get + host + "\r\n"
	const last = "GET /page/1 HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n"
	for _, tt := range []struct {
		name, source, raw string
		status            []int
	}{
		{"two in one piece", "RFC 9112 §9.3.2", plain + last, []int{200, 200}},
		{"three in one piece", "RFC 9112 §9.3.2", plain + plain + last, []int{200, 200, 200}},
		{"bare LF", "RFC 9112 §2.2", strings.ReplaceAll(last, "\r\n", "\n"), []int{200}},
		{"CL.TE", "RFC 9112 §6.3", get + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, []int{200}},
		{"TE", "CACHING §9", get + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, []int{200}},
		{"TE of no kind", "RFC 9112 §6.1", get + host + "Transfer-Encoding: xchunked\r\n\r\n" + smuggled, []int{501}},
		{"TE behind a blank", "RFC 9112 §5.1", get + host + "Transfer-Encoding : chunked\r\n\r\n" + smuggled, []int{400}},
		{"content", "CACHING §2", get + host + "Connection: close\r\nContent-Length: " + fmt.Sprint(len(smuggled)) + "\r\n\r\n" + smuggled, []int{200}},
		{"a content length that is none", "RFC 9110 §8.6", get + host + "Content-Length: +47\r\n\r\n" + smuggled, []int{400}},
		{"content lengths that differ", "RFC 9112 §6.3", get + host + "Content-Length: 0\r\nContent-Length: 47\r\n\r\n" + smuggled, []int{400}},
		{"HTTP/1.0", "RFC 9112 §6.1", "GET /page/1 HTTP/1.0\r\n" + host + "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggled, []int{200}},
		{"no Host", "RFC 9112 §3.2", get + "\r\n" + smuggled, []int{400}},
		{"two Hosts", "RFC 9112 §3.2", get + host + host + "\r\n" + smuggled, []int{400}},
		{"another Host folded on", "RFC 9112 §5.2", get + "Host: site.test\r\n evil.test\r\n\r\n" + smuggled, []int{400}},
		{"a NUL", "RFC 9110 §5.5", get + host + "X: \x00\r\n\r\n" + smuggled, []int{400}},
		{"a bare CR", "RFC 9112 §2.2", get + host + "X: a\rb\r\n\r\n" + smuggled, []int{400}},
		{"a line without colon", "RFC 9112 §5", get + host + "X\r\n\r\n" + smuggled, []int{400}},
		{"absolute form", "CACHING §9", "GET http://site.test/page/1 HTTP/1.1\r\n" + host + "\r\n" + smuggled, []int{400}},
		{"two blanks", "RFC 9112 §3", "GET  /page/1 HTTP/1.1\r\n" + host + "\r\n" + smuggled, []int{400}},
		{"an upgrade to h2c", "Bishop Fox 2020", get + host + "Connection: close, Upgrade\r\nUpgrade: h2c\r\n\r\n" + smuggled, []int{200}},
		{"Expect", "RFC 9110 §10.1.1", get + host + "Expect: tea\r\nConnection: close\r\n\r\n" + smuggled, []int{417}},
		{"close", "RFC 9112 §9.6", last + smuggled, []int{200}},
		{"close among others", "RFC 9112 §9.6", get + host + "Connection: keep-alive, close\r\n\r\n" + smuggled, []int{200}},
		{"half a second request", "RFC 9112 §2.2", plain + "GET /page/1 HT\r\n\r\n" + smuggled, []int{200, 400}},
		{"over the limit", "CACHING §7", get + host + "X: " + strings.Repeat("x", 80<<10) + "\r\n\r\n" + smuggled, []int{431}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			as := wireAnswers(t, e.wire(t, tt.raw), "GET")
			if !slices.Equal(statusesOf(as), tt.status) {
				t.Errorf("%v, want %v (%s)", statusesOf(as), tt.status, tt.source)
			}
			for _, a := range as {
				if a.StatusCode == 200 && a.Body != "GET /page/1 []" && !strings.Contains(a.Body, "GET /page/1 [") {
					t.Errorf("%q (%s)", a.Body, tt.source)
				}
			}
		})
		t.Run(tt.name+", byte by byte", func(t *testing.T) {
			if len(tt.raw) > 1000 {
				return
			}
			c := e.dialWire(t)
			defer c.Close()
			for i := range len(tt.raw) {
				if _, err := io.WriteString(c, tt.raw[i:i+1]); err != nil {
					break
				}
			}
			if as := wireAnswers(t, drainWire(t, c), "GET"); !slices.Equal(statusesOf(as), tt.status) {
				t.Errorf("%v, want %v (%s)", statusesOf(as), tt.status, tt.source)
			}
		})
	}
	if asked := app.askedFor("/smuggled"); len(asked) > 0 {
		t.Errorf("%d requests were smuggled", len(asked))
	}
}

// A stream of addresses that nobody has asked for before pushes nothing out
// that is read, and what one visitor can vary stays few.
func TestHostileBusting(t *testing.T) {
	redis := storetest.StartRedis(t)
	body := strings.Repeat("x", 2000)
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "User-Agent")
		fmt.Fprint(w, body)
	})
	e := startEdge(t, app.URL, redisURL(redis), simpleRoutes, "MEMORY_CACHE_BYTES=4MiB")
	v := e.visitor()
	const agent = "User-Agent: the one that all use"
	hot := func() (hits int) {
		for i := range 20 {
			if v.get(fmt.Sprintf("/page/hot-%d", i), agent).Hit() {
				hits++
			}
		}
		return hits
	}
	hot()
	var all sync.WaitGroup
	for n := range 4 {
		w := e.visitor()
		all.Go(func() {
			for i := range 800 {
				path := fmt.Sprintf("/page/never-%d-%d", n, i)
				if i%2 == 0 {
					path = fmt.Sprintf("/page/hot-%d", i%20) // and variants of those that are read
				}
				_, _ = w.do("GET", path, "", fmt.Sprintf("User-Agent: bot-%d-%d", n, i))
			}
		})
	}
	over := make(chan struct{})
	go func() { all.Wait(); close(over) }()
	for reading := true; reading; {
		hot()
		select {
		case <-over:
			reading = false
		default:
		}
	}
	redis.Stop() // so that only memory can answer
	app.takeTargets()
	if hits := hot(); hits < 18 {
		t.Errorf("of 20 pages that are read %d are left: the app was asked %q", hits, app.takeTargets())
	}
}
