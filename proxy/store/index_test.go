package store_test

import (
	"fmt"
	"testing"

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
