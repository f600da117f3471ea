package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"umbral/proxy/store/storetest"
)

// TestRFCUnreachable: RFC 9111 §4.2.4 where nobody listens at the app's
// address any more, and then again.
func TestRFCUnreachable(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startScripted(t)
	e := startEdge(t, "http://"+app.Addr().String(), redisURL(redis), "version: 1\nroutes:\n  - match: /\n    ttl: app\n")
	for path, fields := range map[string]string{
		"stale":    "Cache-Control: max-age=60\r\nAge: 100",
		"fresh":    "Cache-Control: max-age=60",
		"must":     "Cache-Control: max-age=60, must-revalidate\r\nAge: 100\r\nETag: \"a\"",
		"proxy":    "Cache-Control: max-age=60, proxy-revalidate\r\nAge: 100\r\nETag: \"a\"",
		"s-maxage": "Cache-Control: s-maxage=60\r\nAge: 100\r\nETag: \"a\"",
		"no-cache": "Cache-Control: max-age=60, no-cache\r\nETag: \"a\"",
	} {
		app.play(path).script([]string{"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n" + fields + "\r\n\r\nbody"})
		if a := e.visitor().get("/" + path + "/"); a.Body != "body" {
			t.Fatalf("%s: %d %q", path, a.StatusCode, a.Body)
		}
	}
	app.hang()
	for path, want := range map[string]int{"stale": 200, "fresh": 200, "must": 504, "proxy": 504, "s-maxage": 504, "no-cache": 504, "never": 502} {
		for _, method := range []string{"GET", "HEAD"} {
			a, err := e.visitor().do(method, "/"+path+"/", "")
			if err != nil || a.StatusCode != want || want == 200 && method == "GET" && a.Body != "body" {
				t.Errorf("9111 4.2.4 %s %s: %d %q %v, expected %d", method, path, a.StatusCode, a.Body, err, want)
			}
			if path == "stale" && (a.Header.Get("Age") == "" || !strings.Contains(a.Umbral(), "fwd=stale; ")) {
				t.Errorf("9111 5.1 stale: Age %q, %s", a.Header.Get("Age"), a.Umbral())
			}
		}
	}
}

// hang closes the listener and every connection.
func (s *scripted) hang() {
	s.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		conn.Close()
	}
}

// TestRFCWire: what a table of fields cannot say.
func TestRFCWire(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startScripted(t)
	e := startEdge(t, "http://"+app.Addr().String(), redisURL(redis), "version: 1\nroutes:\n  - match: /\n    ttl: app\n")
	const early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
	ok := func(fields, body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", fields, len(body), body)
	}
	for i, row := range []struct {
		name, answer, request string
		want, never           string
	}{
		{"9110 15.2 no 1xx over HTTP/1.0", early + ok("", "a"), "GET /%s/ HTTP/1.0\r\nHost: a.test\r\n\r\n", " 200 OK\r\n", " 103 "},
		{"9110 15.2 1xx over HTTP/1.1", early + ok("", "a"), "GET /%s/ HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n", ""},
		{"9110 10.1.1 Expect: 100-continue", ok("", "a"), "POST /%s/ HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx", " 200 OK\r\n", " 417 "},
		{"9112 5.2 a folded request field", ok("Cache-Control: max-age=60\r\nVary: Foo\r\n", "a"), "GET /%s/ HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nFoo: a,\r\n b\r\n\r\n", "Vary: Foo\r\n", " 502 "},
		{"9112 6.3 a HEAD without length", "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\n", "HEAD /%s/ HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n", " 200 OK\r\n", "Content-Length: 0"},
		{"9112 6 a 204 has no content", "HTTP/1.1 204 No Content\r\nCache-Control: max-age=60\r\n\r\n", "GET /%s/ HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n", " 204 No Content\r\n", "Content-Length"},
		{"9110 6.6.1 a date for what has none", ok("", "a"), "GET /%s/ HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n", "\r\nDate: ", ""},
		{"9112 4 the app's own reason is not needed", "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\na", "GET /%s/ HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n", " 200 OK\r\n", ""},
		{"9112 2.3 an app of HTTP/1.0", "HTTP/1.0 200 OK\r\nCache-Control: max-age=60\r\n\r\nuntil the end", "GET /%s/ HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n", "until the end", " 502 "},
		{"9112 6.1 a coding of transfer that nobody knows", "HTTP/1.1 200 OK\r\nTransfer-Encoding: foo\r\nCache-Control: max-age=60\r\n\r\nbody", "GET /%s/ HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n", " 502 ", "body"},
		{"9112 6.3 two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\nCache-Control: max-age=60\r\n\r\nbody", "GET /%s/ HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n", " 502 ", "body"},
		{"9110 15 a status that is none", "HTTP/1.1 999 Odd\r\nContent-Length: 4\r\nCache-Control: max-age=60\r\n\r\nbody", "GET /%s/ HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n", " 502 ", "body"},
	} {
		t.Run(row.name, func(t *testing.T) {
			name := fmt.Sprintf("wire-%d", i)
			p := app.play(name)
			p.script([]string{row.answer, row.answer})
			for range 2 { // the second may come from the store
				conn, err := net.Dial("tcp", strings.TrimPrefix(e.URL, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				_ = conn.SetDeadline(time.Now().Add(patience))
				fmt.Fprintf(conn, row.request, name)
				got, err := io.ReadAll(conn)
				conn.Close()
				if err != nil || !bytes.Contains(got, []byte(row.want)) || row.never != "" && bytes.Contains(got, []byte(row.never)) {
					t.Errorf("%v, expected %q and not %q in\n%s", err, row.want, row.never, got)
				}
			}
		})
	}
}

// TestRFCLarge: an answer that streams, because it is large or of unknown
// length, is stored and used like any other.
func TestRFCLarge(t *testing.T) {
	redis := storetest.StartRedis(t)
	body := strings.Repeat("0123456789abcdef", 200_000) // 3.2 MB
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Etag", `"a"`)
		w.Header().Set("Content-Type", "application/octet-stream")
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		}
		if r.URL.Path == "/cut" {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)+1))
		}
		out := bufio.NewWriter(w)
		_, _ = out.WriteString(body)
		out.Flush()
	})
	e := startEdge(t, app.URL, redisURL(redis), "version: 1\nroutes:\n  - match: /\n    ttl: app\n")
	v := e.visitor()
	for _, path := range []string{"/length", "/chunked"} {
		before := app.Asked.Load()
		if a := v.get(path); a.Body != body || a.Hit() {
			t.Errorf("%s: %d bytes, %s", path, len(a.Body), a.Umbral())
		}
		e.eventually(path+" is stored", func() bool { return v.get(path).Hit() })
		asked := app.Asked.Load()
		if a := v.get(path); a.Body != body || a.Header.Get("Age") == "" {
			t.Errorf("%s again: %d bytes, Age %q", path, len(a.Body), a.Header.Get("Age"))
		}
		if a := v.get(path, "Range: bytes=-16"); a.StatusCode != 206 || a.Body != "0123456789abcdef" {
			t.Errorf("%s, the end: %d %d bytes", path, a.StatusCode, len(a.Body))
		}
		if a := v.get(path, `If-None-Match: "a"`); a.StatusCode != 304 {
			t.Errorf("%s, a condition: %d", path, a.StatusCode)
		}
		if a, err := v.do("HEAD", path, ""); err != nil || a.ContentLength != int64(len(body)) {
			t.Errorf("%s, HEAD: %d %v", path, a.ContentLength, err)
		}
		if now := app.Asked.Load(); now != asked || before == asked {
			t.Errorf("%s: the app was asked %d, then %d times", path, asked-before, now-asked)
		}
	}
	for range 2 {
		if a, err := v.do("GET", "/cut", ""); err == nil || a.Hit() {
			t.Errorf("9111 3.3 an answer that is cut off: %d bytes, %v", len(a.Body), err)
		}
	}
}

// TestFirstVisitorsOfAVariantAreOneRequest: a resource that is known to vary
// is fetched once for all who ask for the same new variant (RFC 9111 §4).
func TestFirstVisitorsOfAVariantAreOneRequest(t *testing.T) {
	redis := storetest.StartRedis(t)
	release := make(chan struct{})
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Vary", "Foo")
		if r.Header.Get("Foo") == "1" {
			<-release
		}
		fmt.Fprint(w, "variant "+r.Header.Get("Foo"))
	})
	e := startEdge(t, app.URL, redisURL(redis), "version: 1\nroutes:\n  - match: /\n    ttl: app\n")
	e.visitor().get("/", "Foo: 0")
	const n = 40
	answers, errs := make([]answer, n), make([]error, n)
	var done sync.WaitGroup
	for i := range n {
		done.Add(1)
		go func() {
			defer done.Done()
			answers[i], errs[i] = e.visitor().do("GET", "/", "", "Foo: 1")
		}()
	}
	e.eventually("all have asked", func() bool { return e.metrics()["umbral_requests_in_flight"] >= n })
	close(release)
	done.Wait()
	for i, a := range answers {
		if errs[i] != nil || a.Body != "variant 1" {
			t.Fatalf("%d %q %v", a.StatusCode, a.Body, errs[i])
		}
	}
	if got := app.Asked.Load(); got != 2 {
		t.Errorf("one variant and %d visitors of another were %d requests", n, got)
	}
}

// TestStaleWhileRevalidateAsksOnce: RFC 5861 §3, one background request for
// all who are served meanwhile, none of whom waits.
func TestStaleWhileRevalidateAsksOnce(t *testing.T) {
	redis := storetest.StartRedis(t)
	release, begun := make(chan struct{}), make(chan struct{}, 64)
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") == "" {
			w.Header().Set("Cache-Control", "max-age=60, stale-while-revalidate=600")
			w.Header().Set("Age", "100")
			w.Header().Set("Etag", `"old"`)
			fmt.Fprint(w, "old")
			return
		}
		begun <- struct{}{}
		<-release
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, "new")
	})
	e := startEdge(t, app.URL, redisURL(redis), "version: 1\nroutes:\n  - match: /\n    ttl: app\n")
	e.visitor().get("/")
	var done sync.WaitGroup
	for range 40 {
		done.Add(1)
		go func() {
			defer done.Done()
			if a, err := e.visitor().do("GET", "/", ""); err != nil || a.Body != "old" || !a.Hit() {
				t.Errorf("%q %s %v", a.Body, a.Umbral(), err)
			}
		}()
	}
	done.Wait()
	<-begun
	close(release)
	e.eventually("the new page is served", func() bool { return e.visitor().get("/").Body == "new" })
	if got := app.Asked.Load(); got != 2 {
		t.Errorf("one page and its revalidation were %d requests", got)
	}
}
