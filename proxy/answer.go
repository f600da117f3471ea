package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// judgeAnswer refuses what net/http's Transport lets through although nobody
// asked for it, or although it is none of HTTP. What it refuses itself
// (Content-Lengths that differ, codings of transfer other than chunked, a
// header section over the limit) never comes here.
func judgeAnswer(r *http.Request, resp *http.Response) error {
	code := resp.StatusCode
	switch {
	case code == http.StatusSwitchingProtocols:
		if r.Header.Get("Upgrade") == "" {
			return fmt.Errorf("%w: 101 without an upgrade", ErrBadAnswer)
		}
	case code < 200 || code > 599: // RFC 9110 §15: invalid
		return fmt.Errorf("%w: status %d", ErrBadAnswer, code)
	case code == http.StatusNotModified:
		if !has(r.Header, "If-None-Match") && !has(r.Header, "If-Modified-Since") || r.Method != http.MethodGet && r.Method != http.MethodHead {
			return fmt.Errorf("%w: 304 to a request without a condition", ErrBadAnswer)
		}
	case code == http.StatusPartialContent:
		if !has(r.Header, "Range") || r.Method != http.MethodGet && r.Method != http.MethodHead {
			return fmt.Errorf("%w: 206 to a request without a range", ErrBadAnswer)
		}
	}
	if resp.ProtoMajor != 1 {
		return fmt.Errorf("%w: %s", ErrBadAnswer, resp.Proto)
	}
	if resp.ProtoMinor == 0 && has(resp.Header, "Transfer-Encoding") { // its framing is faulty (RFC 9112 §6.1)
		return fmt.Errorf("%w: Transfer-Encoding in HTTP/1.0", ErrBadAnswer)
	}
	for name, lines := range resp.Header {
		if !isToken(name) {
			return fmt.Errorf("%w: a field name that is no token", ErrBadAnswer)
		}
		for _, line := range lines {
			if !isFieldValue(line) {
				return fmt.Errorf("%w: a control character in a field", ErrBadAnswer)
			}
		}
	}
	return nil
}

// isFieldValue: no control character but HTAB. CR, LF and NUL above all end a
// field for some readers (RFC 9110 §5.5).
func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// isToken is RFC 9110 §5.6.2: 1*tchar.
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && c != '-' && strings.IndexByte("!#$%&'*+.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

func has(h http.Header, name string) bool { return len(h[name]) > 0 }

// errDial marks a failure before anything could have been written.
var errDial = errors.New("no connection")

// cutShort is the error of content that broke off. It asks the other upstreams
// instead, which may be done as long as nobody has seen any of that content.
type cutShort struct {
	error
	og  *Origin
	not []*upstream
}

// Unwrap gives what it is in the terms of the four errors.
func (c *cutShort) Unwrap() error { return c.error }

// RoundTrip implements http.RoundTripper.
func (c *cutShort) RoundTrip(r *http.Request) (*http.Response, error) {
	return c.og.roundTrip(r, c.not)
}

// classify makes one of the four errors of err, or keeps the context's.
func classify(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		if errors.Is(cause, context.DeadlineExceeded) {
			return fmt.Errorf("%w: %w", ErrTimeout, err)
		}
		return fmt.Errorf("%w: %w", cause, err)
	}
	var op *net.OpError
	dialled := errors.As(err, &op) && op.Op == "dial"
	var certificate *tls.CertificateVerificationError
	var hostname x509.HostnameError
	var record tls.RecordHeaderError
	var errno syscall.Errno
	switch {
	case errors.Is(err, ErrBadAnswer):
		return err
	case timedOut(err) && dialled:
		return fmt.Errorf("%w: %w: %w", ErrTimeout, errDial, err)
	case timedOut(err):
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	case dialled:
		return fmt.Errorf("%w: %w: %w", ErrUnreachable, errDial, err)
	case errors.As(err, &op), errors.As(err, &errno), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), errors.As(err, &certificate), errors.As(err, &hostname), errors.As(err, &record),
		strings.Contains(err.Error(), "server closed"): // net/http exports none of its errors for this
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return fmt.Errorf("%w: %w", ErrBadAnswer, err)
}

// count counts a failure and passes it on. That the visitor has gone is none
// of the app's.
func (og *Origin) count(r *http.Request, err error) error {
	switch {
	case errors.Is(err, ErrTimeout):
		og.counts.timeout.Add(1)
	case errors.Is(err, ErrUnreachable):
		og.counts.unreachable.Add(1)
	case errors.Is(err, ErrBadAnswer):
		og.counts.badAnswer.Add(1)
	}
	return err
}

// track counts resp as in flight until its body is closed, and cuts a body
// that stalls. Websockets and event streams stay for hours and may be silent:
// they take none of the app's MaxInFlight, and are not cut.
func (og *Origin) track(resp *http.Response, u *upstream, not []*upstream) {
	if conn, ok := resp.Body.(io.ReadWriteCloser); ok && resp.StatusCode == http.StatusSwitchingProtocols {
		og.inFlight.Add(-1)
		resp.Body = &upgradedBody{ReadWriteCloser: conn, tracked: tracked{og: og, u: u}}
		return
	}
	if isEventStream(resp.Header["Content-Type"]) {
		og.inFlight.Add(-1)
		resp.Body = &trackedBody{ReadCloser: resp.Body, tracked: tracked{og: og, u: u}}
		return
	}
	b := &trackedBody{ReadCloser: resp.Body, tracked: tracked{og: og, u: u, slot: true}, stall: og.o.BodyStall, not: not}
	if c, ok := resp.Body.(*clientBody); ok { // it needs no timer
		c.stall, b.stall = b.stall, 0
	}
	resp.Body = b
}

func isEventStream(lines []string) bool {
	const name = "text/event-stream"
	if len(lines) == 0 || len(lines[0]) < len(name) {
		return false
	}
	kind, _, err := mime.ParseMediaType(lines[0])
	return err == nil && kind == name
}

// tracked ends a request's time in flight, once.
type tracked struct {
	og   *Origin
	u    *upstream
	slot bool // it counts against MaxInFlight
	done atomic.Bool
}

func (t *tracked) end() {
	if t.done.Swap(true) {
		return
	}
	if t.slot {
		t.og.inFlight.Add(-1)
	}
	if t.u.inFlight.Add(-1) == 0 && t.u.gone.Load() {
		t.u.closeIdle()
	}
}

// upgradedBody is the app's side of a websocket.
type upgradedBody struct {
	io.ReadWriteCloser
	tracked
}

func (b *upgradedBody) Close() error {
	err := b.ReadWriteCloser.Close()
	b.end()
	return err
}

// trackedBody is a response's content. While a Read waits a timer runs, and no
// goroutine: Close from the timer's makes the Read return (net/http allows it).
type trackedBody struct {
	io.ReadCloser
	tracked
	stall   time.Duration // 0: none
	timer   *time.Timer
	stalled atomic.Bool
	closed  atomic.Bool // perhaps under a Read: none of the app's doing
	not     []*upstream // that have been asked before
}

func (b *trackedBody) Read(p []byte) (int, error) {
	if b.stall > 0 {
		if b.timer == nil {
			b.timer = time.AfterFunc(b.stall, b.cut)
		} else {
			b.timer.Reset(b.stall)
		}
	}
	n, err := b.ReadCloser.Read(p)
	if b.timer != nil {
		b.timer.Stop()
	}
	switch {
	case err == nil, err == io.EOF:
		return n, err
	case b.stalled.Load(), errors.Is(err, os.ErrDeadlineExceeded):
		return n, fmt.Errorf("%w: content stalled: %w", ErrTimeout, err)
	case b.closed.Load(), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return n, err
	}
	b.u.failed.Add(1)
	b.u.failedOnce(b.og, err)
	err = fmt.Errorf("%w: %w", ErrBadAnswer, err)
	if not := append(slices.Clip(b.not), b.u); len(not) < min(len(*b.og.upstreams.Load()), maxTries) {
		err = &cutShort{err, b.og, not}
	}
	return n, err
}

func (b *trackedBody) cut() {
	b.stalled.Store(true)
	b.ReadCloser.Close()
}

func (b *trackedBody) Close() error {
	b.closed.Store(true)
	err := b.ReadCloser.Close()
	b.end()
	return err
}

// heldBody keeps a request's content open over attempts that could not
// connect: net/http closes it then, and it could not be sent elsewhere. All
// methods work on nil, which is a request that has no content or nowhere else
// to go.
type heldBody struct {
	io.ReadCloser
	mu     sync.Mutex
	read   bool
	over   bool // no more attempts
	closed bool
}

func (og *Origin) hold(r *http.Request) *heldBody {
	if !hasBody(r) || len(*og.upstreams.Load()) == 1 {
		return nil
	}
	return &heldBody{ReadCloser: r.Body}
}

func (h *heldBody) Read(p []byte) (int, error) {
	h.mu.Lock()
	h.read = true
	h.mu.Unlock()
	return h.ReadCloser.Read(p)
}

func (h *heldBody) Close() error {
	h.mu.Lock()
	h.closed = true
	pass := h.read || h.over
	h.mu.Unlock()
	if !pass {
		return nil
	}
	return h.ReadCloser.Close()
}

func (h *heldBody) touched() bool {
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.read
}

// end closes what an attempt held open, and lets every later Close through.
func (h *heldBody) end() {
	if h == nil {
		return
	}
	h.mu.Lock()
	pending := h.closed && !h.read && !h.over
	h.over = true
	h.mu.Unlock()
	if pending {
		h.ReadCloser.Close()
	}
}
