package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// The tests of hostile_*_test.go attack the edge from both sides with raw
// sockets. Each row is one attack and names where it is described.

// wire sends bytes on a connection of its own, and returns everything that
// comes back until the edge closes it.
func (e *edge) wire(t testing.TB, bytes string) string {
	t.Helper()
	c := e.dialWire(t)
	defer c.Close()
	if _, err := io.WriteString(c, bytes); err != nil && !hungUp(err) {
		t.Fatal(err)
	}
	return drainWire(t, c)
}

func (e *edge) dialWire(t testing.TB) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(e.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// drainWire reads until the other side closes.
func drainWire(t testing.TB, c net.Conn) string {
	t.Helper()
	all, err := io.ReadAll(c)
	if err != nil && !hungUp(err) {
		t.Fatalf("%v after %q", err, all)
	}
	return string(all)
}

func hungUp(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrUnexpectedEOF)
}

// wireAnswers reads the responses in what wire returned; method is that of the
// first request, all others are taken for GET.
func wireAnswers(t testing.TB, all, method string) []answer {
	t.Helper()
	in := bufio.NewReader(strings.NewReader(all))
	var got []answer
	for {
		if _, err := in.Peek(1); err != nil {
			return got
		}
		resp, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("no response (%v) in %q", err, all)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatalf("a response that breaks off in %q", all)
		}
		if resp.StatusCode >= 200 {
			got = append(got, answer{resp, string(body)})
			method = "GET"
		}
	}
}

// wholeAnswer reads the one final answer to a GET, or says why it is not whole.
func wholeAnswer(all string) (answer, error) {
	in := bufio.NewReader(strings.NewReader(all))
	for {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return answer{}, err
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode >= 200 {
			return answer{resp, string(body)}, err
		}
	}
}

func statusesOf(as []answer) []int {
	var list []int
	for _, a := range as {
		list = append(list, a.StatusCode)
	}
	return list
}

// takeTargets lists what the app has been asked for since the last call, as
// method and target byte for byte.
func (a *app) takeTargets() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []string
	for _, r := range a.seen {
		list = append(list, r.Method+" "+r.RequestURI)
	}
	a.seen = nil
	return list
}

// askedFor lists what the app has been asked for under target.
func (a *app) askedFor(target string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []string
	for _, r := range a.seen {
		if r.RequestURI == target {
			list = append(list, r.Method+" "+r.RequestURI)
		}
	}
	return list
}

// wireApp is an upstream that answers with bytes.
type wireApp struct {
	URL   string
	Asked atomic.Int64
	mu    sync.Mutex
	say   func(r *http.Request) string
	conns []net.Conn
}

// hangUp at the end of what a wireApp says makes it close the connection.
const hangUp = "\x00hang up\x00"

// startWireApp answers each request with what say returns, and goes on on the
// same connection unless that ends with hangUp.
func startWireApp(t testing.TB, say func(r *http.Request) string) *wireApp {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &wireApp{URL: "http://" + l.Addr().String(), say: say}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			a.mu.Lock()
			a.conns = append(a.conns, c)
			a.mu.Unlock()
			serving.Go(func() { a.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		a.mu.Lock()
		for _, c := range a.conns {
			c.Close()
		}
		a.mu.Unlock()
		serving.Wait()
	})
	return a
}

func (a *wireApp) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if r.Header.Get("Expect") != "" {
			_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		a.Asked.Add(1)
		a.mu.Lock()
		say := a.say
		a.mu.Unlock()
		text, ends := strings.CutSuffix(say(r), hangUp)
		if _, err := io.WriteString(c, text); err != nil || ends {
			return
		}
	}
}

// wireOK is a plain answer of the app.
func wireOK(body string, headers ...string) string {
	return "HTTP/1.1 200 OK\r\n" + headerLines(headers) + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

func headerLines(headers []string) string {
	all := ""
	for _, h := range headers {
		all += h + "\r\n"
	}
	return all
}
