package store_test

import (
	"context"
	"testing"
	"time"

	"umbral/cachepolicy"
	"umbral/proxy/store"
	"umbral/proxy/store/storetest"
)

func open(t *testing.T, url string) *store.Tiered {
	c, err := store.Connect(store.Address{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(store.Options{Client: c, MemoryBytes: 1 << 20, Prefix: "t"})
	if err != nil {
		t.Fatal(err)
	}
	s.Start(context.Background())
	t.Cleanup(func() { s.Close(context.Background()); c.Close() })
	return s
}

func TestSmoke(t *testing.T) {
	r := storetest.StartRedis(t)
	emb, err := store.StartEmbedded(0)
	if err != nil {
		t.Fatal(err)
	}
	defer emb.Close()
	for _, url := range []string{r.URL, emb.URL()} {
		a, b, c := open(t, url), open(t, url), open(t, url)
		ctx := context.Background()
		e := &store.Entry{Key: cachepolicy.Key{1}, Response: &cachepolicy.Stored{Status: 200, Tags: []string{"x"}}, Body: []byte("hi"),
			URL: "h/", Position: a.Log().Position(), Keep: time.Minute}
		if err := a.Put(ctx, e); err != nil {
			t.Fatal(err)
		}
		storetest.Eventually(t, "b to see it", func() bool { x, err := b.Lookup(ctx, e.Key); return x != nil && err == nil })
		for range 5 {
			start := time.Now()
			rec, err := c.Log().Append(ctx, []store.Selector{{Tag: "x"}}, 2*time.Second)
			t.Logf("%+v %v %v", rec, err, time.Since(start))
		}
		for i, s := range []*store.Tiered{a, b, c} {
			x, err := s.Lookup(ctx, e.Key)
			t.Log(i, x, err, s.Log().Position())
		}
	}
}
