package proxy

import (
	"sync"
	"sync/atomic"
	"time"
)

// doubtAfter is how long a visitor who sends no more is believed to listen.
const doubtAfter = time.Second

// leave tells a visitor who has gone from one who has closed their own side of
// the connection and waits for the answer (RFC 9293 §3.6): what comes of both
// is a FIN. Only a write tells them apart, for whoever has gone answers it with
// a reset, which the watcher then sees.
type leave struct {
	half  atomic.Bool // the visitor sends no more
	since atomic.Bool // something was written after that
	mute  atomic.Bool // the request is HTTP/1.0

	writing atomic.Bool // a write is under way, however slow

	mu     sync.Mutex
	spoken atomic.Bool // something of the answer was written; set with mu held
}

// noted is called when the visitor's side ends while a request is handled.
func (c *visitorConn) noted() {
	c.leave.half.Store(true)
	time.AfterFunc(doubtAfter, c.doubt)
}

// doubt finds out whether a visitor who sends no more still listens, unless
// the answer has shown it meanwhile. Before the answer begins a 100 does, which
// every client of HTTP/1.1 passes over (RFC 9110 §15.2). Within an answer there
// is nothing to be said: one that is silent for so long, as an event stream
// may be, is taken for one that nobody listens to.
func (c *visitorConn) doubt() {
	l := &c.leave
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !c.handling.Load(), l.since.Load():
		return
	case l.writing.Load():
		time.AfterFunc(doubtAfter, c.doubt)
		return
	case l.spoken.Load():
	case l.mute.Load():
		return // HTTP/1.0 has no 1xx: the answer will tell
	default:
		if _, err := c.write([]byte("HTTP/1.1 100 Continue\r\n\r\n"), nil, time.Now()); err == nil {
			return
		}
	}
	_ = c.Conn.SetReadDeadline(time.Unix(1, 0)) // which ends the watcher's wait
}

// speaks is called before anything of an answer is written: nothing may come
// between its parts.
func (l *leave) speaks() {
	if !l.spoken.Load() {
		l.mu.Lock()
		l.spoken.Store(true)
		l.mu.Unlock()
	}
	if l.half.Load() {
		l.since.Store(true)
	}
}

// next makes ready for the next request. handling is to be false by then.
func (l *leave) next() {
	l.mu.Lock()
	l.spoken.Store(false)
	l.half.Store(false)
	l.since.Store(false)
	l.mu.Unlock()
}
