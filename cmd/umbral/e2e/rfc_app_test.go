package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// scripted is an upstream that answers, byte for byte, what a script says: of
// net/http only the parser of requests is in it, so that it can send what an
// app in good health would not.
type scripted struct {
	net.Listener
	mu    sync.Mutex
	plays map[string]*play // by the first segment of the path
	conns map[net.Conn]bool
}

// play is the part of the app in one case of a table.
type play struct {
	mu      sync.Mutex
	answers []string // raw, the next first
	seen    []*http.Request
	heard   chan struct{} // one token for each request
}

// unscripted is what the app says where the script has nothing: an answer
// that no cache keeps.
const unscripted = "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 10\r\n\r\nunscripted"

// sayNothing is an answer that is none: the connection is closed without a word.
const sayNothing = "hang up"

func startScripted(t testing.TB) *scripted {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &scripted{Listener: l, plays: map[string]*play{}, conns: map[net.Conn]bool{}}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

// play makes a part that listens under /name/.
func (s *scripted) play(name string) *play {
	p := &play{heard: make(chan struct{}, 64)}
	s.mu.Lock()
	s.plays[name] = p
	s.mu.Unlock()
	return p
}

func (s *scripted) serve(conn net.Conn) {
	s.mu.Lock()
	s.conns[conn] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
		conn.Close()
	}()
	in := bufio.NewReader(conn)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		s.mu.Lock()
		p := s.plays[name]
		s.mu.Unlock()
		raw := unscripted
		if p != nil {
			raw = p.next(r)
		}
		if raw == sayNothing {
			return
		}
		if _, err := io.WriteString(conn, raw); err != nil || strings.Contains(raw, "\r\nConnection: close") || !framed(raw) {
			return
		}
	}
}

// framed reports whether the end of an answer can be seen without the
// connection's. It errs on the side of closing.
func framed(raw string) bool {
	for raw != "" {
		head, rest, _ := strings.Cut(raw, "\r\n\r\n")
		if strings.HasPrefix(head, "HTTP/1.1 1") {
			raw = rest
			continue
		}
		return strings.Contains(head, fmt.Sprintf("\r\nContent-Length: %d", len(rest))) || strings.HasSuffix(rest, "0\r\n\r\n") ||
			strings.HasPrefix(head, "HTTP/1.1 304") || strings.HasPrefix(head, "HTTP/1.1 204")
	}
	return false
}

func (p *play) next(r *http.Request) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, r)
	p.heard <- struct{}{}
	if len(p.answers) == 0 {
		return unscripted
	}
	raw := p.answers[0]
	if raw != sayNothing { // an idle connection that ends is tried again
		p.answers = p.answers[1:]
	}
	if r.Method == http.MethodHead && raw != sayNothing {
		head, _, _ := strings.Cut(raw, "\r\n\r\n")
		return head + "\r\n\r\n"
	}
	return raw
}

// script sets what comes next and forgets what was seen.
func (p *play) script(answers []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers, p.seen = answers, nil
	for len(p.heard) > 0 {
		<-p.heard
	}
}

// asked returns the requests since script, and how many answers are left.
func (p *play) asked() (seen []*http.Request, left int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen, len(p.answers)
}
