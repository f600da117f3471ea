package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
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
	heads heads
	asked bool // a request has taken the connection and has no answer yet
	head  bool // it is a HEAD
	stale bool // it must go by another connection
	watch watcher
	plain bool  // what comes while nobody has asked is of no use: TLS has records of its own
	left  int64 // of the content or chunk at hand, in bytes
	ended bool  // nothing more is handed over
}

// framing says what the next byte from the app is part of.
type framing uint8

const (
	between   framing = iota // nothing: no request has been sent
	inHeader                 // the header sections
	inContent                // content of known length
	inSize                   // the line before a chunk
	inChunk
	behindChunk
	inTrailer
	untilClose // content that ends with the connection; or none of our grammar
)

var (
	errSurplus = errors.New("the app said more than it was asked")
	errAsides  = errors.New("the app sends one interim answer after another")
)

// newAppConn is one on c, which may be TLS over under.
func newAppConn(c, under net.Conn) *appConn {
	a := &appConn{Conn: c}
	a.watch.init(under)
	a.plain = c == under && a.watch.able()
	return a
}

// ask says that a request will go by c, the answer to which said is to take in.
// HEAD is the one method that changes the framing of its answer. A connection
// that was idle is of no use if anything has come on it meanwhile, its end or
// what would be taken for the answer.
func (c *appConn) ask(head, idle bool, said *unsaid) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked, c.head = true, head
	c.stale = c.ended || idle && c.watch.able() && !c.watch.silent()
	c.heads.begin(said)
}

// idle: no request has c.
func (c *appConn) idle() bool { return c.state == between && !c.asked }

// Write begins an answer with the first byte of its request.
func (c *appConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	stale := c.stale
	if c.state == between && c.asked && !stale {
		c.state = inHeader
	}
	c.mu.Unlock()
	if stale { // net/http asks on another, unless the content cannot be read again
		return 0, fmt.Errorf("%w: %w", errClosedIdle, net.ErrClosed)
	}
	return c.Conn.Write(p)
}

func (c *appConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	ended, idle := c.ended, c.idle()
	c.mu.Unlock()
	if ended {
		return 0, io.EOF
	}
	if idle && c.plain {
		// The Transport's reader is here already when a request takes the
		// connection: took it what has come, the request would look in vain.
		c.watch.listen()
		c.mu.Lock()
		c.ended = c.idle()
		c.mu.Unlock()
	}
	n, err := c.Conn.Read(p)
	if n == 0 {
		return n, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.take(p[:n])
	switch {
	case c.heads.asides > maxAsides:
		return 0, errAsides
	case taken == n:
		return n, err
	case taken == 0:
		c.ended = true
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
		case inHeader:
			n += c.heads.follow(b[n:])
			if c.heads.final {
				c.endHeader()
			}
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
			line, k, whole := c.heads.next(b[n:])
			n += k
			if whole {
				c.endLine(line)
			}
		}
	}
	return n
}

// endLine takes a whole line between chunks or behind them. What breaks the
// grammar is left to net/http, which ends the connection.
func (c *appConn) endLine(line []byte) {
	switch c.state {
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

// endHeader finds out how the message goes on (RFC 9112 §6.3).
func (c *appConn) endHeader() {
	s := &c.heads.section
	switch {
	case s.unclear: // a bad answer, whatever follows
		c.state, c.ended = between, true
	case s.foreign, s.status == http.StatusSwitchingProtocols:
		c.state = untilClose
	case c.head, !bodyAllowed(s.status):
		c.state = between
	case s.chunked:
		c.state = inSize
	case s.length > 0:
		c.state, c.left = inContent, s.length
	case s.length == 0:
		c.state = between
	default:
		c.state = untilClose
	}
	c.asked = false
}
