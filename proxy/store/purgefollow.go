package store

import (
	"context"
	"strconv"
	"time"
)

// start follows the log. It does not wait for Redis: see Begun.
func (l *Log) start() {
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	l.done.Go(func() { l.follow(ctx) })
	l.done.Go(func() {
		defer l.begin()
		ctx, stop := context.WithTimeout(ctx, l.timeout)
		defer stop()
		for _, good := range []<-chan struct{}{l.ready, l.bus.first} {
			select {
			case <-good:
			case <-ctx.Done():
				return
			}
		}
	})
}

// Begun is closed once waiting for the start is of no more use: the log has
// been read and messages arrive, or Redis has failed once, or has not answered
// for the time-out. Before, nothing stored can be served, and nothing be
// stored.
func (l *Log) Begun() <-chan struct{} { return l.begun }

func (l *Log) begin() { l.beginOnce.Do(func() { close(l.begun) }) }

// close takes leave of the other edges and ends the follower.
func (l *Log) close(ctx context.Context) {
	l.cancel()
	l.done.Wait()
	// Best effort: an edge that says nothing is forgotten after the lag limit.
	_ = l.breaker.do(ctx, l.stream, func(ctx context.Context) error {
		if err := l.client.HDel(ctx, l.edges, l.edge).Err(); err != nil {
			return err
		}
		return l.client.Publish(ctx, l.acks, "0 0 - "+l.edge).Err()
	})
}

// follow is the edge's one follower: it waits for records, applies them, and
// keeps the pulse.
func (l *Log) follow(ctx context.Context) {
	const atFirst = 50 * time.Millisecond
	var due time.Time
	wait, failures := atFirst, 0
	for ctx.Err() == nil {
		var err error
		if now := l.now(); l.owed.Load() || !now.Before(due) {
			if err = l.beat(ctx); err == nil {
				due = now.Add(l.every)
			}
		} else {
			err = l.listen(ctx, min(due.Sub(now), l.every))
		}
		if err == nil {
			wait, failures = atFirst, 0
			continue
		}
		if failures++; failures == 2 && l.head.Load() == nil && ctx.Err() == nil {
			// No page asks Redis for anything before the log has been read, and
			// so finds out.
			l.breaker.failed(l.stream, err)
		}
		l.begin()
		l.sayLost()
		refreshTopology(ctx, l.client)
		due = time.Time{}
		pause(ctx, wait)
		wait = min(2*wait, l.every)
	}
}

// listen waits for word of a new record for at most d, and applies what there
// is then.
func (l *Log) listen(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-l.news:
		return l.catchUp(ctx)
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

// hear takes word of a record: its number.
func (l *Log) hear(payload string) {
	number, err := strconv.ParseUint(payload, 10, 64)
	if h := l.head.Load(); err != nil || h != nil && h.number == number {
		return
	}
	l.wake()
}

func (l *Log) wake() {
	select {
	case l.news <- struct{}{}:
	default:
	}
}
