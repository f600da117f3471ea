package store_test

import (
	"bytes"
	"fmt"
	"strconv"
	"testing"
	"time"

	"umbral/cachepolicy"
	"umbral/proxy/store"
	"umbral/proxy/store/storetest"
)

// benchPage is a page as an app's list view is: 16 KiB of HTML.
func benchPage(s *edge, name string) *store.Entry {
	e := storetest.Page(s.Log(), name)
	e.Response.Fields = e.Response.Fields.With("Content-Type", "text/html; charset=utf-8")
	var b bytes.Buffer
	for i := 0; b.Len() < 16<<10; i++ {
		fmt.Fprintf(&b, "<li><a href=\"/certificado/%d\">Certificado %d</a></li>\n", i*i*7919, i)
	}
	e.Body = b.Bytes()
	return e
}

func TestMemoryHitAllocatesNothing(t *testing.T) {
	s := startEdge(t, single(storetest.StartRedis(t)), nil)
	mine := benchPage(s, "mine")
	mine.Owner = &store.Owner{User: "u"}
	put(t, s, benchPage(s, "page"))
	put(t, s, mine)
	for i := range 1000 {
		purge(t, s, 0, store.Selector{Tag: strconv.Itoa(i)})
	}
	for _, name := range []string{"page", "mine"} {
		key := storetest.Key(name)
		n := testing.AllocsPerRun(1000, func() {
			if e, _ := s.Lookup(bg, key); e == nil || s.Log().Judge(e) != store.Alive {
				t.Fatal("no hit")
			}
		})
		if n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkMemoryHit(b *testing.B) {
	s := startEdge(b, single(storetest.StartRedis(b)), func(o *store.Options) { o.MemoryBytes = 256 << 20 })
	keys := make([]cachepolicy.Key, 1000)
	for i := range keys {
		e := benchPage(s, strconv.Itoa(i))
		keys[i] = e.Key
		put(b, s, e)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if e, _ := s.Lookup(bg, keys[i%len(keys)]); e == nil {
				b.Error("no hit")
				return
			}
		}
	})
}

func BenchmarkPersonalMemoryHit(b *testing.B) {
	s := startEdge(b, single(storetest.StartRedis(b)), nil)
	e := benchPage(s, "mine")
	e.Owner = &store.Owner{User: "u"}
	put(b, s, e)
	b.ReportAllocs()
	for b.Loop() {
		if got, _ := s.Lookup(bg, e.Key); got == nil {
			b.Fatal("no hit")
		}
	}
}

// BenchmarkJudge is the judgement alone: of an entry judged since the newest
// record, and of one that has to be compared with ten thousand live records.
func BenchmarkJudge(b *testing.B) {
	s := startEdge(b, single(storetest.StartRedis(b)), nil)
	for i := range 1000 {
		list := make([]store.Selector, 10)
		for j := range list {
			list[j] = store.Selector{Tag: fmt.Sprint(i, " ", j)}
		}
		list[0] = store.Selector{Prefix: fmt.Sprintf("example.org/%*d", 1+i%20, i)}
		purge(b, s, 0, list...)
	}
	e := benchPage(s, "page")
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.Log().Judge(e)
		}
	})
	b.Run("anew", func(b *testing.B) {
		old := *e.Response
		p := e.Position
		p.Number -= 1
		b.ReportAllocs()
		for b.Loop() {
			fresh := store.Entry{Response: &old, URL: e.URL, Position: p}
			s.Log().Judge(&fresh)
		}
	})
}

func BenchmarkRedisHit(b *testing.B) {
	s := startEdge(b, single(storetest.StartRedis(b)), func(o *store.Options) { o.MemoryBytes = 0 })
	e := benchPage(s, "page")
	put(b, s, e)
	storetest.Eventually(b, "the write", func() bool { return s.Stats().Queued == 0 })
	sent := 0
	s.client.AddHook(counter{count: func(name string) {
		if name == "get" {
			sent++
		}
	}})
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if got, err := s.Lookup(bg, e.Key); got == nil || err != nil {
			b.Fatal(got, err)
		}
		n++
	}
	if sent != n {
		b.Errorf("%d commands for %d hits", sent, n)
	}
	b.ReportMetric(float64(sent)/float64(n), "commands/op")
}

func BenchmarkPut(b *testing.B) {
	s := startEdge(b, single(storetest.StartRedis(b)), nil)
	pages := make([]*store.Entry, 1000)
	for i := range pages {
		pages[i] = benchPage(s, strconv.Itoa(i))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p := pages[i%len(pages)]
		e := &store.Entry{Key: p.Key, Response: p.Response, Body: p.Body, URL: p.URL, Position: p.Position, Keep: time.Minute}
		_ = s.Put(bg, e)
	}
}

// BenchmarkPurge is a purge until the last of three edges has said that it
// holds, of one page and of many.
func BenchmarkPurge(b *testing.B) {
	for _, pages := range []int{1, 100_000} {
		b.Run(fmt.Sprint(pages, " pages"), func(b *testing.B) {
			list := threeEdges(b, single(storetest.StartRedis(b)), func(o *store.Options) { o.MemoryBytes = 400 << 20 })
			for _, s := range list {
				for i := range pages {
					put(b, s, storetest.Page(s.Log(), strconv.Itoa(i)))
				}
			}
			for _, s := range list {
				storetest.Eventually(b, "writes to end", func() bool { return s.Stats().Queued == 0 })
			}
			for b.Loop() {
				if r := purge(b, list[0], 10*time.Second, store.Selector{Tag: "all-of-them"}); !r.Complete {
					b.Fatalf("%+v", r)
				}
			}
		})
	}
}

// BenchmarkMatch is what a purge costs beside itself: counting what it has hit.
func BenchmarkMatch(b *testing.B) {
	s := startEdge(b, single(storetest.StartRedis(b)), func(o *store.Options) { o.MemoryBytes = 400 << 20 })
	const pages = 100_000
	for i := range pages {
		put(b, s, storetest.Page(s.Log(), strconv.Itoa(i)))
	}
	storetest.Eventually(b, "writes to end", func() bool { return s.Stats().Queued == 0 })
	for tag, want := range map[string]int{"7": 1, "all-of-them": pages} {
		b.Run(fmt.Sprint(want, " of ", pages), func(b *testing.B) {
			for b.Loop() {
				if n, _ := s.Match([]store.Selector{{Tag: tag}}, 0)(); n != want {
					b.Fatal(n)
				}
			}
		})
	}
}
