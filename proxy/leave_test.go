package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// lastWord sends raw and closes the visitor's side behind it.
func (b *bed) lastWord(t *testing.T, raw string) *wire {
	t.Helper()
	c := b.dial(t)
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestWhoSendsNoMoreIsAnswered has visitors close their side while the app
// thinks: that they listen is found out by a 100, which HTTP/1.0 does not know.
func TestWhoSendsNoMoreIsAnswered(t *testing.T) {
	answer := make(chan struct{})
	b := newBed(t, 1<<20, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		<-answer
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL, body)
	}, expressRules...)
	old := b.lastWord(t, "GET /off/old HTTP/1.0\r\nHost: site.test\r\n\r\n")
	rows := []struct{ method, path, body string }{
		{"GET", "/public/a", ""}, {"GET", "/public/a", ""}, // the second waits for the first
		{"GET", "/mine/a", ""}, {"GET", "/off/a", ""}, {"GET", "/unlisted", ""}, {"HEAD", "/public/head", ""},
		{"POST", "/off/a", "abc"}, {"POST", "/public/post", "abc"},
	}
	var wires []*wire
	for _, r := range rows {
		wires = append(wires, b.lastWord(t, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: site.test\r\nContent-Length: %d\r\n\r\n%s", r.method, r.path, len(r.body), r.body)))
	}
	for i, c := range wires {
		if head := c.head(); head != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("%v: %s", rows[i], head)
		}
	}
	close(answer)
	for i, c := range append(wires, old) {
		r := append(rows, struct{ method, path, body string }{"GET", "/off/old", ""})[i]
		head, body := c.answer(r.method)
		want := strings.TrimSpace(r.method + " " + r.path + " " + r.body)
		if r.method == "HEAD" {
			want = ""
		}
		if !strings.Contains(head, " 200 OK\r\n") || strings.TrimSpace(body) != want {
			t.Errorf("%v: %s%q", r, head, body)
		}
		if rest, err := io.ReadAll(c.in); len(rest) > 0 || err != nil {
			t.Errorf("%v: %q follows, %v", r, rest, err)
		}
	}
}

// TestAnInterimAnswerIsNoAnswer: who was told to go on with their content, and
// sends no more behind it, is answered like anybody else.
func TestAnInterimAnswerIsNoAnswer(t *testing.T) {
	answer := make(chan struct{})
	b := newBed(t, 1<<20, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		<-answer
		fmt.Fprintf(w, "got %s", body)
	}, expressRules...)
	c := b.dial(t)
	io.WriteString(c, "POST /off/a HTTP/1.1\r\nHost: site.test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
	if head := c.head(); head != "HTTP/1.1 100 Continue\r\n" {
		t.Fatal(head)
	}
	io.WriteString(c, "abc")
	c.Conn.(*net.TCPConn).CloseWrite()
	if head := c.head(); head != "HTTP/1.1 100 Continue\r\n" { // whether they listen yet
		t.Fatal(head)
	}
	close(answer)
	if head, body := c.answer("POST"); !strings.Contains(head, " 200 OK\r\n") || body != "got abc" {
		t.Errorf("%s%q", head, body)
	}
}

// TestWhoSendsNoMoreGetsAllOfAnAnswer has a visitor close their side when the
// answer has begun: it is sent as long as the app goes on with it.
func TestWhoSendsNoMoreGetsAllOfAnAnswer(t *testing.T) {
	more := make(chan struct{})
	b := newBed(t, 1<<20, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "first,")
		w.(http.Flusher).Flush()
		for range 3 {
			<-more
			fmt.Fprint(w, "more,")
			w.(http.Flusher).Flush()
		}
	}, expressRules...)
	c := b.dial(t)
	io.WriteString(c, plain("/off/a"))
	c.head()
	c.Conn.(*net.TCPConn).CloseWrite()
	for range 3 {
		more <- struct{}{}
	}
	if rest, err := io.ReadAll(c.in); err != nil || strings.Count(string(rest), "more,") != 3 || !strings.HasSuffix(string(rest), "0\r\n\r\n") {
		t.Errorf("%q %v", rest, err)
	}
}

// TestWhoGoesFreesTheApp has visitors leave whose answer nobody else waits
// for: before it has begun, and in the silence within it.
func TestWhoGoesFreesTheApp(t *testing.T) {
	arrived, freed := make(chan string), make(chan string)
	b := newBed(t, 1<<20, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if strings.HasSuffix(r.URL.Path, "events") {
			w.Header().Set("Content-Type", "text/event-stream")
			w.(http.Flusher).Flush()
		}
		arrived <- r.URL.Path
		<-r.Context().Done()
		freed <- r.URL.Path
	}, expressRules...)
	for _, raw := range []string{plain("/off/get"), plain("/off/events"), "POST /off/post HTTP/1.1\r\nHost: site.test\r\nContent-Length: 3\r\n\r\nabc"} {
		c := b.dial(t)
		io.WriteString(c, raw)
		path := <-arrived
		if strings.HasSuffix(path, "events") {
			c.head()
		}
		c.Close()
		select {
		case got := <-freed:
			if got != path {
				t.Errorf("%s instead of %s", got, path)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s is still with the app", path)
		}
	}
}

// TestContentThatStallsIsAlwaysLate: net/http ends the request at the same
// time, which looked like a visitor who has gone.
func TestContentThatStallsIsAlwaysLate(t *testing.T) {
	b := newBed(t, 1<<20, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
	}, expressRules...)
	b.front.guard.Stall = 50 * time.Millisecond
	var all sync.WaitGroup
	for i := range 60 {
		path := []string{"/off/", "/public/", "/unlisted/"}[i%3]
		framing := []string{"Content-Length: 20\r\n\r\nabc", "Content-Length: 20\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n5\r\nab"}[i/3%3]
		c := b.dial(t)
		all.Go(func() {
			io.WriteString(c, "POST "+path+" HTTP/1.1\r\nHost: site.test\r\n"+framing)
			raw, err := io.ReadAll(c.in)
			if !strings.HasPrefix(string(raw), "HTTP/1.1 408 ") || err != nil {
				t.Errorf("%s %q: %q %v", path, framing, raw, err)
			}
		})
	}
	all.Wait()
}

// TestNobodyIsAnsweredBySilence: net/http would say 200 where nothing is said.
func TestNobodyIsAnsweredBySilence(t *testing.T) {
	b := newBed(t, 1<<20, pages, expressRules...)
	for _, path := range []string{"/public/a", "/off/a", "/unlisted"} {
		ctx, gone := context.WithCancel(t.Context())
		gone()
		w := httptest.NewRecorder()
		func() {
			defer func() {
				if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) {
					t.Errorf("%s: %v, %d %v", path, err, w.Code, w.Header())
				}
			}()
			b.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", path, nil))
		}()
	}
}
