package sessions

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// touches are uses that have yet to lengthen a record's life in Redis. They
// are written in batches, never on a request's path.
type touches struct {
	mu sync.Mutex
	m  map[id]touched
}

type touched struct {
	until     int64
	anonymous bool
}

const (
	touchEvery  = 200 * time.Millisecond
	mostTouches = 1 << 16
)

// touch notes a use: at most once in a tenth of the time that the record
// lives without use, and once when the cookie has come back for the first
// time.
func (t *Terminator) touch(r *record, now int64) {
	probation := r.probation.Load()
	back := probation != 0
	idle := t.opt().Lifetime.Idle
	anonymous := r.meta.signedIn == 0
	if anonymous && (idle == 0 || t.opt().Lifetime.Anonymous < idle) {
		idle = t.opt().Lifetime.Anonymous
	}
	if !back && idle == 0 {
		return
	}
	if back && !r.probation.CompareAndSwap(probation, 0) {
		return
	}
	was := r.expires.Load()
	until := now + t.ttl(r, now).Milliseconds()
	if !back && until-was < idle.Milliseconds()/10 {
		return
	}
	if !r.expires.CompareAndSwap(was, until) {
		return // another request of the session has just done so
	}
	t.touches.mu.Lock()
	defer t.touches.mu.Unlock()
	if t.touches.m == nil {
		t.touches.m = make(map[id]touched)
	}
	if len(t.touches.m) < mostTouches {
		t.touches.m[r.id] = touched{until, anonymous}
	}
}

func (t *Terminator) flushTouches(ctx context.Context) {
	tick := time.NewTicker(touchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_ = t.Flush(last)
			return
		case <-tick.C:
			if t.isDown() && t.trusted() {
				t.probe(ctx) // what tracks has heard nothing of it, and nobody else asks
			}
			if err := t.Flush(ctx); err != nil && ctx.Err() == nil {
				t.count(RedisError)
			}
		}
	}
}

// Flush writes the touches that wait. Those that fail are given up: the next
// use of the session makes another.
func (t *Terminator) Flush(ctx context.Context) error {
	t.touches.mu.Lock()
	batch := t.touches.m
	t.touches.m = nil
	t.touches.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	if t.isDown() {
		return errDown
	}
	now := t.opt().Now().UnixMilli()
	_, err := t.opt().Client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, to := range batch {
			scriptTouch.Eval(ctx, p, []string{t.recordKey(i)}, max(to.until-now, 1))
			if to.anonymous {
				p.ZAddXX(ctx, t.anonKey(), redis.Z{Score: float64(to.until), Member: i.String()})
			}
		}
		return nil
	})
	t.heard(ctx, err)
	return err
}
