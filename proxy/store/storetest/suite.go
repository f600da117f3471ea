package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"umbral/cachepolicy"
	"umbral/proxy/store"
)

// Subject is a store under test and the purge log that it obeys.
type Subject struct {
	Store store.Store
	Log   store.PurgeLog
}

// Key makes a key out of a name.
func Key(name string) cachepolicy.Key { return sha256.Sum256([]byte(name)) }

// Page makes a public response stored under name for a minute, whose fetch
// began where log stands now.
func Page(log store.PurgeLog, name string) *store.Entry {
	now := time.Now().UTC().Round(0)
	return &store.Entry{
		Key: Key(name), URL: "example.org/" + name, Body: []byte("body of " + name),
		Position: log.Position(), Keep: time.Minute,
		Response: &cachepolicy.Stored{
			Status: 200, Fields: cachepolicy.Pack(http.Header{"Content-Type": {"text/plain"}, "X-Two": {"a", "b"}}),
			ResponseTime: cachepolicy.InstantOf(now), Lifetime: cachepolicy.Lifetime{Fresh: time.Minute},
			LastModified: cachepolicy.InstantOf(time.Unix(0, 0)), Tags: []string{name, "all-of-them"}, ETag: `"x"`,
		},
	}
}

// Run is the suite that every store passes. Open makes a store that is empty
// and ready.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	ctx := context.Background()
	put := func(t *testing.T, s Subject, e *store.Entry) {
		t.Helper()
		if err := s.Store.Put(ctx, e); err != nil {
			t.Fatalf("Put: %v", err)
		}
	}
	find := func(t *testing.T, s Subject, name string) *store.Entry {
		t.Helper()
		e, err := s.Store.Lookup(ctx, Key(name))
		if err != nil {
			t.Fatalf("Lookup: %v", err)
		}
		return e
	}
	purge := func(t *testing.T, s Subject, selectors ...store.Selector) {
		t.Helper()
		if _, err := s.Log.Append(ctx, selectors, 0); err != nil {
			t.Fatalf("Append: %v", err)
		}
	}

	// Stores of different cases share nothing, and closing one takes a while.
	run := func(name string, test func(*testing.T)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
	run("nothing is nil and no error", func(t *testing.T) {
		if e := find(t, open(t), "none"); e != nil {
			t.Error(e)
		}
	})
	run("gives back what was put", func(t *testing.T) {
		s := open(t)
		e := Page(s.Log, "a")
		put(t, s, e)
		got := find(t, s, "a")
		if got == nil {
			t.Fatal("not found")
		}
		if !reflect.DeepEqual(got.Response, e.Response) || !bytes.Equal(got.Body, e.Body) ||
			got.URL != e.URL || got.Position != e.Position || got.Keep != e.Keep || got.Stored == 0 {
			t.Errorf("put %+v\ngot %+v", e.Response, got.Response)
		}
	})
	run("gives back an index", func(t *testing.T) {
		s := open(t)
		e := Page(s.Log, "a")
		e.Response, e.Body = nil, nil
		e.Index = &cachepolicy.Index{Vary: [][]string{{"accept-language"}, nil}, Variants: []cachepolicy.Variant{{ETag: `"1"`, Key: cachepolicy.Key{7}}}}
		put(t, s, e)
		if got := find(t, s, "a"); got == nil || !reflect.DeepEqual(got.Index, e.Index) {
			t.Errorf("got %+v", got)
		}
	})
	run("gives back a large body", func(t *testing.T) {
		s := open(t)
		for _, kind := range []string{"text/html", "image/png"} {
			e := Page(s.Log, "large")
			e.Response.Fields = e.Response.Fields.With("Content-Type", kind)
			e.Body = bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
			put(t, s, e)
			if got := find(t, s, "large"); got == nil || !bytes.Equal(got.Body, e.Body) {
				t.Errorf("%s: got another body", kind)
			}
		}
	})
	run("replaces", func(t *testing.T) {
		s := open(t)
		put(t, s, Page(s.Log, "a"))
		e := Page(s.Log, "a")
		e.Body = []byte("newer")
		put(t, s, e)
		if got := find(t, s, "a"); got == nil || string(got.Body) != "newer" {
			t.Errorf("got %+v", got)
		}
	})
	run("deletes one key", func(t *testing.T) {
		s := open(t)
		put(t, s, Page(s.Log, "a"))
		put(t, s, Page(s.Log, "b"))
		if err := s.Store.Delete(ctx, Key("a")); err != nil {
			t.Fatal(err)
		}
		Eventually(t, "a to go", func() bool { return find(t, s, "a") == nil })
		if find(t, s, "b") == nil {
			t.Error("b went too")
		}
	})
	run("keeps for Keep and no longer", func(t *testing.T) {
		s := open(t)
		long, short := Page(s.Log, "long"), Page(s.Log, "short")
		short.Keep = 60 * time.Millisecond
		put(t, s, long)
		put(t, s, short)
		end := short.StoredAt().Add(short.Keep)
		Eventually(t, "short to end", func() bool {
			asked := time.Now()
			e := find(t, s, "short")
			if e != nil && asked.After(end) {
				t.Fatal("outlived Keep")
			}
			return e == nil
		})
		if find(t, s, "long") == nil {
			t.Error("long ended with it")
		}
	})
	run("keeps nothing for no time", func(t *testing.T) {
		s := open(t)
		e := Page(s.Log, "a")
		e.Keep = 0
		put(t, s, e)
		if find(t, s, "a") != nil {
			t.Error("kept")
		}
	})
	run("what carries no position is dead", func(t *testing.T) {
		s := open(t)
		e := Page(s.Log, "a")
		e.Position = store.Position{}
		_ = s.Store.Put(ctx, e) // may say so
		if find(t, s, "a") != nil {
			t.Error("found")
		}
	})
	run("personal pages", func(t *testing.T) {
		s := open(t)
		e := Page(s.Log, "mine")
		e.Owner, e.Response.Scope = &store.Owner{Session: "session digest", User: "user digest"}, cachepolicy.PerUser
		put(t, s, e)
		if got := find(t, s, "mine"); got == nil || got.Owner == nil || *got.Owner != *e.Owner {
			t.Errorf("got %+v", got)
		}
		purge(t, s, store.Selector{User: "another"}, store.Selector{Session: "another"})
		if find(t, s, "mine") == nil {
			t.Error("dead by another's purge")
		}
	})
	run("purge", func(t *testing.T) {
		for _, tt := range purges {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				s := open(t)
				for _, soft := range []bool{true, false} {
					e := Page(s.Log, "a")
					e.URL, e.Owner = "example.org/p/a?x=1", &store.Owner{Session: "S", User: "U"}
					put(t, s, e)
					if life := s.Log.Judge(find(t, s, "a")); life != store.Alive {
						t.Fatalf("before the purge: %v", life)
					}
					selector := tt.selector
					selector.Soft = soft
					purge(t, s, selector)
					got := find(t, s, "a")
					want := tt.want
					if want == store.Dead && soft && selector.User == "" && selector.Session == "" {
						want = store.SoftPurged
					}
					life := store.Dead
					if got != nil {
						life = s.Log.Judge(got)
					}
					if life != want {
						t.Errorf("soft %v: got %v, want %v", soft, life, want)
					}
				}
			})
		}
	})
	run("purge by URL of what has a No-Vary-Search", func(t *testing.T) {
		s := open(t)
		for _, tt := range searches {
			t.Run(tt.name, func(t *testing.T) {
				page, index := Page(s.Log, "a"), Page(s.Log, "b")
				page.URL, index.URL = "example.org/p/a?x=1", "example.org/p/a?x=1"
				page.Response.NoVarySearch = `params=("x")`
				index.Response, index.Body, index.Index = nil, nil, &cachepolicy.Index{NoVarySearch: `params=("x")`}
				put(t, s, page)
				put(t, s, index)
				purge(t, s, tt.selector)
				for _, name := range []string{"a", "b"} {
					if got := find(t, s, name); (got == nil) != (tt.want == store.Dead) {
						t.Errorf("got %+v, want %v", got, tt.want)
					}
				}
			})
		}
	})
	run("what is fetched after a purge lives", func(t *testing.T) {
		s := open(t)
		put(t, s, Page(s.Log, "a"))
		purge(t, s, store.Selector{All: true})
		put(t, s, Page(s.Log, "a"))
		if got := find(t, s, "a"); got == nil || s.Log.Judge(got) != store.Alive {
			t.Errorf("got %+v", got)
		}
	})
	run("a purge during the fetch kills what it brings", func(t *testing.T) {
		s := open(t)
		e := Page(s.Log, "a") // the fetch begins
		purge(t, s, store.Selector{Tag: "a"})
		put(t, s, e) // and ends
		if find(t, s, "a") != nil {
			t.Error("found")
		}
	})
	run("everything at once", func(t *testing.T) { together(t, open(t)) })
}

// purges are over a page of URL example.org/p/a?x=1, tags a and all-of-them,
// session S and user U.
var purges = []struct {
	name     string
	selector store.Selector
	want     store.Life
}{
	{"by URL", store.Selector{URL: "example.org/p/a?x=1"}, store.Dead},
	{"by URL on every host", store.Selector{URL: "/p/a?x=1"}, store.Dead},
	{"by another query", store.Selector{URL: "example.org/p/a?x=2"}, store.Alive},
	{"by the URL without its query", store.Selector{URL: "example.org/p/a"}, store.Alive},
	{"by another host", store.Selector{URL: "example.com/p/a?x=1"}, store.Alive},
	{"by prefix", store.Selector{Prefix: "example.org/p/"}, store.Dead},
	{"by prefix on every host", store.Selector{Prefix: "/p"}, store.Dead},
	{"by a prefix that is the whole", store.Selector{Prefix: "example.org/p/a?x=1"}, store.Dead},
	{"by a prefix that is longer", store.Selector{Prefix: "example.org/p/a?x=11"}, store.Alive},
	{"by another prefix", store.Selector{Prefix: "example.org/q"}, store.Alive},
	{"by tag", store.Selector{Tag: "a"}, store.Dead},
	{"by another tag", store.Selector{Tag: "A"}, store.Alive},
	{"by user", store.Selector{User: "U"}, store.Dead},
	{"by another user", store.Selector{User: "S"}, store.Alive},
	{"by session", store.Selector{Session: "S"}, store.Dead},
	{"by another session", store.Selector{Session: "U"}, store.Alive},
	{"of all", store.Selector{All: true}, store.Dead},
}

// searches are over a response to example.org/p/a?x=1 that answers other
// queries, too, and over an index that leads to it.
var searches = []struct {
	name     string
	selector store.Selector
	want     store.Life
}{
	{"by its URL", store.Selector{URL: "example.org/p/a?x=1"}, store.Dead},
	{"by another query", store.Selector{URL: "example.org/p/a?x=2"}, store.Dead},
	{"by another query on every host", store.Selector{URL: "/p/a?x=2"}, store.Dead},
	{"by the URL without its query", store.Selector{URL: "example.org/p/a"}, store.Dead},
	{"by the path on every host", store.Selector{URL: "/p/a"}, store.Dead},
	{"by a prefix with another query", store.Selector{Prefix: "example.org/p/a?x=2"}, store.Dead},
	{"by a prefix with another query on every host", store.Selector{Prefix: "/p/a?x=2"}, store.Dead},
	{"by another path", store.Selector{URL: "example.org/p/ab?x=1"}, store.Alive},
	{"by another path without a query", store.Selector{URL: "/p/"}, store.Alive},
	{"by another host", store.Selector{URL: "example.com/p/a?x=2"}, store.Alive},
	{"by a prefix of another path", store.Selector{Prefix: "example.org/p/ab?x=1"}, store.Alive},
}

// together has writers, readers and a purger at work: no reader finds a page
// older than a purge that was acknowledged before it looked.
func together(t *testing.T, s Subject) {
	ctx := context.Background()
	const rounds, pages = 60, 8
	var app, purged atomic.Int64 // the app's version, and the one before which all is purged
	var wg sync.WaitGroup
	stop := make(chan struct{})
	loop := func(work func(name string)) {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					work(fmt.Sprint("page ", n%pages))
				}
			}
		})
	}
	for range 2 {
		loop(func(name string) {
			e := Page(s.Log, name) // the fetch begins: the app is asked after
			e.Body = fmt.Append(nil, app.Load())
			_ = s.Store.Put(ctx, e)
		})
		loop(func(name string) {
			atLeast := purged.Load()
			e, err := s.Store.Lookup(ctx, Key(name))
			if err != nil || e == nil || s.Log.Judge(e) == store.Dead {
				return
			}
			var version int64
			if _, err := fmt.Sscan(string(e.Body), &version); err != nil || version < atLeast {
				t.Errorf("got version %s of %q after all before %d was purged", e.Body, name, atLeast)
			}
		})
	}
	for range rounds {
		version := app.Add(1)
		if _, err := s.Log.Append(ctx, []store.Selector{{Tag: "all-of-them"}}, 0); err != nil {
			t.Error(err)
		}
		purged.Store(version)
	}
	close(stop)
	wg.Wait()
}
