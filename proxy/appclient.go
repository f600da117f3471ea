package proxy

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// appClient asks the app what needs no content to be sent, in the caller's own
// goroutine: net/http's Transport hands each request to a second and its
// answer back by a third, which costs more than all that the edge adds to a
// miss. Content, upgrades and TLS are left to the Transport (see [appConn]).
//
// A connection is used again only if its answer has been read to the end and
// nothing stood behind it, and only if nothing has come since: an app that
// says more than it was asked would answer the next visitor with it.
type appClient struct {
	dial      func(context.Context) (net.Conn, error)
	header    time.Duration // the longest until a header section has come
	idleFor   time.Duration
	maxIdle   int
	maxHeader int64 // bytes

	mu    sync.Mutex
	idle  []*clientConn // the longest idle first
	sweep *time.Timer   // runs while there are any
}

// clientConn is a connection that one request has at a time.
type clientConn struct {
	net.Conn
	client *appClient
	in     *bufio.Reader // nil while idle
	heads  heads
	said   unsaid // of the answer at hand
	out    []byte
	watch  watcher
	abort  func() // ends what is under way on the connection, for good
	left   int64  // bytes that may be read yet
	late   error  // from the read deadline: who reads half a line then may not tell
	used   bool
	until  time.Time // the read deadline
	idle   time.Time // since
}

// readBuffer is how much of an answer one read takes, in bytes.
const readBuffer = 16 << 10

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readBuffer) }}

var (
	errHeaderTooLarge = errors.New("the app's header section is too large")
	// errClosedIdle: the connection has ended before the answer began, as one
	// does that the app has closed meanwhile.
	errClosedIdle = errors.New("connection closed while idle")
)

// takes reports whether r is one for the client.
func (a *appClient) takes(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
	default:
		return false
	}
	h := r.Header
	return !hasBody(r) && !r.Close && len(h["Upgrade"]) == 0 && len(h["Expect"]) == 0
}

// roundTrip asks what takes allows. host is the Host field.
func (a *appClient) roundTrip(r *http.Request, host string) (*http.Response, error) {
	for {
		c, err := a.take(r.Context())
		if err != nil {
			return nil, err
		}
		again := c.used // safe methods alone come here (RFC 9110 §9.2.2)
		resp, err := c.ask(r, host)
		if err == nil {
			return resp, nil
		}
		if !again || !errors.Is(err, errClosedIdle) || r.Context().Err() != nil {
			return nil, err
		}
	}
}

// take returns an idle connection that is still of use, or a new one.
func (a *appClient) take(ctx context.Context) (*clientConn, error) {
	for {
		a.mu.Lock()
		n := len(a.idle)
		if n == 0 {
			a.mu.Unlock()
			break
		}
		c := a.idle[n-1]
		a.idle[n-1] = nil
		a.idle = a.idle[:n-1]
		a.mu.Unlock()
		if c.watch.silent() {
			return c, nil
		}
		c.Conn.Close()
	}
	nc, err := a.dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &clientConn{Conn: nc, client: a}
	c.watch.init(nc)
	c.abort = func() { _ = nc.SetDeadline(time.Unix(1, 0)) }
	return c, nil
}

// put keeps c for the next request.
func (a *appClient) put(c *clientConn) {
	c.idle = time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.idle) >= a.maxIdle {
		c.Conn.Close()
		return
	}
	a.idle = append(a.idle, c)
	if a.sweep == nil {
		a.sweepAfter(a.idleFor)
	}
}

// expire closes what has been idle for too long, now and whenever something
// will have been.
func (a *appClient) expire(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for ; n < len(a.idle) && now.Sub(a.idle[n].idle) >= a.idleFor; n++ {
		a.idle[n].Conn.Close()
	}
	a.idle = slices.Delete(a.idle, 0, n)
	a.sweep = nil
	if len(a.idle) > 0 {
		a.sweepAfter(a.idleFor - now.Sub(a.idle[0].idle))
	}
}

func (a *appClient) sweepAfter(d time.Duration) {
	a.sweep = time.AfterFunc(d, func() { a.expire(time.Now()) })
}

// closeIdle closes what no request has now.
func (a *appClient) closeIdle() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.idle {
		c.Conn.Close()
	}
	a.idle = nil
}

// ask sends r and reads the answer up to its content. Where it fails the
// connection is closed.
func (c *clientConn) ask(r *http.Request, host string) (resp *http.Response, err error) {
	ctx := r.Context()
	b := &clientBody{c: c, ctx: ctx}
	b.stop = context.AfterFunc(ctx, c.abort)
	c.in = readers.Get().(*bufio.Reader)
	c.in.Reset(c)
	if resp, err = c.exchange(r, host); err != nil {
		b.end(true)
		return nil, err
	}
	c.used = true
	b.keep = !resp.Close && resp.StatusCode != http.StatusSwitchingProtocols && !has(resp.Header, "Transfer-Encoding")
	if resp.Body == http.NoBody {
		b.end(true)
		return resp, nil
	}
	b.content = resp.Body
	if resp.ContentLength <= fillMost {
		b.left = resp.ContentLength
	}
	resp.Body = b
	return resp, nil
}

func (c *clientConn) exchange(r *http.Request, host string) (*http.Response, error) {
	head, err := appendRequest(c.out[:0], r, host)
	if err != nil {
		return nil, err
	}
	if cap(head) <= readBuffer/4 {
		c.out = head
	}
	c.until = time.Now().Add(c.client.header)
	if err := c.Conn.SetDeadline(c.until); err != nil {
		return nil, err
	}
	if err := r.Context().Err(); err != nil { // abort may have come before
		return nil, err
	}
	if _, err := c.Conn.Write(head); err != nil {
		if !timedOut(err) {
			err = fmt.Errorf("%w: %w", errClosedIdle, err)
		}
		return nil, err
	}
	c.left = c.client.maxHeader
	c.said = unsaid{}
	c.heads.begin(&c.said)
	if _, err := c.in.Peek(1); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
			err = fmt.Errorf("%w: %w", errClosedIdle, err)
		}
		return nil, err
	}
	for asides := 0; ; asides++ {
		resp, err := http.ReadResponse(c.in, r)
		if err != nil {
			return nil, cmp.Or(c.late, err)
		}
		c.said.restore(resp.Header)
		if code := resp.StatusCode; code < 100 || code >= 200 || code == http.StatusSwitchingProtocols {
			c.left = math.MaxInt64
			return resp, nil
		}
		if asides == maxAsides {
			return nil, errAsides
		}
		if err := tell1xx(r, resp); err != nil {
			return nil, err
		}
		c.left = c.client.maxHeader
	}
}

func tell1xx(r *http.Request, resp *http.Response) error {
	trace := httptrace.ContextClientTrace(r.Context())
	if trace == nil || trace.Got1xxResponse == nil {
		return nil
	}
	return trace.Got1xxResponse(resp.StatusCode, textproto.MIMEHeader(resp.Header))
}

// Read is for the reader over it.
func (c *clientConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errHeaderTooLarge
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.Conn.Read(p)
	c.left -= int64(n)
	if !c.heads.final {
		c.heads.follow(p[:n])
	}
	if err != nil && timedOut(err) {
		c.late = err
	}
	return n, err
}

// clientBody is an answer's content, and what ends the request with it. One
// goroutine reads; Close may come from another, and makes that Read return.
type clientBody struct {
	c       *clientConn
	content io.ReadCloser
	ctx     context.Context
	stop    func() bool
	keep    bool // the app would answer another request
	read    bool // to its end
	over    atomic.Bool
	stall   time.Duration // the longest silence; 0: any
	left    int64         // what is yet to come of content that is read whole
}

// fillMost is the largest declared content, in bytes, that is not handed on in
// the pieces in which it comes: the app has made it already.
const fillMost = 32 << 10

func (b *clientBody) Read(p []byte) (int, error) {
	switch {
	case b.read:
		return 0, io.EOF
	case b.over.Load():
		return 0, http.ErrBodyReadAfterClose
	}
	b.hurry()
	n, err := b.content.Read(p)
	for want := min(int64(len(p)), b.left); err == nil && int64(n) < want; {
		b.hurry()
		var more int
		more, err = b.content.Read(p[n:])
		n += more
	}
	b.left -= int64(n)
	if err != nil {
		b.read = err == io.EOF
		b.end(b.read)
		if err != io.EOF {
			err = cmp.Or(b.ctx.Err(), b.c.late, err)
		}
	}
	return n, err
}

// hurry moves the read deadline, seldom enough to cost nothing.
func (b *clientBody) hurry() {
	c := b.c
	now := time.Now()
	switch left := c.until.Sub(now); {
	case b.stall == 0 && !c.until.IsZero():
		c.until = time.Time{}
	case b.stall > 0 && (left > b.stall || left < b.stall*3/4):
		c.until = now.Add(b.stall)
	default:
		return
	}
	_ = c.Conn.SetReadDeadline(c.until)
	if b.ctx.Err() != nil { // abort may have come before
		c.abort()
	}
}

func (b *clientBody) Close() error {
	b.end(false)
	return nil
}

// end keeps the connection for the next request if whole, that all has been
// read, and if it may be kept; else it closes it.
func (b *clientBody) end(whole bool) {
	if b.over.Swap(true) {
		return
	}
	c := b.c
	keep := b.stop() && whole && b.keep && c.in.Buffered() == 0
	if whole { // nobody reads any more
		c.in.Reset(nil)
		readers.Put(c.in)
		c.in = nil
	}
	if keep {
		c.client.put(c)
	} else {
		c.Conn.Close()
	}
}

// appendRequest appends the header section of r, which has no content, as
// [http.Request.Write] would, in no certain order of the fields.
func appendRequest(b []byte, r *http.Request, host string) ([]byte, error) {
	target := r.URL.RequestURI()
	if !isFieldValue(target) || !isFieldValue(host) {
		return b, fmt.Errorf("%w: a control character in the request line or Host", ErrBadAnswer)
	}
	b = append(append(append(b, r.Method...), ' '), target...)
	b = appendField(append(b, " HTTP/1.1\r\n"...), "Host", host)
	for name, lines := range r.Header {
		switch name {
		case "Host", "Content-Length", "Transfer-Encoding", "Trailer":
			continue
		case "User-Agent":
			if len(lines) == 0 || lines[0] == "" {
				continue // net/http's sign for none
			}
			lines = lines[:1]
		}
		if !isToken(name) {
			return b, fmt.Errorf("%w: a field name that is no token", ErrBadAnswer)
		}
		for _, line := range lines {
			if !isFieldValue(line) {
				return b, fmt.Errorf("%w: a control character in a field", ErrBadAnswer)
			}
			b = appendField(b, name, line)
		}
	}
	return append(b, "\r\n"...), nil
}
