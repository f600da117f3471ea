package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"umbral/cachepolicy"
)

// TestRollHoldsWhatTheTierHolds puts, replaces, removes and evicts at random
// and compares the roll with the cache itself.
func TestRollHoldsWhatTheTierHolds(t *testing.T) {
	m := newMemory(200<<10, time.Now)
	defer m.close()
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		key := cachepolicy.Key{byte(random.IntN(256)), byte(random.IntN(4))}
		switch random.IntN(8) {
		case 0:
			m.remove(key)
		case 1:
			if e := m.lookup(key); e != nil {
				m.forget(e)
			}
		default:
			e := &Entry{Key: key, Response: &cachepolicy.Stored{}, Stored: time.Now().UnixNano(), Keep: time.Hour}
			e.URL = fmt.Sprintf("host/%x", key[:2])
			if random.IntN(4) == 0 {
				e.Owner, e.Response.Scope = &Owner{User: "u"}, cachepolicy.PerUser
			}
			m.put(e)
		}
	}
	m.public.CleanUp()
	m.personal.CleanUp()
	held := map[*Entry]bool{}
	for e := range m.public.Values() {
		held[e] = true
	}
	for e := range m.personal.Values() {
		held[e] = true
	}
	if len(held) == 0 || m.evictions.Load() == 0 {
		t.Fatal("nothing is held, or nothing was pushed out")
	}
	for share := range 3 {
		m.roll.each([]Selector{{All: true}}, share, 3, func(some []*Entry) {
			for _, e := range some {
				if !held[e] {
					t.Errorf("%s is in the roll alone, or twice", e.URL)
				}
				delete(held, e)
			}
		})
	}
	for e := range held {
		t.Errorf("%s is in the cache alone", e.URL)
	}
	found := 0
	m.roll.each([]Selector{{URL: "host/0102"}, {User: "nobody"}}, 0, 1, func(some []*Entry) {
		for _, e := range some {
			if e.URL == "host/0102" {
				found++
			}
		}
	})
	if want := m.lookup(cachepolicy.Key{1, 2}); (want != nil) != (found == 1) {
		t.Errorf("by its URL the roll finds %d, the cache %v", found, want)
	}
}

// TestMatchSeesThroughThePurgeItself counts after a purge what it has hit, and
// not what an earlier one of the same name had killed.
func TestMatchSeesThroughThePurgeItself(t *testing.T) {
	x := newPurgeIndex()
	l := &Log{index: x}
	l.head.Store(&head{epoch: 1, number: 7})
	entry := func(number uint64) *Entry {
		return &Entry{URL: "host/a", Position: Position{1, number}, Response: &cachepolicy.Stored{Tags: []string{"t", "u"}}}
	}
	x.add([]Selector{{Tag: "t"}}, 5)
	old, fresh := entry(4), entry(5)
	at := l.Position()
	x.add([]Selector{{Tag: "t"}}, 8)
	x.add([]Selector{{Tag: "u", Soft: true}}, 9)
	l.head.Store(&head{epoch: 1, number: 9})
	if got := l.aliveAt([]*Entry{old, fresh}, at); !slices.Equal(got, []*Entry{fresh}) {
		t.Errorf("alive before the purge: %v", got)
	}
	x.floor(6)
	if got := l.aliveAt([]*Entry{fresh, entry(6)}, at); len(got) != 1 || got[0] == fresh {
		t.Errorf("alive before the purge, above the floor: %v", got)
	}
	if l.Judge(fresh) != Dead {
		t.Error("the purge itself does not hold")
	}
	if len(l.aliveAt([]*Entry{entry(6)}, Position{2, 6})) > 0 {
		t.Error("what another epoch stored counts as alive")
	}
}
