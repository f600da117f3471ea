//go:build unix

package proxy

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// watcher waits for a visitor's leave without taking what they send.
type watcher struct {
	raw  syscall.RawConn
	look func(fd uintptr) bool // peek, made once
	one  [1]byte
	err  error
}

func (w *watcher) init(c net.Conn) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	if raw, err := sc.SyscallConn(); err == nil {
		w.raw, w.look = raw, w.peek
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
