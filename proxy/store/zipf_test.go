package store

import (
	"encoding/binary"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/maypok86/otter/v2"

	"umbral/cachepolicy"
)

type alive struct{}

func (alive) Judge(*Entry) Life { return Alive }

// TestHitRatioIsOtters reads pages by Zipf's law through the memory tier, and
// through a plain cache of the same bound and weights: the tier's own work
// (two caches, expiry, the roll) costs no hits.
func TestHitRatioIsOtters(t *testing.T) {
	const bound, pages, reads = 2 << 20, 10_000, 60_000
	tier := NewMemory(bound, alive{}, nil)
	defer tier.Close()
	plain := otter.Must(&otter.Options[cachepolicy.Key, *Entry]{
		MaximumWeight: bound,
		Weigher:       func(_ cachepolicy.Key, e *Entry) uint32 { return uint32(weight(e)) },
	})
	content := make([]byte, 2000)
	page := func(n uint64) *Entry {
		e := &Entry{URL: "site.test/page/" + strconv.FormatUint(n, 10), Keep: time.Hour, Response: &cachepolicy.Stored{Status: 200}}
		binary.BigEndian.PutUint64(e.Key[:], n)
		e.Body = content[:n*7919%2000]
		return e
	}
	zipf := rand.NewZipf(rand.New(rand.NewPCG(7, 8)), 1.01, 10, pages-1)
	var own, otters int
	for range reads {
		e := page(zipf.Uint64())
		if got, _ := tier.Lookup(t.Context(), e.Key); got != nil {
			own++
		} else if err := tier.Put(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if _, ok := plain.GetIfPresent(e.Key); ok {
			otters++
		} else {
			plain.Set(e.Key, e)
		}
	}
	percent := func(n int) float64 { return 100 * float64(n) / reads }
	t.Logf("hits: the tier %.1f %%, otter alone %.1f %%", percent(own), percent(otters))
	if percent(own) < percent(otters)-2 {
		t.Errorf("hits: the tier %.1f %%, otter alone %.1f %%", percent(own), percent(otters))
	}
	if percent(otters) < 20 || percent(otters) > 95 {
		t.Error("this load shows nothing")
	}
}
