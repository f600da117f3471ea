package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"umbral/proxy/store/storetest"
)

const appRoutes = `
version: 1
routes:
  - {match: /page/, ttl: 15m}
  - {match: /app/, ttl: app}
  - {match: /mine/, ttl: 15m, vary: session}
`

// An app that breaks the protocol gets a gateway error, nothing of its answer
// is stored, and the next request is answered by its own answer.
func TestHostileAppAnswers(t *testing.T) {
	redis := storetest.StartRedis(t)
	var mu sync.Mutex
	say := "" // what the app says to the next request; then it is well again
	app := startWireApp(t, func(r *http.Request) string {
		mu.Lock()
		defer mu.Unlock()
		if text := say; text != "" {
			say = ""
			return text
		}
		return wireOK("well "+r.URL.Path, "Cache-Control: no-store")
	})
	e := startEdge(t, app.URL, redisURL(redis), appRoutes)
	v := e.visitor()
	const head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n"
	for i, tt := range []struct {
		name, source, says string
		status             int // 0: the connection is cut
	}{
		{"304 unasked", "CACHING §9", "HTTP/1.1 304 Not Modified\r\n\r\n", 502},
		{"206 unasked", "CACHING §9", "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/10\r\nContent-Length: 2\r\n\r\nab", 502},
		{"101 unasked", "RFC 9110 §15.2.2", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 502},
		{"Content-Lengths that differ", "RFC 9112 §6.3", head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc", 502},
		{"Content-Length as a list", "RFC 9112 §6.3", head + "Content-Length: 2, 3\r\n\r\nabc", 502},
		{"Content-Length negative", "RFC 9110 §8.6", head + "Content-Length: -1\r\n\r\nabc" + hangUp, 502},
		{"Content-Length with sign", "RFC 9110 §8.6", head + "Content-Length: +3\r\n\r\nabc" + hangUp, 502},
		{"Content-Length not a number", "RFC 9110 §8.6", head + "Content-Length: 3a\r\n\r\nabc" + hangUp, 502},
		{"Transfer-Encoding gzip", "RFC 9112 §6.1", head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + hangUp, 502},
		{"Transfer-Encoding twice", "RFC 9112 §6.1", head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + hangUp, 502},
		{"Transfer-Encoding in HTTP/1.0", "RFC 9112 §6.1", "HTTP/1.0 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + hangUp, 502},
		{"Transfer-Encoding in HTTP/1.0 that would go on", "RFC 9112 §6.1", "HTTP/1.0 200 OK\r\nCache-Control: max-age=60\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello", 502},
		{"header section over 64 KiB", "CACHING §9", head + "X: " + strings.Repeat("x", 70<<10) + "\r\nContent-Length: 0\r\n\r\n", 502},
		{"very many fields", "CACHING §9", head + strings.Repeat("X: y\r\n", 20000) + "Content-Length: 0\r\n\r\n" + hangUp, 502},
		{"1 MB of tags", "CACHING §9", head + "Cache-Tag: " + strings.Repeat("tag,", 250000) + "\r\nContent-Length: 0\r\n\r\n" + hangUp, 502},
		{"a header section that never ends", "CACHING §9", head + strings.Repeat("x", 200<<10) + hangUp, 502},
		{"half a status line", "RFC 9112 §4", "HTTP/1.1 20" + hangUp, 502},
		{"half a header section", "RFC 9112 §8", "HTTP/1.1 200 OK\r\nX: y\r\n" + hangUp, 502},
		{"HTTP/0.9", "RFC 9112 §4", "hello" + hangUp, 502},
		{"HTTP/2.0", "RFC 9112 §2.3", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", 502},
		{"another protocol", "RFC 9112 §4", "RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n" + hangUp, 502},
		{"status 99", "RFC 9110 §15", "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n" + hangUp, 502},
		{"status 600", "RFC 9110 §15", "HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n", 502},
		{"status 999", "RFC 9110 §15", "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", 502},
		{"status 1000", "RFC 9112 §4", "HTTP/1.1 1000 Odd\r\nContent-Length: 0\r\n\r\n" + hangUp, 502},
		{"status -20", "RFC 9112 §4", "HTTP/1.1 -20 Odd\r\nContent-Length: 0\r\n\r\n" + hangUp, 502},
		{"a field name with a space", "RFC 9110 §5.1", head + "X Y: z\r\nContent-Length: 0\r\n\r\n" + hangUp, 502},
		{"a space before the colon", "RFC 9112 §5.1", head + "X-Y : z\r\nContent-Length: 0\r\n\r\n" + hangUp, 502},
		{"an empty field name", "RFC 9110 §5.1", head + ": z\r\nContent-Length: 0\r\n\r\n" + hangUp, 502},
		{"a field name with a control character", "RFC 9110 §5.1", head + "X\x01Y: z\r\nContent-Length: 0\r\n\r\n" + hangUp, 502},
		{"a field name in UTF-8", "RFC 9110 §5.1", head + "X-é: z\r\nContent-Length: 0\r\n\r\n" + hangUp, 502},
		{"a bare CR in a value", "RFC 9110 §5.5", head + "X: a\rSet-Cookie: b=c\r\nContent-Length: 0\r\n\r\n", 502},
		{"a NUL in a value", "RFC 9110 §5.5", head + "X: a\x00b\r\nContent-Length: 0\r\n\r\n", 502},
		{"a control character in a value", "RFC 9110 §5.5", head + "X: a\x08b\r\nContent-Length: 0\r\n\r\n", 502},
		{"a line without colon", "RFC 9112 §5", head + "nonsense\r\nContent-Length: 0\r\n\r\n" + hangUp, 502},
		{"a bad chunk size", "RFC 9112 §7.1", head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n" + hangUp, 0},
		{"a bad chunk after a good one", "RFC 9112 §7.1", head + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\nzz\r\n" + hangUp, 0},
		{"a chunk without its end", "RFC 9112 §7.1", head + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n" + hangUp, 0},
		{"chunks that break off", "RFC 9112 §8", head + "Transfer-Encoding: chunked\r\n\r\n5\r\nab" + hangUp, 0},
		{"chunks without the last", "RFC 9112 §8", head + "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n" + hangUp, 0},
		{"content that breaks off", "CACHING §7", head + "Content-Length: 10\r\n\r\nabc" + hangUp, 502},
		{"an unasked 100 and then nothing", "RFC 9110 §15.2", "HTTP/1.1 100 Continue\r\n\r\n" + hangUp, 502},
	} {
		for _, route := range []string{"/page/", "/app/", "/mine/", "/unlisted/"} {
			t.Run(tt.name+" "+route, func(t *testing.T) {
				path := fmt.Sprintf("%s%d", route, i)
				mu.Lock()
				say = tt.says
				mu.Unlock()
				// A connection of its own, so that the client tries only once.
				all := e.wire(t, "GET "+path+" HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n")
				a, err := wholeAnswer(all)
				switch {
				case tt.status == 0 && err == nil && a.StatusCode != 502:
					t.Errorf("%d %q came as if it were whole (%s)", a.StatusCode, a.Body, tt.source)
				case tt.status != 0 && err != nil:
					t.Errorf("%v (%s) in %q", err, tt.source, all)
				case tt.status != 0 && a.StatusCode != tt.status:
					t.Errorf("%d %v %q, want %d (%s)", a.StatusCode, a.Header, a.Body, tt.status, tt.source)
				}
				if err == nil && (strings.Contains(a.Body, "127.0.0.1") || strings.Contains(a.Body, "malformed") || strings.Contains(a.Body, "proxy:")) {
					t.Errorf("the page tells of us: %q", a.Body)
				}
				mu.Lock()
				say = ""
				mu.Unlock()
				if next := v.get(path); next.StatusCode != 200 || next.Body != "well "+path || next.Hit() {
					t.Errorf("the next was answered with %d %q %s", next.StatusCode, next.Body, next.Umbral())
				}
			})
		}
	}
}

// Bytes behind an answer are never the answer to somebody else's request
// (response queue poisoning, Kettle 2021; CVE-2019-6974 of its kind).
func TestHostileAppsSurplusAnswersNobody(t *testing.T) {
	redis := storetest.StartRedis(t)
	const poison = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 6\r\n\r\npoison"
	app := startWireApp(t, func(r *http.Request) string {
		body := "well " + r.URL.Path
		switch {
		case strings.HasPrefix(r.URL.Path, "/surplus/length"):
			return wireOK(body, "Cache-Control: no-store") + poison
		case strings.HasPrefix(r.URL.Path, "/surplus/chunked"):
			return fmt.Sprintf("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body) + poison
		case strings.HasPrefix(r.URL.Path, "/surplus/trailers"):
			return fmt.Sprintf("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n%x;a=b\r\n%s\r\n0\r\nX: y\r\n\r\n", len(body), body) + poison
		case strings.HasPrefix(r.URL.Path, "/surplus/204"):
			return "HTTP/1.1 204 No Content\r\n\r\n" + poison
		case strings.HasPrefix(r.URL.Path, "/surplus/head"):
			return wireOK(poison, "Cache-Control: no-store")
		case strings.HasPrefix(r.URL.Path, "/surplus/early"):
			return "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + wireOK(body, "Cache-Control: no-store") + poison
		case strings.HasPrefix(r.URL.Path, "/surplus/bytes"):
			return wireOK(body, "Cache-Control: no-store") + "\u00e9"
		}
		return wireOK(body, "Cache-Control: no-store")
	})
	e := startEdge(t, app.URL, redisURL(redis), appRoutes)
	for _, kind := range []string{"length", "chunked", "trailers", "204", "head", "early", "bytes"} {
		t.Run(kind, func(t *testing.T) {
			const visitors, rounds = 16, 30
			var all sync.WaitGroup
			errs := make(chan error, visitors)
			for n := range visitors {
				v := e.visitor()
				all.Go(func() {
					for i := range rounds {
						path := fmt.Sprintf("/well/%s/%d/%d", kind, n, i)
						method := "GET"
						if n%2 == 0 {
							path = fmt.Sprintf("/surplus/%s/%d/%d", kind, n, i)
							if kind == "head" {
								method = "HEAD"
							}
						}
						a, err := v.do(method, path, "")
						if err != nil {
							errs <- err
							return
						}
						if strings.Contains(a.Body, "poison") || a.StatusCode >= 500 || a.StatusCode == 200 && method == "GET" && a.Body != "well "+path {
							errs <- fmt.Errorf("%s was answered with %d %q", path, a.StatusCode, a.Body)
							return
						}
					}
				})
			}
			all.Wait()
			close(errs)
			for err := range errs {
				t.Error(err)
			}
		})
	}
}
