package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// wireApp is an app whose answers are bytes. say gets each request and what
// number it has on its connection, and whether the connection stays open.
type wireApp struct {
	url   string
	conns atomic.Int64
	asked atomic.Int64
}

func newWireApp(t *testing.T, say func(r *http.Request, nth int) (answer string, open bool)) *wireApp {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &wireApp{url: "http://" + l.Addr().String()}
	var mu sync.Mutex
	var all []net.Conn
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			a.conns.Add(1)
			mu.Lock()
			all = append(all, c)
			mu.Unlock()
			running.Go(func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for nth := 0; ; nth++ {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					a.asked.Add(1)
					answer, open := say(r, nth)
					if _, err := io.WriteString(c, answer); err != nil || !open {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range all {
			c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return a
}

// idleConns is how many connections of og's first upstream lie idle.
func idleConns(og *Origin) int {
	a := (*og.upstreams.Load())[0].client
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.idle)
}

func TestAppClientWritesWhatNetHTTPWould(t *testing.T) {
	for _, tt := range []struct {
		name string
		r    *http.Request
	}{
		{"plain", &http.Request{Method: "GET", URL: &url.URL{Path: "/a b", RawQuery: "x=1&y=%20"}, Host: "example.org", Header: http.Header{"Accept": {"*/*"}, "User-Agent": {""}}}},
		{"no path", &http.Request{Method: "HEAD", URL: &url.URL{}, Host: "example.org:8080", Header: http.Header{"User-Agent": {"one", "two"}}}},
		{"encoded path", &http.Request{Method: "GET", URL: &url.URL{Path: "/a/b", RawPath: "/a%2Fb", ForceQuery: true}, Host: "example.org", Header: http.Header{"User-Agent": {""}}}},
		{"opaque path", &http.Request{Method: "GET", URL: &url.URL{Path: "/a/b", Opaque: "/a%2fb"}, Host: "example.org", Header: http.Header{"User-Agent": {"x"}}}},
		{"several lines", &http.Request{Method: "OPTIONS", URL: &url.URL{Path: "/"}, Host: "[::1]:80", Header: http.Header{
			"X-A": {"1", "2", ""}, "Cookie": {"a=b; c=d"}, "User-Agent": {"x"}, "Te": {"trailers"}, "X-Bytes": {"caf\xc3\xa9\t\xff"},
		}}},
		{"what net/http writes itself", &http.Request{Method: "GET", URL: &url.URL{Path: "/"}, Host: "h", Header: http.Header{
			"Host": {"other"}, "Content-Length": {"0"}, "Transfer-Encoding": {"chunked"}, "Trailer": {"X"}, "User-Agent": {"x"},
		}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := appendRequest(nil, tt.r, tt.r.Host)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := tt.r.Write(&b); err != nil {
				t.Fatal(err)
			}
			lines := func(all string) []string {
				s := strings.SplitAfter(all, "\r\n")
				slices.Sort(s[2:])
				return s
			}
			if got, want := lines(string(got)), lines(b.String()); !slices.Equal(got, want) {
				t.Errorf("\n%q, want\n%q", got, want)
			}
		})
	}
}

func TestAppClientWritesNothingThatBreaksItsGrammar(t *testing.T) {
	ok := func() *http.Request {
		return &http.Request{Method: "GET", URL: &url.URL{Path: "/"}, Header: http.Header{"X-A": {"1"}}}
	}
	for name, spoil := range map[string]func(*http.Request) string{
		"target": func(r *http.Request) string { r.URL.Opaque = "/a\r\nX: y"; return "h" },
		"host":   func(*http.Request) string { return "h\r\nX: y" },
		"name":   func(r *http.Request) string { r.Header["X A"] = []string{"1"}; return "h" },
		"value":  func(r *http.Request) string { r.Header["X-A"] = []string{"1\r\nX: y"}; return "h" },
	} {
		r := ok()
		if b, err := appendRequest(nil, r, spoil(r)); !errors.Is(err, ErrBadAnswer) {
			t.Errorf("%s: %q", name, b)
		}
	}
}

func TestAppClientUsesAConnectionAgain(t *testing.T) {
	for name, answer := range map[string]string{
		"length":     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"long":       "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000),
		"chunked":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"no content": "HTTP/1.1 204 No Content\r\n\r\n",
		"1.0":        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
	} {
		a := newWireApp(t, func(*http.Request, int) (string, bool) { return answer, true })
		og := newTestOrigin(t, OriginOptions{URLs: []string{a.url}})
		for range 10 {
			if _, _, err := ask(t, og, outgoing("GET", "")); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if n := a.conns.Load(); n != 1 || idleConns(og) != 1 {
			t.Errorf("%s: %d connections, %d idle", name, n, idleConns(og))
		}
	}
	for name, answer := range map[string]string{
		"close":     "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
		"1.0":       "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"broken":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXYZ\r\n",
		"nonsense":  "HTTP/1.1 20 OK\r\n\r\n",
		"too large": "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxAnswerHeader) + "\r\n\r\n",
	} {
		a := newWireApp(t, func(*http.Request, int) (string, bool) { return answer, true })
		og := newTestOrigin(t, OriginOptions{URLs: []string{a.url}})
		_, _, _ = ask(t, og, outgoing("GET", ""))
		if idleConns(og) != 0 {
			t.Errorf("%s: the connection was kept", name)
		}
	}
}

func TestAppClientTellsInterimAnswers(t *testing.T) {
	hint := "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
	for _, tt := range []struct {
		n  int
		ok bool
	}{{1, true}, {maxAsides, true}, {maxAsides + 1, false}} {
		a := newWireApp(t, func(*http.Request, int) (string, bool) {
			return strings.Repeat(hint, tt.n) + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true
		})
		og := newTestOrigin(t, OriginOptions{URLs: []string{a.url}})
		var told int
		r := outgoing("GET", "")
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if code == 103 && h.Get("Link") == "</a>" {
				told++
			}
			return nil
		}}))
		_, _, err := ask(t, og, r)
		if tt.ok != (err == nil) || told != min(tt.n, maxAsides) || !tt.ok && !errors.Is(err, ErrBadAnswer) {
			t.Errorf("%d interim answers: told %d, %v", tt.n, told, err)
		}
	}
}

// A visitor who leaves ends their request, before the header section and
// within the content, and their connection is nobody's after that.
func TestAppClientEndsWithItsRequest(t *testing.T) {
	gone := make(chan struct{}, 4)
	app := newApp(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			w.Header().Set("Content-Length", "1000000")
			_, _ = io.WriteString(w, "begun")
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
		gone <- struct{}{}
	})
	og := newTestOrigin(t, OriginOptions{URLs: []string{app.URL}})
	for _, path := range []string{"/header", "/body"} {
		ctx, cancel := context.WithCancel(t.Context())
		r := outgoing("GET", "").WithContext(ctx)
		r.URL.Path = path
		if path == "/header" {
			time.AfterFunc(time.Millisecond, cancel)
		}
		resp, err := og.RoundTrip(r)
		if path == "/body" {
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", path, err)
		}
		<-gone // the app learns of it
		if idleConns(og) != 0 {
			t.Errorf("%s: the connection was kept", path)
		}
		cancel()
	}
	if n := og.inFlight.Load(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

// A session that ends closes its event stream under whoever reads it: that is
// no failure of the app's.
func TestAnAnswerThatWeCloseIsNoFailure(t *testing.T) {
	app := newApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "begun")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	og := newTestOrigin(t, OriginOptions{URLs: []string{app.URL}})
	for _, method := range []string{"GET", "POST"} { // by the client, and by net/http
		resp, err := og.RoundTrip(outgoing(method, ""))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := resp.Body.Read(make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Millisecond, func() { resp.Body.Close() })
		if _, err := resp.Body.Read(make([]byte, 5)); err == nil || errors.Is(err, ErrBadAnswer) {
			t.Errorf("%s: %v", method, err)
		}
	}
	if n := (*og.upstreams.Load())[0].failed.Load(); n != 0 {
		t.Errorf("%d failures", n)
	}
}

func TestAppClientExpiresIdleConnections(t *testing.T) {
	a := newWireApp(t, func(*http.Request, int) (string, bool) { return "HTTP/1.1 204 No Content\r\n\r\n", true })
	og := newTestOrigin(t, OriginOptions{URLs: []string{a.url}})
	if _, _, err := ask(t, og, outgoing("GET", "")); err != nil {
		t.Fatal(err)
	}
	c := (*og.upstreams.Load())[0].client
	c.expire(time.Now())
	if idleConns(og) != 1 {
		t.Fatal("closed at once")
	}
	c.expire(time.Now().Add(idleFor))
	if idleConns(og) != 0 {
		t.Error("kept for longer than it may be")
	}
	if _, _, err := ask(t, og, outgoing("GET", "")); err != nil || a.conns.Load() != 2 {
		t.Errorf("%v, %d connections", err, a.conns.Load())
	}
}

// Hundreds ask at once, some leave, some do not read on: everybody else gets
// what they asked for, whole.
func TestAppClientMixesNobodyUp(t *testing.T) {
	app := newApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-For", r.URL.Path)
		body := strings.Repeat(r.URL.Path+"\n", len(r.URL.Path)*rand.IntN(600))
		if r.URL.RawQuery == "length" {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		}
		_, _ = io.WriteString(w, body)
	})
	og := newTestOrigin(t, OriginOptions{URLs: []string{app.URL}})
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			for j := range 20 {
				ctx, cancel := context.WithCancel(t.Context())
				r := outgoing("GET", "").WithContext(ctx)
				r.URL.Path = fmt.Sprintf("/%d/%d", i, j)
				if j%2 == 0 {
					r.URL.RawQuery = "length"
				}
				if j%5 == 4 {
					go cancel()
				}
				resp, err := og.RoundTrip(r)
				if err != nil {
					if !errors.Is(err, context.Canceled) {
						t.Errorf("%s: %v", r.URL.Path, err)
					}
					cancel()
					continue
				}
				if got := resp.Header.Get("X-For"); got != r.URL.Path {
					t.Errorf("%s got the answer to %s", r.URL.Path, got)
				}
				if j%7 != 6 { // else it is left unread
					body, err := io.ReadAll(resp.Body)
					if err != nil && !errors.Is(err, context.Canceled) {
						t.Errorf("%s: %v", r.URL.Path, err)
					}
					if strings.ReplaceAll(string(body), r.URL.Path+"\n", "") != "" && err == nil {
						t.Errorf("%s got content of others", r.URL.Path)
					}
				}
				resp.Body.Close()
				cancel()
			}
		})
	}
	all.Wait()
	if n := og.inFlight.Load(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}
