package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// waysToTheApp are the two by which an [Origin] asks: what an app may do, and
// what comes of it, is the same on both.
var waysToTheApp = []struct {
	name string
	take func(*Origin)
}{
	{"by the client", func(*Origin) {}},
	{"by net/http", func(og *Origin) {
		for _, u := range *og.upstreams.Load() {
			u.client = nil
		}
	}},
}

func TestOriginErrors(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, tt := range []struct {
		name, answer string
		silent       bool
		want         error
		fields       []string
	}{
		{"hangs up at once", "", false, ErrUnreachable, nil},
		{"hangs up within the header section", ok + "X: ", false, ErrUnreachable, nil},
		{"says nothing", "", true, ErrTimeout, nil},
		{"stalls in the header section", ok + "X: ", true, ErrTimeout, nil},
		{"no HTTP", "hello\r\n\r\n", false, ErrBadAnswer, nil},
		{"two content lengths", ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", false, ErrBadAnswer, nil},
		{"a content length that is no number", ok + "Content-Length: x\r\n\r\n", false, ErrBadAnswer, nil},
		{"a negative content length", ok + "Content-Length: -1\r\n\r\n", false, ErrBadAnswer, nil},
		{"unknown transfer coding", ok + "Transfer-Encoding: gzip\r\n\r\n", false, ErrBadAnswer, nil},
		{"chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", false, ErrBadAnswer, nil},
		{"chunks in HTTP/1.0 beside a length", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\nhello", false, ErrBadAnswer, nil},
		{"a transfer coding in HTTP/1.0 without content", "HTTP/1.0 204 No Content\r\nConnection: keep-alive\r\ntransfer-encoding: gzip\r\n\r\n", true, ErrBadAnswer, nil},
		{"a field name with a space", ok + "X Y: 1\r\nContent-Length: 0\r\n\r\n", false, ErrBadAnswer, nil},
		{"a control character", ok + "X: a\x00b\r\nContent-Length: 0\r\n\r\n", false, ErrBadAnswer, nil},
		{"a header section over the limit", ok + "X: " + strings.Repeat("x", 70<<10) + "\r\n\r\n", false, ErrBadAnswer, nil},
		{"status 99", "HTTP/1.1 099 ?\r\nContent-Length: 0\r\n\r\n", false, ErrBadAnswer, nil},
		{"status 999", "HTTP/1.1 999 ?\r\nContent-Length: 0\r\n\r\n", false, ErrBadAnswer, nil},
		{"unasked 304", "HTTP/1.1 304 Not Modified\r\n\r\n", false, ErrBadAnswer, nil},
		{"asked 304", "HTTP/1.1 304 Not Modified\r\n\r\n", false, nil, []string{"If-None-Match", `"a"`}},
		{"unasked 206", "HTTP/1.1 206 Partial Content\r\nContent-Length: 1\r\nContent-Range: bytes 0-0/2\r\n\r\na", false, ErrBadAnswer, nil},
		{"asked 206", "HTTP/1.1 206 Partial Content\r\nContent-Length: 1\r\nContent-Range: bytes 0-0/2\r\n\r\na", false, nil, []string{"Range", "bytes=0-0"}},
		{"unasked 101", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", false, ErrBadAnswer, nil},
		{"truncated content", ok + "Content-Length: 5\r\n\r\nab", false, ErrBadAnswer, nil},
		{"a bad chunk", ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", false, ErrBadAnswer, nil},
		{"truncated chunks", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nab", false, ErrBadAnswer, nil},
		{"content that stalls", ok + "Content-Length: 5\r\n\r\nab", true, ErrTimeout, nil},
		{"chunks that stall", ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", true, ErrTimeout, nil},
	} {
		for _, w := range waysToTheApp {
			t.Run(tt.name+", "+w.name, func(t *testing.T) {
				og := newTestOrigin(t, OriginOptions{
					URLs: []string{rawApp(t, tt.answer, tt.silent)}, ResponseHeaderTimeout: 100 * time.Millisecond, BodyStall: 50 * time.Millisecond,
				})
				w.take(og)
				_, _, err := ask(t, og, outgoing("GET", "", tt.fields...))
				if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
					t.Errorf("%v, want %v", err, tt.want)
				}
				if n := og.inFlight.Load(); n != 0 {
					t.Errorf("%d left in flight", n)
				}
			})
		}
	}
	og := newTestOrigin(t, OriginOptions{URLs: []string{deadURL(t)}})
	if _, _, err := ask(t, og, outgoing("GET", "")); !errors.Is(err, ErrUnreachable) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := ask(t, og, outgoing("GET", "").WithContext(ctx)); !errors.Is(err, context.Canceled) || RefusalFor(err).Status != statusClientGone {
		t.Error(err)
	}
}

// A visitor who says nothing of what they use is not said to use Go.
func TestOriginNamesNoUserAgentOfItsOwn(t *testing.T) {
	a := newApp(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%q", r.Header["User-Agent"]) })
	for _, w := range waysToTheApp {
		og := newTestOrigin(t, OriginOptions{URLs: []string{a.URL}})
		w.take(og)
		for _, fields := range [][]string{nil, {"User-Agent", ""}} {
			if _, body, err := ask(t, og, outgoing("GET", "", fields...)); body != "[]" || err != nil {
				t.Errorf("%s: %s, %v", w.name, body, err)
			}
		}
	}
}

// Every answer of the table is handed on as net/http reads it, whatever stands
// behind it goes to nobody, and where nothing does the connection is used again.
func TestOriginGivesNobodyWhatStandsBehindAnAnswer(t *testing.T) {
	const surplus = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
	for _, tt := range answersOfTheApp {
		for i := range 2 * len(waysToTheApp) {
			w, more := waysToTheApp[i/2], i%2 == 0
			t.Run(fmt.Sprintf("%s, %s, more %v", tt.name, w.name, more), func(t *testing.T) {
				a := newWireApp(t, func(r *http.Request, _ int) (string, bool) {
					if r.URL.Path == "/after" {
						return "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine", true
					}
					if more {
						return tt.answer + surplus, !tt.toEnd
					}
					return tt.answer, !tt.toEnd
				})
				og := newTestOrigin(t, OriginOptions{URLs: []string{a.url}})
				w.take(og)
				method := "GET"
				if tt.head {
					method = "HEAD"
				}
				first := outgoing(method, "", "If-None-Match", `"x"`)
				want, err := http.ReadResponse(bufio.NewReader(strings.NewReader(tt.answer)), first)
				for err == nil && want.StatusCode < 200 && want.StatusCode != 101 {
					want, err = http.ReadResponse(bufio.NewReader(strings.NewReader(tt.answer[strings.LastIndex(tt.answer, "HTTP/1.1 200"):])), first)
				}
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(want.Body)
				status, got, err := ask(t, og, first)
				switch {
				case want.StatusCode == http.StatusSwitchingProtocols:
					if !errors.Is(err, ErrBadAnswer) {
						t.Errorf("101 to no upgrade: %d, %v", status, err)
					}
				case err != nil || status != want.StatusCode || !strings.HasPrefix(got, string(body)) || !tt.toEnd && got != string(body):
					t.Errorf("%d %q, %v, want %d %q", status, got, err, want.StatusCode, body)
				}
				for range 3 {
					r := outgoing("GET", "")
					r.URL.Path = "/after"
					if status, got, err := ask(t, og, r); err != nil || status != 200 || got != "mine" {
						t.Fatalf("the next one got %d %q, %v", status, got, err)
					}
				}
				if n, most := a.conns.Load(), int64(2); n > most || !more && !tt.toEnd && n != 1 {
					t.Errorf("%d connections", n)
				}
			})
		}
	}
}

// What the app says while nobody asks is found before the next request goes.
func TestOriginLeavesAConnectionOnWhichSomethingCame(t *testing.T) {
	say := make(chan string, 1)
	came := make(chan struct{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for {
					if _, err := http.ReadRequest(in); err != nil {
						return
					}
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine")
					if s := <-say; s != "" {
						_, _ = io.WriteString(c, s)
					}
					came <- struct{}{}
				}
			}()
		}
	}()
	for _, w := range waysToTheApp {
		t.Run(w.name, func(t *testing.T) {
			og := newTestOrigin(t, OriginOptions{URLs: []string{"http://" + l.Addr().String()}})
			w.take(og)
			for i, surplus := range []string{"", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", "x", ""} {
				status, body, err := ask(t, og, outgoing("GET", ""))
				if err != nil || status != 200 || body != "mine" {
					t.Fatalf("request %d: %d %q, %v", i, status, body, err)
				}
				say <- surplus
				<-came
			}
		})
	}
}

// An app that hangs up between two requests is asked again, once for each
// request that is safe, and nobody notices.
func TestOriginAsksAgainWhereTheAppHungUp(t *testing.T) {
	for _, w := range waysToTheApp {
		a := newWireApp(t, func(_ *http.Request, nth int) (string, bool) {
			if nth == 1 { // it has taken the request and ends without a word
				return "", false
			}
			return "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true
		})
		og := newTestOrigin(t, OriginOptions{URLs: []string{a.url}})
		w.take(og)
		for i := range 4 {
			if status, body, err := ask(t, og, outgoing("GET", "")); err != nil || status != 200 || body != "hello" {
				t.Fatalf("request %d: %d %q, %v", i, status, body, err)
			}
		}
		if n := a.asked.Load(); n != 7 {
			t.Errorf("asked %d times, want 4 and 3 again", n)
		}
		never := newWireApp(t, func(*http.Request, int) (string, bool) { return "", false })
		og = newTestOrigin(t, OriginOptions{URLs: []string{never.url}})
		w.take(og)
		if _, _, err := ask(t, og, outgoing("GET", "")); !errors.Is(err, ErrUnreachable) || never.asked.Load() != 1 {
			t.Errorf("%v after %d requests", err, never.asked.Load())
		}
	}
}

// An app that falls silent within a line is late, whatever the half line would
// be taken for.
func TestOriginTellsALateAnswerFromABadOne(t *testing.T) {
	for _, w := range waysToTheApp {
		for _, answer := range []string{
			"", "H", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nX: y\r\nContent-Le", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
		} {
			a := newWireApp(t, func(*http.Request, int) (string, bool) { return answer, true })
			og := newTestOrigin(t, OriginOptions{URLs: []string{a.url}, ResponseHeaderTimeout: 20 * time.Millisecond, BodyStall: 20 * time.Millisecond})
			w.take(og)
			if _, _, err := ask(t, og, outgoing("GET", "")); !errors.Is(err, ErrTimeout) || errors.Is(err, ErrBadAnswer) {
				t.Errorf("%q: %v", answer, err)
			}
		}
	}
}
