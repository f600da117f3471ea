package store

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"umbral/cachepolicy"
)

// Overhead is what an entry costs in memory beside its own bytes (URL, header
// and other strings, body) and its response: its struct, the cache's
// node and its row in the roll. It is measured, and counted against the bound.
const Overhead = 330

// What a response costs beside its strings: its struct; and each string in a
// list.
const (
	storedOverhead = 224
	ownerOverhead  = 32
	perString      = 20 // string header and rounding
)

// memory is the tier in this process: bounded by bytes, W-TinyLFU, each entry
// for its own time. Personal pages have a cache of their own and at most a
// quarter of the bytes; what they do not use the public ones have.
//
// It has no timers and no goroutines of its own: the cache's one clean-up a
// second is all that an idle tier costs.
type memory struct {
	public, personal *otter.Cache[cachepolicy.Key, *Entry]
	bound            uint64
	personalBound    uint64
	lent             atomic.Uint64 // of the public tier's maximum, in steps
	evictions        atomic.Uint64
	now              func() time.Time
	roll             *roll
}

// newMemory makes a tier of bound bytes. With 0 it holds nothing.
func newMemory(bound int64, now func() time.Time) *memory {
	m := &memory{now: now, roll: newRoll()}
	if bound <= 0 {
		return m
	}
	m.bound = uint64(bound)
	m.personalBound = m.bound / 4
	m.public = m.newCache(m.bound)
	m.personal = m.newCache(m.personalBound)
	return m
}

func (m *memory) newCache(bound uint64) *otter.Cache[cachepolicy.Key, *Entry] {
	return otter.Must(&otter.Options[cachepolicy.Key, *Entry]{
		MaximumWeight: max(bound, 1),
		Weigher:       func(_ cachepolicy.Key, e *Entry) uint32 { return uint32(min(weight(e), 1<<32-1)) },
		ExpiryCalculator: otter.ExpiryWritingFunc(func(x otter.Entry[cachepolicy.Key, *Entry]) time.Duration {
			return max(m.left(x.Value), 1)
		}),
		OnAtomicDeletion: func(d otter.DeletionEvent[cachepolicy.Key, *Entry]) {
			m.roll.remove(d.Value)
			if d.WasEvicted() && d.Cause != otter.CauseExpiration {
				m.evictions.Add(1)
			}
		},
		Clock: tierClock(m.now),
	})
}

// tierClock lets the cache read the edge's clock.
type tierClock func() time.Time

func (c tierClock) NowNano() int64                        { return c().UnixNano() }
func (c tierClock) Tick(d time.Duration) <-chan time.Time { return time.Tick(d) }

// left is how long e may still be kept. The clock that stored it may be
// another edge's and ahead of ours: no entry is kept for longer than Keep.
func (m *memory) left(e *Entry) time.Duration {
	return min(e.Keep, e.StoredAt().Add(e.Keep).Sub(m.now()))
}

// weight is what e costs in bytes.
func weight(e *Entry) int {
	n := Overhead + len(e.URL) + len(e.Body)
	if o := e.Owner; o != nil {
		n += ownerOverhead + len(o.Session) + len(o.User)
	}
	if x := e.Index; x != nil {
		n += len(x.NoVarySearch)
		for _, v := range x.Variants {
			n += 48 + len(v.ETag)
		}
		for _, set := range x.Vary {
			n += 24 + stringsWeight(set)
		}
	}
	s := e.Response
	if s == nil {
		return n
	}
	return n + storedOverhead + len(s.Fields.String()) + stringsWeight(s.Tags) + stringsWeight(s.VaryFields) + stringsWeight(s.VaryValues) +
		len(s.NoVarySearch) + len(s.ETag)
}

func stringsWeight(list []string) int {
	n := perString * len(list)
	for _, s := range list {
		n += len(s)
	}
	return n
}

// lookup gives what key holds, or nil. It does not judge.
func (m *memory) lookup(key cachepolicy.Key) *Entry {
	if m.bound == 0 {
		return nil
	}
	if e, ok := m.public.GetIfPresent(key); ok {
		return e
	}
	if m.personal.EstimatedSize() == 0 {
		return nil
	}
	e, _ := m.personal.GetIfPresent(key)
	return e
}

// put keeps e until its time is over or the tier has better things to keep. It
// reports false for what the tier could never hold.
func (m *memory) put(e *Entry) bool {
	if m.bound == 0 || m.left(e) <= 0 {
		return false
	}
	m.roll.add(e)
	if !e.personal() {
		m.public.Set(e.Key, e)
		return uint64(weight(e)) <= m.bound
	}
	m.personal.Set(e.Key, e)
	m.lend()
	return uint64(weight(e)) <= m.personalBound
}

// lend gives the public pages what the personal ones leave, in steps of a
// sixty-fourth of the tier, so that it seldom changes.
func (m *memory) lend() {
	step := max(m.bound/64, 1)
	used := (m.personal.WeightedSize() + step - 1) / step
	if m.lent.Swap(used) != used {
		m.public.SetMaximum(m.bound - min(used*step, m.personalBound))
	}
}

// forget drops key's entry if it is e still: never a newer one that came in
// between.
func (m *memory) forget(e *Entry) {
	if m.bound == 0 {
		return
	}
	drop := func(old *Entry) (*Entry, otter.ComputeOp) {
		if old == e {
			return nil, otter.InvalidateOp
		}
		return old, otter.CancelOp
	}
	if !e.personal() {
		m.public.ComputeIfPresent(e.Key, drop)
		return
	}
	m.personal.ComputeIfPresent(e.Key, drop)
}

func (m *memory) remove(key cachepolicy.Key) {
	if m.bound == 0 {
		return
	}
	m.public.Invalidate(key)
	m.personal.Invalidate(key)
}

func (m *memory) close() {
	if m.bound == 0 {
		return
	}
	m.public.StopAllGoroutines()
	m.personal.StopAllGoroutines()
}

// MemoryStats are the figures of the memory tier.
type MemoryStats struct {
	Entries, Personal    int    // of Entries, those that are one person's
	Bytes, PersonalBytes uint64 // Overhead included
	Bound                uint64 // 0: the tier is off
	Evictions            uint64 // pushed out by better ones, since the start
}

func (m *memory) stats() MemoryStats {
	if m.bound == 0 {
		return MemoryStats{}
	}
	personal := m.personal.EstimatedSize()
	return MemoryStats{
		Entries: m.public.EstimatedSize() + personal, Personal: personal,
		Bytes:         m.public.WeightedSize() + m.personal.WeightedSize(),
		PersonalBytes: m.personal.WeightedSize(),
		Bound:         m.bound, Evictions: m.evictions.Load(),
	}
}

// Memory is the memory tier alone, as a Store.
type Memory struct {
	tier  *memory
	judge Judge
}

// Judge says what the purge log makes of an entry.
type Judge interface{ Judge(e *Entry) Life }

// NewMemory makes a memory tier of bound bytes that asks judge. Now is the
// clock, time.Now if nil. Close ends it.
func NewMemory(bound int64, judge Judge, now func() time.Time) *Memory {
	if now == nil {
		now = time.Now
	}
	return &Memory{tier: newMemory(bound, now), judge: judge}
}

// Lookup implements [Store]; it makes no I/O and no error.
func (m *Memory) Lookup(_ context.Context, key cachepolicy.Key) (*Entry, error) {
	return m.Recall(key), nil
}

// Recall implements [Store].
func (m *Memory) Recall(key cachepolicy.Key) *Entry {
	e := m.tier.lookup(key)
	if e != nil && m.judge.Judge(e) == Dead {
		m.tier.forget(e)
		return nil
	}
	return e
}

// Put implements [Store].
func (m *Memory) Put(_ context.Context, e *Entry) error {
	if m.judge.Judge(e) != Dead {
		e.stamp(m.tier.now())
		m.tier.put(e)
	}
	return nil
}

// Delete implements [Store].
func (m *Memory) Delete(_ context.Context, key cachepolicy.Key) error {
	m.tier.remove(key)
	return nil
}

// Reload implements [Store]: no other edge stores here.
func (m *Memory) Reload(context.Context, *Entry) {}

// Stats gives the tier's figures.
func (m *Memory) Stats() MemoryStats { return m.tier.stats() }

// Close ends the tier's clean-up.
func (m *Memory) Close() { m.tier.close() }

// stamp makes e ready to be kept, at most for as long as the purge log
// remembers.
func (e *Entry) stamp(now time.Time) {
	e.Stored = now.UnixNano()
	e.Keep = min(e.Keep, cachepolicy.MaxLife)
}
