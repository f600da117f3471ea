package store

import (
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// An edge is waited for as long as it may serve by what it was last told: by
// the clock of the server that told it, and where another has taken that one's
// place, which may know less of it, for a whole lag limit from then on.
func TestMembersOutliveTheirServer(t *testing.T) {
	const limit = 2 * time.Second
	synctest.Test(t, func(t *testing.T) {
		var s members
		s.init()
		begin := time.Now()
		clock := func() int64 { return time.Since(begin).Milliseconds() }
		live := func() []string {
			l, _, _, _ := s.snapshot(limit)
			return slices.Sorted(maps.Keys(l))
		}
		hash := func(seen map[string]int64) map[string]member {
			edges := map[string]member{}
			for name, at := range seen {
				edges[name] = member{seen: at}
			}
			return edges
		}
		want := func(when string, names ...string) {
			t.Helper()
			if got := live(); !slices.Equal(got, names) {
				t.Errorf("%s: live are %q, want %q", when, got, names)
			}
		}
		time.Sleep(10 * time.Second)
		s.replace(hash(map[string]int64{"a": 10_000, "b": 9_000, "gone": 7_000}), clock(), "one")
		want("at first nothing is known of when they heard", "a", "b", "gone")
		time.Sleep(limit + time.Millisecond)
		s.replace(hash(map[string]int64{"a": 12_000, "b": 9_000, "gone": 7_000}), clock(), "one")
		want("of the same server the hash says it", "a")

		// It dies. What comes back lacks a's last word, and all of b's.
		time.Sleep(time.Second)
		s.replace(hash(map[string]int64{"a": 10_500}), clock(), "two")
		want("of another server", "a", "b", "gone")
		time.Sleep(limit)
		want("a lag limit later", "a", "b", "gone")
		time.Sleep(time.Millisecond)
		s.replace(hash(map[string]int64{"a": 10_500}), clock(), "two")
		want("after it")
		s.message("1 1 two b")
		want("it speaks", "b")
	})
}
