package store_test

import (
	"context"
	"encoding/base64"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"umbral/cachepolicy"
	"umbral/proxy/store"
	"umbral/proxy/store/storetest"
)

// fetch is what an edge does for one visitor: look up, else get the lease and
// ask the app, else wait and look again.
func fetch(t testing.TB, s *edge, key cachepolicy.Key, app func() *store.Entry) *store.Entry {
	for {
		if e, _ := s.Lookup(bg, key); e != nil {
			return e
		}
		lease, held, err := s.Leases().Acquire(bg, key, time.Minute)
		if err != nil {
			t.Error(err)
			return nil
		}
		if !held {
			if _, err := s.Leases().Wait(bg, key); err != nil {
				t.Error(err)
				return nil
			}
			continue
		}
		if e, _ := s.Lookup(bg, key); e != nil {
			lease.Abandon()
			return e
		}
		e := app()
		if err := s.Put(bg, e); err != nil {
			t.Error(err)
		}
		lease.Release(true)
		return e
	}
}

func TestLeaseCollapsesOverEdges(t *testing.T) {
	r := storetest.StartRedis(t)
	for name, memory := range map[string]int64{"with memory": 1 << 20, "without": 0} {
		t.Run(name, func(t *testing.T) {
			list := threeEdges(t, single(r), func(o *store.Options) {
				o.MemoryBytes, o.Timeout = memory, 20*time.Second // a slow machine is no lost Redis
			})
			var asked atomic.Int32
			var wg sync.WaitGroup
			for i := range 300 {
				s := list[i%3]
				wg.Go(func() {
					e := fetch(t, s, storetest.Key(t.Name()), func() *store.Entry {
						asked.Add(1)
						return storetest.Page(s.Log(), t.Name())
					})
					if e == nil {
						t.Error("nothing")
					}
				})
			}
			wg.Wait()
			if n := asked.Load(); n != 1 {
				t.Errorf("the app was asked %d times", n)
			}
		})
	}
}

// leaseName is the key in Redis of the lease of storetest.Key(name).
func leaseName(name string) string {
	key := storetest.Key(name)
	return "test:edge:l:" + base64.RawURLEncoding.EncodeToString(key[:])
}

func TestLease(t *testing.T) {
	r := storetest.StartRedis(t)
	a, b := startEdge(t, single(r), nil), startEdge(t, single(r), nil)
	acquire := func(t *testing.T, s *edge, name string, d time.Duration) *store.Lease {
		t.Helper()
		lease, held, err := s.Leases().Acquire(bg, storetest.Key(name), d)
		if err != nil || !held || lease.Alone() {
			t.Fatalf("held %v, %v", held, err)
		}
		return lease
	}
	refused := func(t *testing.T, s *edge, name string) {
		t.Helper()
		if lease, held, err := s.Leases().Acquire(bg, storetest.Key(name), time.Minute); held || lease != nil || err != nil {
			t.Fatalf("a second lease: %v, %v", held, err)
		}
	}
	for name, tt := range map[string]struct {
		end  func(*store.Lease)
		want store.Outcome
	}{
		"stored":      {func(l *store.Lease) { l.Release(true) }, store.Stored},
		"uncacheable": {func(l *store.Lease) { l.Release(false) }, store.Uncacheable},
		"failed":      {func(l *store.Lease) { l.Abandon() }, store.Abandoned},
		"not tried":   {func(l *store.Lease) { l.Yield() }, store.LookAgain},
	} {
		t.Run("wakes those who wait: "+name, func(t *testing.T) {
			lease := acquire(t, a, name, time.Hour)
			refused(t, b, name)
			var wg sync.WaitGroup
			for i := range 20 {
				s := []*edge{a, b}[i%2]
				wg.Go(func() {
					got, err := s.Leases().Wait(bg, storetest.Key(name))
					// Who came too late to hear finds no lease.
					if err != nil || got != tt.want && got != store.LookAgain {
						t.Errorf("woken with %v, %v", got, err)
					}
				})
			}
			tt.end(lease)
			tt.end(lease) // twice does no harm
			wg.Wait()
			storetest.Eventually(t, "the lease to be free", func() bool {
				_, held, _ := b.Leases().Acquire(bg, storetest.Key(name), time.Minute)
				return held
			})
		})
	}
	t.Run("wakes at its deadline when the holder is gone", func(t *testing.T) {
		acquire(t, a, "lost", 50*time.Millisecond)
		if got, err := b.Leases().Wait(bg, storetest.Key("lost")); got != store.LookAgain || err != nil {
			t.Errorf("%v, %v", got, err)
		}
		storetest.Eventually(t, "the next to hold it", func() bool {
			_, held, _ := b.Leases().Acquire(bg, storetest.Key("lost"), time.Minute)
			return held
		})
	})
	t.Run("is renewed while the holder is there, and free soon after", func(t *testing.T) {
		gone, err := store.Open(store.Options{Client: r.Client(), Prefix: "test", EdgeID: "gone"})
		if err != nil {
			t.Fatal(err)
		}
		gone.Start()
		if _, held, err := gone.Leases().Acquire(bg, storetest.Key("kept"), time.Hour); !held || err != nil {
			t.Fatal(held, err)
		}
		left := func() int64 { return r.Do("PTTL", leaseName("kept")).(int64) }
		least := left()
		if least > 2000 {
			t.Errorf("it lasts for %d ms", least)
		}
		storetest.Eventually(t, "a renewal", func() bool {
			now := left()
			renewed := now > least
			least = now
			return renewed
		})
		if err := gone.Close(bg); err != nil {
			t.Fatal(err)
		}
		if got, err := b.Leases().Wait(bg, storetest.Key("kept")); got != store.LookAgain || err != nil {
			t.Errorf("%v, %v", got, err)
		}
		acquire(t, b, "kept", time.Minute)
	})
	t.Run("that is lost is released all the same", func(t *testing.T) {
		storetest.Eventually(t, "somebody to hear of it", func() bool {
			lease := acquire(t, a, "lost to all", time.Minute)
			heard := make(chan store.Outcome)
			go func() {
				got, _ := b.Leases().Wait(bg, storetest.Key("lost to all"))
				heard <- got
			}()
			r.Do("DEL", leaseName("lost to all"))
			lease.Release(true)
			return <-heard == store.Stored // unless it came too late
		})
	})
	t.Run("that is over is not released a second time", func(t *testing.T) {
		late := acquire(t, a, "late", time.Millisecond)
		storetest.Eventually(t, "the next to hold it", func() bool {
			_, held, _ := b.Leases().Acquire(bg, storetest.Key("late"), time.Minute)
			return held
		})
		late.Release(true)
		done := acquire(t, a, "after late", time.Minute) // of the same shard or not: a later exchange
		done.Release(true)
		storetest.Eventually(t, "that release", func() bool {
			_, held, _ := b.Leases().Acquire(bg, storetest.Key("after late"), time.Minute)
			return held
		})
		refused(t, a, "late")
	})
	t.Run("nobody waits for what nobody holds", func(t *testing.T) {
		if got, err := a.Leases().Wait(bg, storetest.Key("free")); got != store.LookAgain || err != nil {
			t.Errorf("%v, %v", got, err)
		}
	})
	t.Run("a visitor who goes waits no more", func(t *testing.T) {
		acquire(t, a, "long", time.Hour)
		ctx, cancel := context.WithCancel(bg)
		ended := make(chan error, 1)
		go func() {
			_, err := b.Leases().Wait(ctx, storetest.Key("long"))
			ended <- err
		}()
		cancel()
		if err := <-ended; err != context.Canceled {
			t.Error(err)
		}
	})
	t.Run("a lost connection wakes all", func(t *testing.T) {
		acquire(t, a, "cut", time.Hour)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if _, err := b.Leases().Wait(bg, storetest.Key("cut")); err != nil {
				t.Error(err)
			}
		}()
		storetest.Eventually(t, "the cut to wake it", func() bool {
			r.Do("CLIENT", "KILL", "TYPE", "pubsub")
			select {
			case <-ended:
				return true
			default:
				return false
			}
		})
	})
	t.Run("without Redis everybody goes alone", func(t *testing.T) {
		r.Kill()
		for range 3 {
			for _, s := range []*edge{a, b} {
				lease, held, err := s.Leases().Acquire(bg, storetest.Key("dead"), time.Minute)
				if !held || err != nil || !lease.Alone() {
					t.Errorf("held %v, %v", held, err)
				}
				lease.Release(true)
			}
		}
		if got, err := a.Leases().Wait(bg, storetest.Key("dead")); got != store.LookAgain || err != nil {
			t.Errorf("%v, %v", got, err)
		}
	})
}
