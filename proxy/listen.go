package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"umbral/cachepolicy"
	"umbral/sessions"
)

// writeStall is the longest that a visitor may leave what is sent to them
// untaken.
const writeStall = 60 * time.Second

// Listen wraps the visitors' listener: a visitor who takes nothing is cut off
// after a while, and one whose header section does not come in time is told
// so with 408, where net/http would hang up, or complain of the half line.
// What express can answer it does; nil answers nothing.
func Listen(l net.Listener, express *Express) net.Listener { return listener{l, express} }

type listener struct {
	net.Listener
	express *Express
}

func (l listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &visitorConn{Conn: nc, express: l.express}
	if c.express != nil {
		c.client, c.trusted = c.express.p.front.peer(nc.RemoteAddr().String())
	}
	c.watcher.init(nc)
	c.watcher.ended = c.noted
	return c, nil
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

	watcher watcher
	leave   leave

	// gathering: a write of net/http's is held back until the next, which goes
	// out with it.
	gathering bool
	held      *[holdMost]byte // nil: nothing
	holds     int             // bytes

	// For express; only the goroutine that serves the connection touches
	// these, but for state.
	express *Express
	seen    sessions.Verified
	client  netip.Addr
	trusted bool
	whole   int       // the size of net/http's buffer
	between bool      // net/http waits for a request to begin
	idleEnd time.Time // its deadline for that
	state   atomic.Int32
}

// tooLate is an answer, but for its X-Request-Id.
const tooLate = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nCache-Control: no-store\r\nContent-Length: 0\r\n"

// Read lets express answer what it can of a request that begins. Between two
// requests net/http asks for more than it has only where it has less than
// four bytes; that p is all of its buffer says that it has none. So what comes
// then is the beginning of a request, whatever went before.
//
// While a request is handled net/http reads one byte beside the handler, to
// learn of the visitor's leave. It is told of that alone: a byte read ahead
// would be missing from the next request here, and the end of what the visitor
// sends is none yet (see [leave]).
func (c *visitorConn) Read(p []byte) (int, error) {
	if len(p) == 1 && c.watcher.able() && c.plain.Load() && c.handling.Load() {
		return 0, c.watcher.wait()
	}
	if c.whole == 0 {
		c.whole = len(p)
	}
	n, err := c.Conn.Read(p)
	for c.between && n > 0 && err == nil && len(p) == c.whole && c.express.serve(c, p[:n]) {
		n, err = c.Conn.Read(p)
	}
	if n > 0 && c.between { // not while a request is handled: net/http reads beside the handler
		c.between = false
	}
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
	l := &c.leave
	l.writing.Store(true)
	defer l.writing.Store(false)
	if !l.spoken.Load() && bytes.HasPrefix(p, interimStart) {
		l.mu.Lock() // the probe comes before or after it
		defer l.mu.Unlock()
	} else {
		l.speaks()
	}
	switch {
	case c.told.Load():
		return len(p), nil
	case c.gathering && c.held == nil && len(p) <= holdMost:
		c.held = holdBuffers.Get().(*[holdMost]byte)
		c.holds = copy(c.held[:], p)
		return len(p), nil
	case c.held != nil:
		held := c.held
		c.held = nil
		n, err := c.write(held[:c.holds], p, time.Now())
		holdBuffers.Put(held)
		return max(n-c.holds, 0), err
	}
	return c.write(p, nil, time.Now())
}

// interimStart begins a 1xx response, which is none of the answer's parts.
var interimStart = []byte("HTTP/1.1 1")

// holdMost is what is held back at most, in bytes: net/http's buffer, which is
// full with a header section and the content that fits behind it.
const holdMost = 4 << 10

var holdBuffers = sync.Pool{New: func() any { return new([holdMost]byte) }}

// gather lets write, which writes by net/http on this connection, write the
// header section and what follows it at once.
func (c *visitorConn) gather(write func([]byte) (int, error), p []byte) (int, error) {
	c.gathering = true
	n, err := write(p)
	c.gathering = false
	if c.held != nil {
		if _, e := c.Write(nil); e != nil {
			c.Conn.Close() // net/http takes it for written, and would go on
			if err == nil {
				n, err = 0, e
			}
		}
	}
	return n, err
}

type connKey struct{}

// withConn is the server's ConnContext hook, for connOf.
func withConn(ctx context.Context, c net.Conn) context.Context {
	if _, ok := c.(*visitorConn); ok { // not over TLS
		return context.WithValue(ctx, connKey{}, c)
	}
	return ctx
}

// connOf is the connection that a request came on, where net/http writes the
// answer to it itself; else nil.
func connOf(r *http.Request) *visitorConn {
	c, _ := r.Context().Value(connKey{}).(*visitorConn)
	return c
}

// write writes p, and more behind it if there is any, within its time.
func (c *visitorConn) write(p, more []byte, now time.Time) (int, error) {
	if c.until.Load()-now.UnixNano() < int64(writeStall*3/4) {
		until := now.Add(writeStall)
		if err := c.Conn.SetWriteDeadline(until); err != nil {
			return 0, err
		}
		c.until.Store(until.UnixNano())
	}
	if len(more) == 0 {
		return c.Conn.Write(p)
	}
	both := net.Buffers{p, more}
	n, err := both.WriteTo(c.Conn)
	return int(n), err
}

// Close says 408 first where net/http has not said anything. An answer of
// express's ends first.
func (c *visitorConn) Close() error {
	if c.state.CompareAndSwap(answering, closing) {
		return nil
	}
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
	b := cachepolicy.Status{Detail: cachepolicy.RequestRefused}.Append([]byte(tooLate + "Cache-Status: "))
	_, _ = w.Write(append(append(append(b, "\r\nX-Request-Id: "...), newID()...), "\r\n\r\n"...))
	c.told.Store(true)
}

// SetReadDeadline notes the deadlines in 1970 by which net/http ends the Read
// that watches for a visitor's leave: nobody is late then, and the next
// request may be waiting in a buffer.
func (c *visitorConn) SetReadDeadline(t time.Time) error {
	c.aborting.Store(!t.IsZero() && t.Unix() < 1000)
	if c.between {
		c.idleEnd = t
	}
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
		vc.leave.next()
		if vc.express != nil && !overTLS { // HTTP/2 says so beside its reader
			vc.between = true
		}
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
