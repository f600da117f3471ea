package proxy

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// What can go wrong with a request's content.
var (
	// ErrBodyTooLarge says that content outgrew MaxBody.
	ErrBodyTooLarge = errors.New("proxy: request body exceeds the limit")
	// ErrBodyStalled says that content did not come in time.
	ErrBodyStalled = errors.New("proxy: request body stalled")
	// errBodyBroken says that content ended before its time, or against the
	// grammar of its framing.
	errBodyBroken = errors.New("proxy: request body broken off")
)

// GuardOptions bounds a request's content.
type GuardOptions struct {
	// MaxBody is in bytes; 0 means 128 MiB, negative none at all.
	MaxBody int64
	// Stall is the longest silence; 0 means 30 s.
	Stall time.Duration
	// MinRate is what content must keep up over its whole length, in bytes
	// per second, one Stall granted; 0 means 500.
	MinRate int64
}

func (o GuardOptions) withDefaults() GuardOptions {
	switch {
	case o.MaxBody == 0:
		o.MaxBody = 128 << 20
	case o.MaxBody < 0:
		o.MaxBody = 0
	}
	if o.Stall == 0 {
		o.Stall = 30 * time.Second
	}
	if o.MinRate == 0 {
		o.MinRate = 500
	}
	return o
}

// Guard bounds what is read of x's content, in size and in time. A request
// that came with Transfer-Encoding is the last on its connection: net/http
// hides a Content-Length beside it, over which two readers could disagree
// (RFC 9112 §6.3). So is every request in HTTP/1.0, from which net/http takes
// off a Transfer-Encoding without a word (§6.1). It must be called right after Admit, whatever that said,
// before anything is read or answered: it holds for content that nobody reads,
// too. It costs nothing where there is none.
func (f *Front) Guard(w http.ResponseWriter, x *Exchange) {
	r := x.R
	old := r.ProtoMajor == 1 && r.ProtoMinor == 0
	if len(r.TransferEncoding) > 0 || old {
		w.Header().Set("Connection", "close")
	}
	if c := connOf(r); old && c != nil {
		c.leave.mute.Store(true)
	}
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	b := &guardedBody{
		ReadCloser: r.Body, o: f.guard, rc: http.NewResponseController(w), left: f.guard.MaxBody, began: x.Start,
	}
	r.Body = b
	// Before the first Read as well: where nobody reads the content, net/http
	// does, to find the next request.
	b.extend(time.Now())
}

// guardedBody is a request's content within bounds. One goroutine reads it.
type guardedBody struct {
	mu sync.Mutex // held while somebody reads
	io.ReadCloser
	o     GuardOptions
	rc    *http.ResponseController
	began time.Time
	read  int64
	left  int64
	until time.Time
	err   error // sticks
}

// extend moves the connection's read deadline, seldom enough to cost nothing.
func (b *guardedBody) extend(now time.Time) {
	until := now.Add(b.o.Stall)
	floor := b.began.Add(b.o.Stall + time.Duration(b.read/b.o.MinRate)*time.Second)
	if floor.Before(until) {
		until = floor
	}
	if d := until.Sub(b.until); d > b.o.Stall/16 || d < 0 {
		b.until = until
		_ = b.rc.SetReadDeadline(until)
	}
}

// fault is why the content could not be read, nil if nothing was amiss so far.
// It waits for a Read under way.
func (b *guardedBody) fault() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == io.EOF {
		return nil
	}
	return b.err
}

func (b *guardedBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return 0, b.err
	}
	b.extend(time.Now())
	// One byte over the limit tells content that fits from content that does
	// not.
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	switch {
	case int64(n) > b.left:
		n, err = int(b.left), ErrBodyTooLarge
	case err == nil, err == io.EOF:
	case timedOut(err):
		err = ErrBodyStalled
	default:
		err = errors.Join(errBodyBroken, err)
	}
	b.left -= int64(n)
	if err != nil {
		b.err = err
		if err == io.EOF {
			// The app may think for longer than content may stall, and from
			// now on net/http watches the connection for the visitor's leave.
			_ = b.rc.SetReadDeadline(time.Time{})
		}
	}
	return n, err
}

func timedOut(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}
