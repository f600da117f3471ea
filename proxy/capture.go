package proxy

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

// errTooLarge says that a body outgrew the route's max_object.
var errTooLarge = errors.New("proxy: body exceeds max_object")

// captureChunk is how much is read from the app at a time.
const captureChunk = 32 << 10

// capture reads a body from the app into memory at the app's pace while the
// visitor who caused the fetch reads it at theirs, or not at all. A body that
// outgrows the limit is handed over to that visitor, who drains it directly.
//
// fill runs in the flight's goroutine; the reader belongs to the visitor.
type capture struct {
	body  io.ReadCloser
	limit int64

	mu     sync.Mutex
	more   *sync.Cond
	buf    []byte
	ended  bool
	err    error // why it ended; nil for a complete body
	handed bool  // too large: the reader reads body itself, after buf
	left   bool  // the reader has gone
}

func newCapture(body io.ReadCloser, limit, declared int64) *capture {
	c := &capture{body: body, limit: limit}
	c.more = sync.NewCond(&c.mu)
	if declared > 0 && declared <= limit {
		c.buf = make([]byte, 0, declared+1) // +1: room to see the end without growing
	}
	return c
}

// fill reads the whole body. It returns the bytes, or errTooLarge once the
// rest has been handed over, or why the app's body broke off.
func (c *capture) fill() ([]byte, error) {
	for {
		c.mu.Lock()
		if cap(c.buf)-len(c.buf) < 1 {
			c.grow()
		}
		room := c.buf[len(c.buf):cap(c.buf)]
		c.mu.Unlock()
		// Readers only look below len(buf), so reading above it needs no lock.
		n, err := c.body.Read(room)
		c.mu.Lock()
		c.buf = c.buf[:len(c.buf)+n]
		if err == nil && int64(len(c.buf)) > c.limit {
			c.handed = true
			if c.left {
				c.body.Close()
			}
			c.more.Broadcast()
			c.mu.Unlock()
			return nil, errTooLarge
		}
		if err != nil {
			c.ended = true
			if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				c.err = err
			}
		}
		c.more.Broadcast()
		ended, why, all := c.ended, c.err, c.buf
		c.mu.Unlock()
		if !ended {
			continue
		}
		c.body.Close()
		if why == nil && int64(len(all)) > c.limit {
			why = errTooLarge // it ended within one read: the visitor still gets all of it
		}
		return all, why
	}
}

// grow makes room in buf; the old array stays as it was for readers.
func (c *capture) grow() {
	size := 2 * cap(c.buf)
	if size < captureChunk {
		size = captureChunk
	}
	bigger := make([]byte, len(c.buf), size)
	copy(bigger, c.buf)
	c.buf = bigger
}

// reader returns the body as the visitor reads it.
func (c *capture) reader() io.ReadCloser { return &captureReader{c: c} }

type captureReader struct {
	c   *capture
	off int
}

func (r *captureReader) Read(p []byte) (int, error) {
	c := r.c
	c.mu.Lock()
	for r.off == len(c.buf) && !c.ended && !c.handed && !c.left {
		c.more.Wait()
	}
	if c.left {
		c.mu.Unlock()
		return 0, io.ErrClosedPipe
	}
	if r.off < len(c.buf) {
		n := copy(p, c.buf[r.off:])
		r.off += n
		c.mu.Unlock()
		return n, nil
	}
	handed, err := c.handed, c.err
	c.mu.Unlock()
	switch {
	case handed:
		return c.body.Read(p)
	case err != nil:
		return 0, err
	default:
		return 0, io.EOF
	}
}

// Close lets the capture know that the visitor has gone; the app's body is
// read on for the store, unless it has been handed over.
func (r *captureReader) Close() error {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = true
	c.more.Broadcast() // a session that ends closes the body under its reader
	if c.handed {
		return c.body.Close()
	}
	return nil
}

// wholeBody is a body that is in memory already.
func wholeBody(b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }
