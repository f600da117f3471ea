package proxy

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// pieces is a connection whose Reads return what was laid in, piece by piece.
type pieces struct {
	net.Conn
	left [][]byte
}

func (p *pieces) Write(b []byte) (int, error) { return len(b), nil }

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.left[0])
	if p.left[0] = p.left[0][n:]; len(p.left[0]) == 0 {
		p.left = p.left[1:]
	}
	return n, nil
}

// handedOver is what an appConn hands over of one answer.
func handedOver(head bool, parts ...[]byte) string {
	c := newAppConn(&pieces{left: parts}, nil)
	c.ask(head, false, new(unsaid))
	_, _ = c.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	all, _ := io.ReadAll(c)
	return string(all)
}

var answersOfTheApp = []struct {
	name, answer string
	head, toEnd  bool // toEnd: nothing tells where it ends
}{
	{name: "length", answer: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "length, bare LF", answer: "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"},
	{name: "length in odd case", answer: "HTTP/1.1 200 OK\r\ncontent-LENGTH:005 \r\n\r\nhello"},
	{name: "length, folded", answer: "HTTP/1.1 200 OK\r\nContent-Length:\r\n 5\r\n\r\nhello"},
	{name: "beside a folded line", answer: "HTTP/1.1 200 OK\r\nX: y\r\n\tContent-Length: 3\r\nContent-Length: 5\r\n \r\n\r\nhello"},
	{name: "no content", answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
	{name: "204", answer: "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"},
	{name: "304", answer: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"},
	{name: "HEAD", answer: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", head: true},
	{name: "HEAD, chunked", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", head: true},
	{name: "chunked", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
	{name: "chunked beside length", answer: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
	{name: "chunk extensions", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n00;x\r\n\r\n"},
	{name: "trailers", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\nhellohello\r\n0\r\nX: y\r\nZ: 1\r\n\r\n"},
	{name: "interim", answer: "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "no length", answer: "HTTP/1.1 200 OK\r\nX: y\r\n\r\nhello", toEnd: true},
	{name: "upgrade", answer: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nframes", toEnd: true},
}

func TestAppConnEndsWithTheAnswer(t *testing.T) {
	const surplus = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
	for _, tt := range answersOfTheApp {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.answer
			if tt.toEnd {
				want += surplus
			}
			all := []byte(tt.answer + surplus)
			for cut := range len(all) + 1 {
				if got := handedOver(tt.head, bytes.Clone(all[:cut]), bytes.Clone(all[cut:])); got != want {
					t.Fatalf("cut at %d: %q, want %q", cut, got, want)
				}
			}
			var single [][]byte
			for i := range all {
				single = append(single, all[i:i+1])
			}
			if got := handedOver(tt.head, single...); got != want {
				t.Errorf("byte by byte: %q, want %q", got, want)
			}
		})
	}
}

func TestAppConnTakesOneAnswerAfterTheOther(t *testing.T) {
	p := &pieces{}
	c := newAppConn(p, nil)
	in := bufio.NewReader(c)
	for range 3 {
		for _, tt := range answersOfTheApp {
			if tt.toEnd || tt.name == "interim" {
				continue
			}
			c.ask(tt.head, false, new(unsaid))
			p.left = append(p.left, []byte(tt.answer))
			_, _ = c.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
			r := &http.Request{Method: "GET"}
			if tt.head {
				r.Method = "HEAD"
			}
			resp, err := http.ReadResponse(in, r)
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || in.Buffered() > 0 || c.ended {
				t.Fatalf("%s: %v, %d bytes left", tt.name, err, in.Buffered())
			}
		}
	}
}

// An app may answer before all of the request has gone up; what else it says
// then is no answer.
func TestAppConnBeginsNoAnswerWithTheRestOfARequest(t *testing.T) {
	const answer = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
	p := &pieces{left: [][]byte{[]byte(answer)}}
	c := newAppConn(p, nil)
	c.ask(false, false, new(unsaid))
	_, _ = c.Write([]byte("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n"))
	b := make([]byte, 100)
	if n, err := c.Read(b); string(b[:n]) != answer || err != nil {
		t.Fatalf("%q, %v", b[:n], err)
	}
	_, _ = c.Write([]byte("rest"))
	p.left = append(p.left, []byte("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"))
	if n, err := c.Read(b); n != 0 || err != errSurplus {
		t.Errorf("%q, %v", b[:n], err)
	}
}

func TestAppConnEndsAFloodOfInterimAnswers(t *testing.T) {
	p := &pieces{}
	for range maxAsides + 2 {
		p.left = append(p.left, []byte("HTTP/1.1 103 Early Hints\r\n\r\n"))
	}
	c := newAppConn(p, nil)
	c.ask(false, false, new(unsaid))
	_, _ = c.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	if _, err := io.ReadAll(c); err != errAsides {
		t.Errorf("%v", err)
	}
}

// Where net/http reads a whole answer, appConn must end it at the same byte.
func FuzzAppConn(f *testing.F) {
	for _, tt := range answersOfTheApp {
		f.Add([]byte(tt.answer+"surplus"), tt.head)
	}
	f.Fuzz(func(t *testing.T, all []byte, head bool) {
		r := &http.Request{Method: "GET"}
		if head {
			r.Method = "HEAD"
		}
		under := bytes.NewReader(all)
		in := bufio.NewReaderSize(under, 4096)
		resp, err := http.ReadResponse(in, r)
		if err != nil || resp.StatusCode < 200 || resp.ProtoMajor != 1 {
			return
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return
		}
		if old := bytes.HasPrefix(all, []byte("HTTP/1.0")); old && bytes.Contains(bytes.ToLower(all), []byte("transfer-encoding")) {
			return // a bad answer, of which nothing more is handed over
		}
		read := len(all) - under.Len() - in.Buffered()
		if got := len(handedOver(head, bytes.Clone(all))); got != read && got != len(all) {
			t.Errorf("%q: net/http reads %d bytes, %d were handed over", all, read, got)
		}
	})
}

// TLS has records of its own between answers, which are no surplus.
func TestOriginUsesAConnectionOverTLSAgain(t *testing.T) {
	var conns atomic.Int64
	app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	app.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	app.StartTLS()
	defer app.Close()
	og := newTestOrigin(t, OriginOptions{URLs: []string{app.URL}, TLS: app.Client().Transport.(*http.Transport).TLSClientConfig})
	for i := range 20 {
		method, body := "POST", "hello"
		if i%2 == 0 {
			method, body = "GET", ""
		}
		if status, got, err := ask(t, og, outgoing(method, body)); status != 200 || got != body || err != nil {
			t.Fatalf("request %d: %d %q, %v", i, status, got, err)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}
