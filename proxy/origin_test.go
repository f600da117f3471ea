package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// app is a scripted upstream that counts its requests.
type app struct {
	*httptest.Server
	n atomic.Int64
}

func newApp(t *testing.T, h http.HandlerFunc) *app {
	a := &app{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.n.Add(1)
		h(w, r)
	}))
	t.Cleanup(a.Server.Close)
	return a
}

// rawApp answers each connection's first request with bytes, and hangs up or
// stays silent.
func rawApp(t *testing.T, answer string, silent bool) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer c.Close()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
					return
				}
				io.WriteString(c, answer)
				if silent {
					<-stop
				}
			})
		}
	})
	t.Cleanup(func() { close(stop); l.Close(); open.Wait() })
	return "http://" + l.Addr().String()
}

// deadURL is an address that refuses connections.
func deadURL(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

func newTestOrigin(t *testing.T, o OriginOptions) *Origin {
	t.Helper()
	if o.HealthEvery == 0 {
		o.HealthEvery = time.Hour
	}
	og, err := NewOrigin(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { og.Close() })
	return og
}

// outgoing is a request as ReverseProxy would hand it down.
func outgoing(method, body string, fields ...string) *http.Request {
	r := httptest.NewRequest(method, "/x?y", nil)
	r.RequestURI, r.Body = "", nil
	if body != "" {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}
	r.Host = "visitor.example"
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	return r
}

func ask(t *testing.T, og *Origin, r *http.Request) (status int, body string, err error) {
	t.Helper()
	resp, err := og.RoundTrip(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func TestOriginKeepsHostAndBody(t *testing.T) {
	a := newApp(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, r.Method, r.Host, r.RequestURI, string(body), r.Header.Get("Accept-Encoding"))
	})
	og := newTestOrigin(t, OriginOptions{URLs: []string{a.URL}})
	r := outgoing("POST", "hi")
	if status, body, err := ask(t, og, r); status != 200 || body != "POSTvisitor.example/x?yhi" || err != nil {
		t.Errorf("%d %q %v", status, body, err)
	}
	if r.URL.Host != "" {
		t.Errorf("the caller's request was changed: %v", r.URL)
	}
	if s := og.Upstreams()[0]; s.InFlight != 0 || s.Requests != 1 || s.Failures != 0 {
		t.Errorf("%+v", s)
	}
}

// An event stream may be silent for as long as it likes.
func TestOriginLeavesEventStreamsAlone(t *testing.T) {
	og := newTestOrigin(t, OriginOptions{
		URLs: []string{rawApp(t, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n", true)}, BodyStall: time.Millisecond,
	})
	resp, err := og.RoundTrip(outgoing("GET", ""))
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	if n, err := resp.Body.Read(b); err != nil || string(b[:n]) != "data: 1\n\n" {
		t.Fatalf("%q %v", b[:n], err)
	}
	if body := resp.Body.(*trackedBody); body.timer != nil {
		t.Error("a timer runs")
	}
	if og.inFlight.Load() != 0 || og.Upstreams()[0].InFlight != 1 {
		t.Error("a stream counts against MaxInFlight, or not as in flight")
	}
	resp.Body.Close()
	if og.Upstreams()[0].InFlight != 0 {
		t.Error("still in flight")
	}
}

// An app that answers before it has read the content leaves no connection on
// which the rest of that content would be taken for a request.
func TestOriginDropsConnectionsAfterEarlyAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var connections atomic.Int64
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			go func() {
				defer c.Close()
				br := bufio.NewReader(c)
				for {
					if _, err := http.ReadRequest(br); err != nil {
						return
					}
					io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
				}
			}()
		}
	}()
	og := newTestOrigin(t, OriginOptions{URLs: []string{"http://" + l.Addr().String()}})
	r := outgoing("POST", "")
	pr, pw := io.Pipe()
	defer pw.Close()
	r.Body, r.ContentLength = pr, 1000
	go io.WriteString(pw, "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
	for _, r := range []*http.Request{r, outgoing("GET", "")} {
		if status, _, err := ask(t, og, r); status != 403 {
			t.Fatal(status, err)
		}
	}
	if n := connections.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

func TestOriginLimitsRequestsInFlight(t *testing.T) {
	release := make(chan struct{})
	arrived := make(chan struct{}, 3)
	a := newApp(t, func(w http.ResponseWriter, r *http.Request) { arrived <- struct{}{}; <-release })
	og := newTestOrigin(t, OriginOptions{URLs: []string{a.URL}, MaxInFlight: 2})
	var done sync.WaitGroup
	for range 2 {
		done.Go(func() { ask(t, og, outgoing("GET", "")) })
	}
	<-arrived
	<-arrived
	if _, _, err := ask(t, og, outgoing("GET", "")); !errors.Is(err, ErrOverloaded) {
		t.Error(err)
	}
	close(release)
	done.Wait()
	if status, _, err := ask(t, og, outgoing("GET", "")); status != 200 {
		t.Error(status, err)
	}
}

func TestOriginRetriesWhereItIsSafe(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }
	for _, tt := range []struct {
		name, method, body string
		dead               func(*testing.T) string
		saved              bool
	}{
		{"get, refused", "GET", "", deadURL, true},
		{"post, refused", "POST", "content", deadURL, true},
		{"get, hung up on", "GET", "", func(t *testing.T) string { return rawApp(t, "", false) }, true},
		{"delete, hung up on", "DELETE", "", func(t *testing.T) string { return rawApp(t, "", false) }, true},
		{"post, hung up on", "POST", "content", func(t *testing.T) string { return rawApp(t, "", false) }, false},
		{"post without content, hung up on", "POST", "", func(t *testing.T) string { return rawApp(t, "", false) }, false},
		{"put, hung up on", "PUT", "content", func(t *testing.T) string { return rawApp(t, "", false) }, false},
		{"get, no HTTP", "GET", "", func(t *testing.T) string { return rawApp(t, "hello\r\n\r\n", false) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			good := newApp(t, echo)
			og := newTestOrigin(t, OriginOptions{URLs: []string{tt.dead(t), good.URL}})
			bad := (*og.upstreams.Load())[0]
			(*og.upstreams.Load())[1].inFlight.Add(1) // the bad one is the least busy
			status, body, err := ask(t, og, outgoing(tt.method, tt.body))
			if saved := err == nil && status == 200 && body == tt.body; saved != tt.saved {
				t.Errorf("%d %q %v", status, body, err)
			}
			if bad.requests.Load() != 1 {
				t.Errorf("the bad one was asked %d times", bad.requests.Load())
			}
			if want := map[bool]int64{true: 1}[tt.saved]; good.n.Load() != want {
				t.Errorf("the good one was asked %d times", good.n.Load())
			}
		})
	}
}

func TestOriginSpreadsByLoad(t *testing.T) {
	release := make(chan struct{})
	arrived := make(chan struct{}, 100)
	slow := func(w http.ResponseWriter, r *http.Request) { arrived <- struct{}{}; <-release }
	a, b, c := newApp(t, slow), newApp(t, slow), newApp(t, slow)
	og := newTestOrigin(t, OriginOptions{URLs: []string{a.URL, b.URL, c.URL}})
	var done sync.WaitGroup
	for range 9 { // one after the other, all left open
		done.Go(func() { ask(t, og, outgoing("GET", "")) })
		<-arrived
	}
	if a.n.Load() != 3 || b.n.Load() != 3 || c.n.Load() != 3 {
		t.Errorf("%d %d %d", a.n.Load(), b.n.Load(), c.n.Load())
	}
	close(release)
	done.Wait()
}

func TestOriginDrainsWhatIsTakenOff(t *testing.T) {
	release := make(chan struct{})
	arrived := make(chan struct{})
	a := newApp(t, func(w http.ResponseWriter, r *http.Request) { close(arrived); <-release; io.WriteString(w, "whole") })
	b := newApp(t, func(w http.ResponseWriter, r *http.Request) {})
	og := newTestOrigin(t, OriginOptions{URLs: []string{a.URL}})
	body := make(chan string)
	go func() {
		_, s, _ := ask(t, og, outgoing("GET", ""))
		body <- s
	}()
	<-arrived
	if err := og.SetUpstreams([]string{b.URL}); err != nil {
		t.Fatal(err)
	}
	if status, _, err := ask(t, og, outgoing("GET", "")); status != 200 || b.n.Load() != 1 {
		t.Error(status, err)
	}
	close(release)
	if s := <-body; s != "whole" {
		t.Errorf("%q", s)
	}
}

func TestOriginWantsGoodURLs(t *testing.T) {
	for _, urls := range [][]string{nil, {""}, {"web:8000"}, {"ftp://a"}, {"http://"}, {"http://a/base"}, {"http://u:p@a"}, {"http://a?x"}, {"http://a", "http://a"}, {"unix://"}} {
		if og, err := NewOrigin(OriginOptions{URLs: urls}); err == nil {
			og.Close()
			t.Errorf("%q is taken", urls)
		} else if strings.Contains(err.Error(), "u:p") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func TestOriginOverUnixSocket(t *testing.T) {
	path := t.TempDir() + "/s"
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) })}
	go s.Serve(l)
	defer s.Close()
	og := newTestOrigin(t, OriginOptions{URLs: []string{"unix://" + path}})
	if _, body, err := ask(t, og, outgoing("GET", "")); body != "visitor.example" {
		t.Error(body, err)
	}
}

func BenchmarkOrigin(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 1024)) }))
	defer s.Close()
	og, err := NewOrigin(OriginOptions{URLs: []string{s.URL}})
	if err != nil {
		b.Fatal(err)
	}
	defer og.Close()
	buf := make([]byte, 32<<10)
	run := func(name string, rt http.RoundTripper) {
		b.Run(name, func(b *testing.B) {
			r := outgoing("GET", "")
			r.URL.Host = strings.TrimPrefix(s.URL, "http://")
			r.URL.Scheme = "http"
			b.ReportAllocs()
			for b.Loop() {
				resp, err := rt.RoundTrip(r)
				if err != nil {
					b.Fatal(err)
				}
				for err == nil {
					_, err = resp.Body.Read(buf)
				}
				resp.Body.Close()
			}
		})
	}
	run("bare transport", (*og.upstreams.Load())[0].transport)
	run("origin", og)
}
