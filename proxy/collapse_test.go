package proxy

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"umbral/cachepolicy"
	"umbral/proxy/store"
)

// otherEdge has the lease of every key for the first taken times that it is
// asked for, and whoever waits for it learns how that ended.
type otherEdge struct {
	Leases
	taken int64
	ends  func() store.Outcome
	asked atomic.Int64
}

func (o *otherEdge) Acquire(ctx context.Context, key cachepolicy.Key, d time.Duration) (*store.Lease, bool, error) {
	if o.asked.Add(1) <= o.taken {
		return nil, false, nil
	}
	return o.Leases.Acquire(ctx, key, d)
}

func (o *otherEdge) Wait(context.Context, cachepolicy.Key) (store.Outcome, error) {
	return o.ends(), nil
}

// together has n visitors of path wait for one another's fetch.
func (b *bed) together(t *testing.T, n int, path string) (bodies map[string]int) {
	t.Helper()
	bodies = map[string]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for range n {
		c := b.dial(t)
		all.Go(func() {
			_, body := c.ask(plain(path))
			mu.Lock()
			bodies[body]++
			mu.Unlock()
		})
	}
	all.Wait()
	return bodies
}

// TestWhatAnotherEdgeLeavesUndoneIsDoneOnce: where the holder of a lease has
// gone, or what it stored is dead already, one of those who waited is next.
func TestWhatAnotherEdgeLeavesUndoneIsDoneOnce(t *testing.T) {
	for name, outcome := range map[string]store.Outcome{"gone": store.LookAgain, "dead": store.Stored} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, 1<<20, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") }, expressRules...)
			other := &otherEdge{Leases: b.leases, taken: 2}
			other.ends = func() store.Outcome {
				b.eventually(t, func() bool { return b.access.metrics.inFlight.Load() == 20 || other.asked.Load() > 1 })
				return outcome
			}
			b.leases = other
			if got := b.together(t, 20, "/public/a"); got["page"] != 20 {
				t.Error(got)
			}
			if n, asked := b.asked.Load(), other.asked.Load(); n != 1 || asked != 3 {
				t.Errorf("%d requests to the app, the lease asked for %d times", n, asked)
			}
		})
	}
}

// TestALeaseThatIsNeverToBeHad does not keep anybody for ever.
func TestALeaseThatIsNeverToBeHad(t *testing.T) {
	b := newBed(t, 1<<20, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") }, expressRules...)
	other := &otherEdge{Leases: b.leases, taken: 1 << 40, ends: func() store.Outcome { return store.LookAgain }}
	b.leases = other
	if got := b.together(t, 1, "/public/a"); got["page"] != 1 || other.asked.Load() != maxLooks {
		t.Errorf("%v, asked for %d times", got, other.asked.Load())
	}
}

// TestAFailureElsewhereLetsEverybodyGoAtOnce, this once: the next crowd waits
// again.
func TestAFailureElsewhereLetsEverybodyGoAtOnce(t *testing.T) {
	const n = 20
	var b *bed
	two, once := make(chan struct{}), sync.Once{}
	b = newBed(t, 1<<20, func(w http.ResponseWriter, r *http.Request) {
		if b.asked.Load() > 1 {
			once.Do(func() { close(two) })
		}
		select {
		case <-two: // who waits on this edge is here beside the one who waited for the other
		case <-t.Context().Done():
		}
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, "broken")
	}, expressRules...)
	b.deadline = time.Hour
	other := &otherEdge{Leases: b.leases, taken: 1}
	other.ends = func() store.Outcome {
		b.eventually(t, func() bool { return b.access.metrics.inFlight.Load() == n })
		return store.Abandoned
	}
	b.leases = other
	if got := b.together(t, n, "/public/a"); got["broken"] != n {
		t.Error(got)
	}
	before := other.asked.Load()
	if got := b.together(t, 1, "/public/a"); got["broken"] != 1 || other.asked.Load() == before {
		t.Errorf("%v, and no lease is asked for", got)
	}
}
