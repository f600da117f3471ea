package store_test

import (
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"umbral/cachepolicy"
	"umbral/proxy/store"
	"umbral/proxy/store/storetest"
)

// TestMatchCountsResponses: not what leads to them; and by another URL those
// that a No-Vary-Search has answer it.
func TestMatchCountsResponses(t *testing.T) {
	r := storetest.StartRedis(t)
	a := startEdge(t, single(r), nil)
	for i := range 3 {
		e := storetest.Page(a.Log(), fmt.Sprint(i))
		e.URL = fmt.Sprint("example.org/a?x=", i)
		if i < 2 {
			e.Response.NoVarySearch = "params"
		}
		put(t, a, e)
	}
	index := storetest.Page(a.Log(), "index")
	index.URL, index.Response, index.Body, index.Index = "example.org/a?x=1", nil, nil, &cachepolicy.Index{NoVarySearch: "params"}
	put(t, a, index)
	for _, row := range []struct {
		selectors []store.Selector
		want      int
	}{
		{[]store.Selector{{URL: "example.org/a?x=1"}}, 2},
		{[]store.Selector{{URL: "/a?x=9"}}, 2},
		{[]store.Selector{{URL: "example.org/a?x=2"}}, 3},
		{[]store.Selector{{URL: "example.org/a?x=1"}, {URL: "example.org/a?x=2"}, {Tag: "0"}}, 3},
		{[]store.Selector{{Prefix: "example.org/a?x=9"}}, 2},
		{[]store.Selector{{URL: "example.org/b"}}, 0},
		{[]store.Selector{{All: true}}, 3},
	} {
		if n, _ := a.Match(row.selectors, 0)(); n != row.want {
			t.Errorf("%+v matches %d, want %d", row.selectors, n, row.want)
		}
	}
}

// TestAnIndexOutlastsWhatOtherEdgesKnow has an edge replace an index that
// another has put for longer.
func TestAnIndexOutlastsWhatOtherEdgesKnow(t *testing.T) {
	r := storetest.StartRedis(t)
	a, b := startEdge(t, single(r), nil), startEdge(t, single(r), nil)
	third := startEdge(t, single(r), func(o *store.Options) { o.MemoryBytes = 0 })
	key := storetest.Key("index")
	index := func(e *edge, keep time.Duration) {
		ix := storetest.Page(e.Log(), "index")
		ix.Response, ix.Body, ix.Index, ix.Keep = nil, nil, &cachepolicy.Index{Vary: [][]string{{"foo"}}}, keep
		put(t, e, ix)
		storetest.Eventually(t, "writes to end", func() bool { return e.Stats().Queued == 0 })
	}
	for range 5 {
		index(a, time.Hour)
		index(b, time.Minute)
		left, err := r.Client().PTTL(bg, "test:edge:c:"+base64.RawURLEncoding.EncodeToString(key[:])).Result()
		if err != nil || left < 59*time.Minute {
			t.Errorf("Redis keeps it for %v, %v", left, err)
		}
		if e, err := third.Lookup(bg, key); err != nil || e == nil || time.Until(e.StoredAt().Add(e.Keep)) < 59*time.Minute {
			t.Errorf("found %+v, %v", e, err)
		}
	}
}
