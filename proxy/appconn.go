package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync"
)

// appConn is a connection of net/http's Transport to the app, for what is not
// [appClient]'s: it hands over nothing beyond the answer that has been asked for.
//
// net/http's Transport reads ahead, and puts a connection back into its pool
// the moment an answer's content has ended, whatever else has come with it. A
// request that takes the connection before the Transport looks again is
// answered with those bytes, and every later one with the answer to the one
// before: an app that sends content with a 204, to HEAD, or more than its
// Content-Length, hands one visitor's page to another. So appConn follows the
// framing (RFC 9112 §6.3), ends what it hands over with the answer, and where
// anything stands behind that says that the app has closed: such a connection
// is not put back.
type appConn struct {
	net.Conn
	mu    sync.Mutex
	state framing
	head  bool   // the answer is one to HEAD
	line  []byte // what has come of the line at hand, where that came in pieces
	left  int64  // of the content or chunk at hand, in bytes
	asides
	section
	ended bool // the app has said more than it was asked
}

// framing says what the next byte from the app is part of.
type framing uint8

const (
	between   framing = iota // nothing: no request has been sent
	inHeader                 // the header section
	inContent                // content of known length
	inSize                   // the line before a chunk
	inChunk
	behindChunk
	inTrailer
	untilClose // content that ends with the connection; or none of our grammar
)

// section is what a header section says of the framing.
type section struct {
	status  int  // 0 before the status line
	chunked bool // the only Transfer-Encoding that net/http takes
	length  int64
	since   int // minor version
	unclear bool
}

// asides counts 1xx answers before the final one.
type asides int

// maxAsides bounds them, for net/http does not where each is passed on.
const maxAsides = 32

var (
	errSurplus = errors.New("the app said more than it was asked")
	errAsides  = errors.New("the app sends one interim answer after another")
)

func newAppConn(c net.Conn) *appConn { return &appConn{Conn: c} }

// Write begins an answer where there is none under way.
func (c *appConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.state == between {
		c.state = inHeader
		c.section = section{length: -1}
	}
	c.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *appConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	ended := c.ended
	c.mu.Unlock()
	if ended {
		return 0, io.EOF
	}
	n, err := c.Conn.Read(p)
	if n == 0 {
		return n, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.take(p[:n])
	switch {
	case c.asides > maxAsides:
		return 0, errAsides
	case taken == n:
		return n, err
	case taken == 0:
		return 0, errSurplus
	}
	c.ended = true
	return taken, io.EOF
}

// CloseWrite is for websockets.
func (c *appConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// take follows the answer through b and returns how much of b belongs to it.
func (c *appConn) take(b []byte) (n int) {
	for n < len(b) && c.state != between {
		switch c.state {
		case untilClose:
			return len(b)
		case inContent, inChunk:
			k := min(int64(len(b)-n), c.left)
			n += int(k)
			if c.left -= k; c.left > 0 {
				return n
			}
			if c.state == inContent {
				c.state = between
			} else {
				c.state = behindChunk
			}
		default:
			i := bytes.IndexByte(b[n:], '\n')
			if i < 0 { // net/http bounds how long a line may get
				c.line = append(c.line, b[n:]...)
				return len(b)
			}
			line := b[n : n+i]
			if len(c.line) > 0 {
				c.line = append(c.line, line...)
				line = c.line
			}
			n += i + 1
			c.endLine(bytes.TrimSuffix(line, []byte("\r")))
			c.line = c.line[:0]
		}
	}
	return n
}

// endLine takes a whole line, without its end. What breaks the grammar is left
// to net/http, which ends the connection.
func (c *appConn) endLine(line []byte) {
	switch c.state {
	case inHeader:
		switch {
		case len(line) == 0:
			c.endHeader()
		case c.status == 0:
			c.statusLine(line)
		default:
			c.field(line)
		}
	case inSize:
		size, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseUint(string(bytes.Trim(size, " \t\r")), 16, 63)
		switch {
		case err != nil:
			c.state = untilClose
		case n == 0:
			c.state = inTrailer
		default:
			c.left, c.state = int64(n), inChunk
		}
	case behindChunk:
		c.state = inSize
		if len(line) > 0 {
			c.state = untilClose
		}
	case inTrailer:
		if len(line) == 0 {
			c.state = between
		}
	}
}

// statusLine reads "HTTP/1.x SP status" as net/http does.
func (c *appConn) statusLine(line []byte) {
	version, status, _ := strings.Cut(string(line), " ")
	status, _, _ = strings.Cut(strings.TrimLeft(status, " "), " ")
	n, err := strconv.Atoi(status)
	if err != nil || n <= 0 || !strings.HasPrefix(version, "HTTP/1.") {
		c.state = untilClose
		return
	}
	c.status = n
	if version != "HTTP/1.0" {
		c.since = 1
	}
}

// field looks at Content-Length and Transfer-Encoding only.
func (c *appConn) field(line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	if line[0] == ' ' || line[0] == '\t' {
		c.unclear = true // a folded line may belong to either
		return
	}
	switch {
	case len(name) == len("Content-Length") && bytes.EqualFold(name, []byte("Content-Length")):
		n, err := strconv.ParseUint(string(bytes.Trim(value, " \t")), 10, 63)
		if err != nil {
			c.unclear = true
			return
		}
		c.length = int64(n)
	case len(name) == len("Transfer-Encoding") && bytes.EqualFold(name, []byte("Transfer-Encoding")):
		c.chunked = bytes.EqualFold(bytes.Trim(value, " \t"), []byte("chunked"))
		c.unclear = c.unclear || !c.chunked
	}
}

// endHeader finds out how the message goes on (RFC 9112 §6.3).
func (c *appConn) endHeader() {
	s := c.section
	c.section = section{length: -1}
	switch {
	case s.status >= 100 && s.status < 200 && s.status != http.StatusSwitchingProtocols:
		c.asides++
		return // another header section follows
	case s.status == http.StatusSwitchingProtocols, s.unclear:
		c.state = untilClose
	case c.head, !bodyAllowed(s.status):
		c.state = between
	case s.chunked && s.since >= 1:
		c.state = inSize
	case s.length > 0:
		c.state, c.left = inContent, s.length
	case s.length == 0:
		c.state = between
	default:
		c.state = untilClose
	}
	c.head, c.asides = false, 0
}

// withHead tells the connection that a request will go by that it is a HEAD,
// the one method that changes the framing of its answer.
func withHead(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if c, ok := info.Conn.(*appConn); ok {
			c.mu.Lock()
			c.head = true
			c.mu.Unlock()
		}
	}})
}
