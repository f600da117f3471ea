package proxy

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// writeStall is the longest that a visitor may leave what is sent to them
// untaken.
const writeStall = 60 * time.Second

// Listen wraps the visitors' listener: a visitor who takes nothing is cut off
// after a while, and one whose header section does not come in time is told
// so with 408, where net/http would hang up, or complain of the half line.
func Listen(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &visitorConn{Conn: c}, nil
}

// visitorConn is a visitor's connection. net/http tells it through followState
// where it stands.
type visitorConn struct {
	net.Conn
	until    atomic.Int64 // the write deadline, unix nanoseconds
	plain    atomic.Bool  // what is read and written is HTTP/1 itself, not TLS
	handling atomic.Bool  // a whole header section has come and is being answered
	begun    atomic.Bool  // something of a header section has come
	late     atomic.Bool  // the last Read ran into its deadline
	aborting atomic.Bool  // that deadline is net/http's way to wake its own Read
	told     atomic.Bool  // 408 has been sent: nothing may follow
}

const tooLate = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nCache-Control: no-store\r\nContent-Length: 0\r\n\r\n"

func (c *visitorConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.handling.Load() {
		c.begun.Store(true)
	}
	if late := err != nil && timedOut(err) && !c.aborting.Load(); late != c.late.Load() {
		c.late.Store(late)
	}
	return n, err
}

// overdue reports that a header section has begun and did not end in time.
func (c *visitorConn) overdue() bool {
	return c.late.Load() && c.begun.Load() && !c.handling.Load()
}

// Write moves the deadline at most every quarter of it.
func (c *visitorConn) Write(p []byte) (int, error) {
	if c.plain.Load() && c.overdue() {
		c.tell(c.Conn)
	}
	if c.told.Load() {
		return len(p), nil
	}
	now := time.Now()
	if c.until.Load()-now.UnixNano() < int64(writeStall*3/4) {
		until := now.Add(writeStall)
		if err := c.Conn.SetWriteDeadline(until); err != nil {
			return 0, err
		}
		c.until.Store(until.UnixNano())
	}
	return c.Conn.Write(p)
}

// Close says 408 first where net/http has not said anything.
func (c *visitorConn) Close() error {
	if c.plain.Load() && c.overdue() {
		c.tell(c.Conn)
	}
	return c.Conn.Close()
}

// tell answers 408 on w, which is this connection or the TLS over it, once.
func (c *visitorConn) tell(w net.Conn) {
	if c.told.Load() {
		return
	}
	_ = w.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = io.WriteString(w, tooLate)
	c.told.Store(true)
}

// SetReadDeadline notes the deadlines in 1970 by which net/http ends the Read
// that watches for a visitor's leave: nobody is late then, and the next
// request may be waiting in a buffer.
func (c *visitorConn) SetReadDeadline(t time.Time) error {
	c.aborting.Store(!t.IsZero() && t.Unix() < 1000)
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline leaves the deadline to Write where net/http takes its own
// back, which it does after each request.
func (c *visitorConn) SetWriteDeadline(t time.Time) error {
	if t.IsZero() {
		return nil
	}
	return c.Conn.SetWriteDeadline(t)
}

// CloseWrite is what net/http closes gently with.
func (c *visitorConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// followState is the server's ConnState hook. net/http calls it with
// StateActive once it is done with a header section, for better or, where it
// has read anything since it began to, for worse.
func followState(c net.Conn, state http.ConnState) {
	under, overTLS := c, false
	if t, ok := c.(*tls.Conn); ok {
		under, overTLS = t.NetConn(), true
	}
	vc, ok := under.(*visitorConn)
	if !ok {
		return
	}
	switch state {
	case http.StateNew:
		vc.plain.Store(!overTLS)
	case http.StateIdle:
		vc.handling.Store(false)
		vc.begun.Store(false)
	case http.StateActive:
		if !vc.late.Load() {
			vc.handling.Store(true)
			return
		}
		if t, ok := c.(*tls.Conn); ok && t.ConnectionState().NegotiatedProtocol != "h2" {
			vc.tell(c)
		}
	}
}
