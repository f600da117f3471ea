package proxy

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"umbral/cachepolicy"
	"umbral/proxy/store"
)

// flightShards is how many locks the flights are spread over.
const flightShards = 64

// outcome is how a flight ended, as its followers learn it. None of them is
// ever handed the leader's response: they look again and judge what they find
// for their own request (CACHING.md §5).
type outcome uint8

const (
	// landed: something was stored; look again.
	landed outcome = iota
	// scattered: the answer cannot be stored, or there was none; everybody
	// asks for themselves, in parallel.
	scattered
	// overdue: the deadline passed first; ask alone.
	overdue
)

// flight is one fetch under way on this edge.
type flight struct {
	key   cachepolicy.Key
	done  chan struct{}
	once  sync.Once
	how   outcome
	shard *flightShard
}

// flights knows the fetches under way on this edge. One fetch per key.
type flights struct {
	shards [flightShards]flightShard
}

type flightShard struct {
	mu     sync.Mutex
	byKey  map[cachepolicy.Key]*flight
	landed atomic.Uint64
}

func newFlights() *flights {
	f := &flights{}
	for i := range f.shards {
		f.shards[i].byKey = make(map[cachepolicy.Key]*flight)
	}
	return f
}

// shard is that of a primary key and of all its variants.
func (f *flights) shard(primary cachepolicy.Key) *flightShard {
	return &f.shards[primary[0]%flightShards]
}

// mark is a place in the history of a primary key's shard, to be read before
// the store is asked and handed to join.
func (f *flights) mark(primary cachepolicy.Key) uint64 { return f.shard(primary).landed.Load() }

// join returns the flight for key, that of a response under primary: leader is true where the caller has begun
// it and must end it. again is true where some flight of the shard ended since
// mark: the caller may have looked just before that flight stored its answer
// and joined just after it had left, so it must look once more before it asks
// the app. Without this the interleaving
//
//	B looks, finds nothing · A stores and ends · B joins, and leads
//
// would fetch twice what one fetch has just stored.
func (f *flights) join(primary, key cachepolicy.Key, mark uint64) (fl *flight, leader, again bool) {
	s := f.shard(primary)
	s.mu.Lock()
	defer s.mu.Unlock()
	if fl, ok := s.byKey[key]; ok {
		return fl, false, false
	}
	fl = &flight{key: key, done: make(chan struct{}), shard: s}
	s.byKey[key] = fl
	return fl, true, s.landed.Load() != mark
}

// end lets the followers go. Only the first call counts, so that a leader may
// scatter them at the header and still end the flight when the body is done.
func (fl *flight) end(how outcome) {
	fl.once.Do(func() {
		s := fl.shard
		s.mu.Lock()
		delete(s.byKey, fl.key)
		s.landed.Add(1)
		s.mu.Unlock()
		fl.how = how
		close(fl.done)
	})
}

// wait waits for the flight's end, for the deadline, or for the visitor to go
// away, whose error it returns.
func (fl *flight) wait(ctx context.Context, deadline time.Duration) (outcome, error) {
	t := time.NewTimer(deadline)
	defer t.Stop()
	select {
	case <-fl.done:
		return fl.how, nil
	case <-t.C:
		return overdue, nil
	case <-ctx.Done():
		return overdue, ctx.Err()
	}
}

// lease makes this fetch the only one among all edges. Where another edge has
// it, it waits for that edge's word, looks again, and answers from what it
// finds, if that will do. Where nothing is there it is the next to try: the
// edge that had the lease is gone, or what it fetched has been purged.
func (f *fetch) lease(ctx context.Context) {
	for range maxLooks {
		look, cancel := context.WithDeadline(ctx, f.redisBy)
		l, held, err := f.p.leases.Acquire(look, f.plan.found.key, f.p.deadline)
		// Another edge may have released it between our look and our taking
		// it: without a second look both would fetch.
		if f.held = l; held && !l.Alone() {
			f.lookAgain(look)
		}
		cancel()
		if held || err != nil || !f.follow(ctx) {
			return
		}
	}
}

// follow waits for the fetch of another edge, and reports that it has left
// nothing behind: neither what was looked for nor a reason to go on alone.
func (f *fetch) follow(ctx context.Context) bool {
	now := f.p.now()
	left := f.redisBy.Sub(now)
	wait, waited := context.WithTimeout(ctx, f.until.Sub(now))
	how, err := f.p.leases.Wait(wait, f.plan.found.key)
	waited()
	f.redisBy = f.p.now().Add(left) // another edge has been waited for, not Redis
	switch {
	case err != nil:
		return false
	case how == store.Uncacheable:
		f.p.refused.add(f.plan.found.primary, refusedStore, f.p.now())
		f.unstorable()
		return false
	case how == store.Abandoned:
		f.scatter(scattered)
		return false
	}
	look, cancel := context.WithDeadline(ctx, f.redisBy)
	defer cancel()
	return f.lookAgain(look)
}

// lookAgain answers from what another edge has stored meanwhile, if that will
// do, and reports whether there is nothing that was not there before.
func (f *fetch) lookAgain(ctx context.Context) (nothing bool) {
	before := f.plan.found.entry
	if before != nil {
		if f.plan.decision.Reason == cachepolicy.SessionRenewal {
			return false // it is the app that has to see this visitor
		}
		f.p.store.Reload(ctx, before)
	}
	found := f.p.find(ctx, f.route, &f.ask, f.plan.found.primary, far)
	switch {
	case found.entry == nil:
		// Under another key it is another variant that the next fetches.
		return found.key == f.plan.found.key && found.reason != cachepolicy.StoreDown
	case before != nil && found.entry.Stored == before.Stored:
		return true
	case f.p.form(f.visitor, f.ask.Host, found.entry) != fits:
		return false
	}
	now := f.p.now()
	if d := f.route.Reuse(&f.ask, f.p.candidate(found, now), now); d.Verdict == cachepolicy.Serve {
		f.status.Collapsed = true
		f.give(answer{entry: found.entry})
	}
	return false
}
