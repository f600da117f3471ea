//go:build unix

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
// may wait, in either way, and one at a time ask whether it is silent.
type watcher struct {
	raw   syscall.RawConn
	look  func(fd uintptr) bool // peek, made once
	heed  func(fd uintptr) bool // hear, made once
	scan  func(fd uintptr)      // glance, made once
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

// wait returns at the connection's end, at its read deadline, and not before.
func (w *watcher) wait() error {
	w.err = nil
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
		err = io.EOF
	}
	w.err = err
	return true
}
