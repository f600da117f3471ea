package sessions

import (
	"context"
	"time"
)

// within bounds one exchange with Redis. The client's own time-outs are for each
// of its tries: to connect, to say hello, to ask, and all of that once more.
func (t *Terminator) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, t.opt().Timeout)
}

// within bounds what follows by what is left of the time that this visitor's
// request may wait for Redis; done ends it. The caller holds mu throughout.
func (v *Visitor) within(ctx context.Context) (_ context.Context, done func()) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, v.t.opt().Timeout-v.waited)
	return ctx, func() {
		cancel()
		v.waited += time.Since(began)
	}
}

// behind undoes, behind the request, what the request itself has no time for.
// What is not undone goes with its time.
func (t *Terminator) behind(undo func(context.Context)) {
	t.spawn(func(ctx context.Context) {
		ctx, cancel := t.within(ctx)
		defer cancel()
		undo(ctx)
	})
}
