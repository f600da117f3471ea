package sessions

import (
	"context"
	"sync"
	"time"
)

// watch holds the long-lived connections of sessions: upgraded ones and event
// streams, to be cut when their session ends.
type watch struct {
	mu sync.Mutex
	m  map[id]map[*watcher]bool
	// hinted are sessions that something has happened to.
	hinted map[id]bool
	wake   chan struct{}
}

type watcher struct {
	rec  *record
	done chan struct{}
}

// Done is closed within 5 s when the visitor's session has ended, wherever
// that was, or when it was given another token. It is nil for a visitor
// without a record, and never closed unless the Terminator was started. The
// watch ends with the request's context.
func (v *Visitor) Done() <-chan struct{} {
	if v.shared || v.mode != inSession {
		return nil
	}
	v.mu.Lock()
	r := v.rec
	v.mu.Unlock()
	if r == nil {
		return nil
	}
	w := &watcher{rec: r, done: make(chan struct{})}
	v.t.watch.add(w)
	context.AfterFunc(v.ctx, func() { v.t.watch.remove(w) })
	return w.done
}

func (w *watch) add(x *watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.m == nil {
		w.m = make(map[id]map[*watcher]bool)
	}
	if w.m[x.rec.id] == nil {
		w.m[x.rec.id] = make(map[*watcher]bool)
	}
	w.m[x.rec.id][x] = true
	// It may have ended between being read and being watched.
	w.hint(x.rec.id)
}

func (w *watch) remove(x *watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.m[x.rec.id], x)
	if len(w.m[x.rec.id]) == 0 {
		delete(w.m, x.rec.id)
	}
}

// push says that something has happened to a session.
func (w *watch) push(i id) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.m[i] != nil {
		w.hint(i)
	}
}

// pushAll says so of all sessions.
func (w *watch) pushAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.m {
		w.hint(i)
	}
}

func (w *watch) hint(i id) {
	if w.hinted == nil {
		w.hinted = make(map[id]bool)
	}
	w.hinted[i] = true
	if w.wake != nil {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// sweepWatches looks at watched sessions: at once where something happened,
// each second at the clock, and, while no pushes are heard, at Redis.
func (t *Terminator) sweepWatches(ctx context.Context) {
	wake := make(chan struct{}, 1)
	t.watch.mu.Lock()
	t.watch.wake = wake
	t.watch.mu.Unlock()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-tick.C:
			if !t.trusted() && n%3 == 0 {
				t.watch.pushAll()
			}
		}
		t.sweep(ctx)
	}
}

// sweep closes the watches of sessions that are over.
func (t *Terminator) sweep(ctx context.Context) {
	now := t.opt().Now().UnixMilli()
	w := &t.watch
	w.mu.Lock()
	hinted := w.hinted
	w.hinted = nil
	var ask []*record
	for i, ws := range w.m {
		for x := range ws {
			if hinted[i] || t.over(x.rec, now) {
				ask = append(ask, x.rec)
				break
			}
		}
	}
	w.mu.Unlock()
	for _, r := range ask {
		fresh, p, err := t.find(ctx, r.secret, r.token)
		switch {
		case err != nil:
			w.later(ask)
			return
		case p == found && fresh.id == r.id:
			w.renew(r.id, fresh)
		default:
			w.close(r.id)
		}
	}
}

// later leaves records for the next sweep, without waking it.
func (w *watch) later(rs []*record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hinted == nil {
		w.hinted = make(map[id]bool)
	}
	for _, r := range rs {
		w.hinted[r.id] = true
	}
}

func (w *watch) renew(i id, r *record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for x := range w.m[i] {
		x.rec = r
	}
}

func (w *watch) close(i id) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for x := range w.m[i] {
		close(x.done)
	}
	delete(w.m, i)
}
