package store_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"umbral/cachepolicy"
	"umbral/proxy/store"
	"umbral/proxy/store/storetest"
)

// anyone is a log in which nothing is ever purged.
type anyone struct{ store.PurgeLog }

func (anyone) Judge(*store.Entry) store.Life { return store.Alive }
func (anyone) Position() store.Position      { return store.Position{Epoch: 1, Number: 1} }

func TestMemoryBound(t *testing.T) {
	const bound = 4 << 20
	m := store.NewMemory(bound, anyone{}, nil)
	defer m.Close()
	within := func(what string) {
		t.Helper()
		storetest.Eventually(t, what+" to be within the bound", func() bool {
			s := m.Stats()
			return s.Bytes <= bound+bound/64 && s.PersonalBytes <= bound/4
		})
	}
	fill := func(user string, n int) {
		for i := range n {
			e := storetest.Page(anyone{}, fmt.Sprint(user, i))
			e.Body = make([]byte, 1<<10)
			if user != "" {
				e.Owner = &store.Owner{User: user}
			}
			_ = m.Put(bg, e)
		}
	}
	fill("", 10_000)
	within("public pages")
	storetest.Eventually(t, "public pages to have what personal ones leave", func() bool {
		return m.Stats().Bytes > bound/10*9
	})
	fill("ana", 10_000)
	within("both")
	s := m.Stats()
	if s.Personal == 0 || s.PersonalBytes < bound/8 || s.Evictions == 0 || s.Entries <= s.Personal {
		t.Errorf("%+v", s)
	}
	if e, _ := m.Lookup(bg, storetest.Key("none")); e != nil {
		t.Error(e)
	}
}

func TestMemoryOff(t *testing.T) {
	m := store.NewMemory(0, anyone{}, nil)
	defer m.Close()
	_ = m.Put(bg, storetest.Page(anyone{}, "page"))
	if e, _ := m.Lookup(bg, storetest.Key("page")); e != nil || m.Stats() != (store.MemoryStats{}) {
		t.Errorf("%v, %+v", e, m.Stats())
	}
	_ = m.Delete(bg, storetest.Key("page"))
}

func TestMemoryKeepsWhatIsReadAgainstAFlood(t *testing.T) {
	m := store.NewMemory(1<<20, anyone{}, nil)
	defer m.Close()
	put := func(name string) {
		e := storetest.Page(anyone{}, name)
		e.Body = make([]byte, 1<<10)
		_ = m.Put(bg, e)
	}
	const popular, asked = 100, 50_000
	hits := 0
	for i := range asked {
		put(fmt.Sprint("flood", i)) // never asked for again
		name := fmt.Sprint("popular", i%popular)
		if e, _ := m.Lookup(bg, storetest.Key(name)); e != nil {
			hits++
		} else {
			put(name)
		}
	}
	if hits < asked*9/10 {
		t.Errorf("%d hits of %d", hits, asked)
	}
}

func TestMemoryKeepsToTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := store.NewMemory(1<<20, anyone{}, time.Now)
		defer m.Close()
		for _, keep := range []time.Duration{time.Second, time.Minute, time.Hour} {
			e := storetest.Page(anyone{}, fmt.Sprint(keep))
			e.Keep = keep
			_ = m.Put(bg, e)
		}
		has := func(keep time.Duration) bool {
			e, _ := m.Lookup(bg, storetest.Key(fmt.Sprint(keep)))
			return e != nil
		}
		for _, keep := range []time.Duration{time.Second, time.Minute, time.Hour} {
			time.Sleep(time.Until(start.Add(keep - time.Millisecond)))
			if !has(keep) {
				t.Errorf("%v: gone too soon", keep)
			}
			time.Sleep(time.Millisecond)
			if has(keep) {
				t.Errorf("%v: kept too long", keep)
			}
		}
		// The purge log remembers no longer than MaxLife.
		e := storetest.Page(anyone{}, "long")
		e.Keep = 90 * 24 * time.Hour
		_ = m.Put(bg, e)
		if e.Keep != cachepolicy.MaxLife {
			t.Errorf("kept for %v", e.Keep)
		}
	})
}

// start is when time begins in a bubble.
var start = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// TestMemoryWeighsWhatItCosts compares the weight with what the runtime says.
func TestMemoryWeighsWhatItCosts(t *testing.T) {
	const n = 20_000
	for _, fields := range []int{2, 8, 16} {
		m := store.NewMemory(1<<30, anyone{}, nil)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		own := uint64(0)
		for i := range n {
			e := storetest.Page(anyone{}, fmt.Sprint(i))
			h := e.Response.Fields.Header()
			for f := len(h); f < fields; f++ {
				h[fmt.Sprint("Header-", f)] = []string{"value value value"}
			}
			e.Response.Fields = cachepolicy.Pack(h)
			e.Body = make([]byte, 512)
			own += uint64(len(e.Body) + len(e.URL) + len(e.Response.Fields.String()) + len(strings.Join(e.Response.Tags, "")))
			_ = m.Put(bg, e)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		cost, weight := after.HeapAlloc-before.HeapAlloc, m.Stats().Bytes
		t.Logf("%2d fields: %d bytes a page, of which its own %d; weighed as %d", fields, cost/n, own/n, weight/n)
		if cost > own+600*n { // CACHING.md §8
			t.Errorf("%d fields: %d bytes a page beside its own", fields, (cost-own)/n)
		}
		if weight < cost*19/20 || weight > cost*13/10 {
			t.Errorf("%d fields: weighed as %d bytes, costs %d", fields, weight/n, cost/n)
		}
		m.Close()
	}
}
