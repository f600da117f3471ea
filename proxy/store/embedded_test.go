package store_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"umbral/proxy/store"
	"umbral/proxy/store/storetest"
)

func startEmbedded(t *testing.T, bound int64) (*store.Embedded, store.Address) {
	t.Helper()
	e, err := store.StartEmbedded(bound)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e, store.Address{URL: e.URL()}
}

func TestEmbedded(t *testing.T) {
	t.Run("is on loopback", func(t *testing.T) {
		e, _ := startEmbedded(t, 0)
		if !strings.HasPrefix(e.URL(), "redis://127.0.0.1:") {
			t.Error(e.URL())
		}
	})
	t.Run("carries the purge log and leases of three edges", func(t *testing.T) {
		_, a := startEmbedded(t, 0)
		list := threeEdges(t, a, nil)
		shared(t, "page", list[0], list[1], list[2])
		receipt := purge(t, list[1], 10*time.Second, store.Selector{Prefix: "/pa"})
		if !receipt.Complete || len(receipt.Edges) != 3 || has(list[2], "page") {
			t.Errorf("%+v", receipt)
		}
		lease, held, err := list[0].Leases().Acquire(bg, storetest.Key("x"), time.Minute)
		if !held || err != nil {
			t.Fatal(held, err)
		}
		if _, held, _ := list[1].Leases().Acquire(bg, storetest.Key("x"), time.Minute); held {
			t.Error("held twice")
		}
		lease.Release(true)
		if _, err := list[1].Leases().Wait(bg, storetest.Key("x")); err != nil {
			t.Error(err)
		}
	})
	t.Run("trims the purge log", func(t *testing.T) {
		_, a := startEmbedded(t, 0)
		s := startEdge(t, a, func(o *store.Options) { o.MaxPurges = 20 })
		old := storetest.Page(s.Log(), "old")
		for i := range 100 {
			purge(t, s, 0, store.Selector{Tag: fmt.Sprint(i)})
		}
		if s.Log().Judge(old) != store.Dead {
			t.Error("a forgotten purge lets a page live")
		}
	})
	t.Run("lets time pass", func(t *testing.T) {
		_, a := startEmbedded(t, 0)
		c := connect(t, a)
		c.Set(bg, "x", "y", 300*time.Millisecond)
		storetest.Eventually(t, "x to expire", func() bool { return c.Exists(bg, "x").Val() == 0 })
	})
	t.Run("forgets pages beyond its bound, and nothing else", func(t *testing.T) {
		_, a := startEmbedded(t, 1<<20)
		s := startEdge(t, a, func(o *store.Options) { o.MemoryBytes = 0 })
		c := connect(t, a)
		c.HSet(bg, "test:edge:s:session", "a", "b")
		for round := range 20 {
			for i := range 20 {
				e := storetest.Page(s.Log(), fmt.Sprint(round, " ", i))
				e.Body = bytes.Repeat([]byte{1}, 10<<10)
				e.Response.Fields = e.Response.Fields.With("Content-Type", "image/png")
				_ = s.Put(bg, e) // may say that there is no room yet
			}
			storetest.Eventually(t, "room for more", func() bool {
				_, err := c.Set(bg, "test:edge:c:probe", "1", time.Minute).Result()
				return err == nil && s.Stats().Queued == 0
			})
		}
		storetest.Eventually(t, "pages to go", func() bool { return c.DBSize(bg).Val() < 110 })
		if c.Exists(bg, "test:edge:s:session", "test:edge:{log}:purges").Val() != 2 {
			t.Error("forgot more than pages")
		}
	})
}
