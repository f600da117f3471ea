//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package proxy

import (
	"errors"
	"net"
)

const watches = false

// watcher waits for a visitor's leave without taking what they send: not on
// this system, where net/http reads ahead instead.
type watcher struct{ ended func() }

func (*watcher) init(net.Conn) {}

func (*watcher) able() bool { return false }

func (*watcher) listen() {}

func (*watcher) silent() bool { return false }

func (*watcher) wait() error { return errors.ErrUnsupported }
