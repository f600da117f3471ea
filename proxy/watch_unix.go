//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package proxy

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// watches: a watcher is able to on this system.
const watches = true

// watcher looks at a connection without taking what comes on it. One goroutine
// may wait, in either way, and one at a time ask whether it is silent. It needs
// a poller that reports changes: one that reports states would never let it rest
// once the other side has closed.
type watcher struct {
	raw   syscall.RawConn
	look  func(fd uintptr) bool // peek, made once
	heed  func(fd uintptr) bool // hear, made once
	scan  func(fd uintptr)      // glance, made once
	ended func()                // told when the other side sends no more
	half  bool                  // it has been, in this wait
	one   [1]byte
	err   error
	other [1]byte // glance's own
	found error
}

func (w *watcher) init(c net.Conn) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	if raw, err := sc.SyscallConn(); err == nil {
		w.raw, w.look, w.heed, w.scan = raw, w.peek, w.hear, w.glance
	}
}

// able reports whether the connection can be looked at.
func (w *watcher) able() bool { return w.raw != nil }

// wait returns when the connection is lost, at its read deadline, and not
// before: that the other side sends no more is no loss.
func (w *watcher) wait() error {
	w.err, w.half = nil, false
	if err := w.raw.Read(w.look); err != nil {
		return err
	}
	return w.err
}

// listen returns once something has come on the connection, its end included.
func (w *watcher) listen() { _ = w.raw.Read(w.heed) }

func (w *watcher) hear(fd uintptr) bool {
	_, _, err := syscall.Recvfrom(int(fd), w.one[:], syscall.MSG_PEEK)
	return !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR)
}

// silent reports whether the connection is open and nothing has come on it.
func (w *watcher) silent() bool {
	return w.raw != nil && w.raw.Control(w.scan) == nil && errors.Is(w.found, syscall.EAGAIN)
}

func (w *watcher) glance(fd uintptr) {
	_, _, w.found = syscall.Recvfrom(int(fd), w.other[:], syscall.MSG_PEEK)
}

// peek reports whether there is nothing more to wait for.
func (w *watcher) peek(fd uintptr) bool {
	n, _, err := syscall.Recvfrom(int(fd), w.one[:], syscall.MSG_PEEK)
	switch {
	case n > 0, errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return false
	case err == nil:
		if !w.half {
			w.half = true
			w.ended()
		}
		// Reading gives nothing but the end from now on, whatever happens.
		code, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR)
		if err == nil && code == 0 {
			return false
		}
		w.err = io.EOF
		return true
	}
	w.err = err
	return true
}
