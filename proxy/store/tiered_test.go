package store_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"umbral/cachepolicy"
	"umbral/proxy/store"
	"umbral/proxy/store/storetest"
)

func redisKey(name string) string {
	key := storetest.Key(name)
	return "test:edge:c:" + base64.RawURLEncoding.EncodeToString(key[:])
}

func count(s *edge) func() map[string]int {
	var mu sync.Mutex
	n := map[string]int{}
	s.client.AddHook(counter{count: func(name string) {
		mu.Lock()
		n[name]++
		mu.Unlock()
	}})
	return func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		got := n
		n = map[string]int{}
		for _, ours := range []string{"evalsha", "xrange", "ping", "hello", "subscribe"} {
			delete(got, ours) // the log's pulse
		}
		return got
	}
}

func TestRoundTrips(t *testing.T) {
	r := storetest.StartRedis(t)
	a, b := startEdge(t, single(r), nil), startEdge(t, single(r), nil)
	put(t, a, storetest.Page(a.Log(), "page"))
	storetest.Eventually(t, "the page to be in Redis", func() bool { return a.Stats().Sets == 1 })
	counted := count(b)
	for _, want := range []string{"map[get:1]", "map[]"} { // from Redis, then from memory
		if !has(b, "page") {
			t.Fatal("not found")
		}
		if got := fmt.Sprint(counted()); got != want {
			t.Errorf("commands %s, want %s", got, want)
		}
	}
	counted = count(a)
	if has(a, "none"); fmt.Sprint(counted()) != "map[get:1]" {
		t.Error("a miss is not one round trip")
	}
	if has(a, "page"); fmt.Sprint(counted()) != "map[]" {
		t.Error("a hit of what was put asks Redis")
	}
}

func TestKeysStayUnderThePrefix(t *testing.T) {
	r := storetest.StartRedis(t)
	a := startEdge(t, single(r), nil)
	r.Do("SET", "foreign", "1")
	put(t, a, storetest.Page(a.Log(), "page"))
	purge(t, a, time.Second, store.Selector{All: true})
	lease, _, _ := a.Leases().Acquire(bg, storetest.Key("page"), time.Minute)
	storetest.Eventually(t, "the write", func() bool { return a.Stats().Queued == 0 })
	for _, key := range r.Do("KEYS", "*").([]any) {
		if key != "foreign" && !strings.HasPrefix(key.(string), "test:edge:") {
			t.Errorf("wrote %s", key)
		}
	}
	lease.Release(true)
	if r.Do("GET", "foreign") != "1" {
		t.Error("touched what is not ours")
	}
}

func TestForeignValuesAreMissesAndGo(t *testing.T) {
	r := storetest.StartRedis(t)
	a := startEdge(t, single(r), nil)
	for name, write := range map[string]func(key string){
		"text":            func(key string) { r.Do("SET", key, "hello") },
		"empty":           func(key string) { r.Do("SET", key, "") },
		"a later version": func(key string) { r.Do("SET", key, "UE\x02\x00 and so on") },
		"a hash":          func(key string) { r.Do("HSET", key, "a", "b") },
		"a cut value": func(key string) {
			put(t, a, storetest.Page(a.Log(), "whole"))
			r.Await("UE", "GET", redisKey("whole"))
			whole := r.Do("GET", redisKey("whole")).(string)
			r.Do("SET", key, whole[:len(whole)-1])
		},
		"another key's value": func(key string) {
			r.Do("SET", key, r.Do("GET", redisKey("whole")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			put(t, a, storetest.Page(a.Log(), "whole"))
			r.Await("UE", "GET", redisKey("whole"))
			write(redisKey(name))
			before := a.Stats().Corrupt
			if e, err := a.Lookup(bg, storetest.Key(name)); e != nil || err != nil {
				t.Errorf("%v, %v", e, err)
			}
			if a.Stats().Corrupt != before+1 {
				t.Error("not counted")
			}
			storetest.Eventually(t, "the value to go", func() bool { return r.Do("EXISTS", redisKey(name)).(int64) == 0 })
		})
	}
}

func TestPersonalPagesAreSealedInRedis(t *testing.T) {
	r := storetest.StartRedis(t)
	a := startEdge(t, single(r), nil)
	e := storetest.Page(a.Log(), "panel")
	e.Owner, e.Response.Scope, e.Body = &store.Owner{Session: "digest-of-session"}, cachepolicy.PerSession, []byte("Ana's certificates")
	put(t, a, e)
	r.Await("UE", "GET", redisKey("panel"))
	value := r.Do("GET", redisKey("panel")).(string)
	for _, text := range []string{"Ana", "digest-of-session", "example.org"} {
		if strings.Contains(value, text) {
			t.Errorf("Redis shows %q", text)
		}
	}
	other := startEdge(t, single(r), func(o *store.Options) { o.Secrets = [][]byte{[]byte(strings.Repeat("z", 32))} })
	if has(other, "panel") {
		t.Error("opened with another secret")
	}
	if err := other.SetSecrets([][]byte{[]byte(strings.Repeat("z", 32)), secret}); err != nil {
		t.Fatal(err)
	}
	if !has(other, "panel") {
		t.Error("not opened after the secrets were re-read")
	}
	none := startEdge(t, single(r), func(o *store.Options) { o.Secrets = nil })
	mine := storetest.Page(none.Log(), "mine")
	mine.Owner = &store.Owner{User: "u"}
	put(t, none, mine)
	storetest.Eventually(t, "the write to be refused", func() bool { return none.Stats().FailedSets == 1 })
	if !has(none, "mine") || has(a, "mine") {
		t.Error("without a secret a personal page stays in memory")
	}
}

func TestRedisExpiryCoversKeepAndNoMore(t *testing.T) {
	r := storetest.StartRedis(t)
	a := startEdge(t, single(r), nil)
	distinct := map[int64]bool{}
	for i := range 20 {
		name := fmt.Sprint(i)
		e := storetest.Page(a.Log(), name)
		e.Keep = time.Hour
		put(t, a, e)
		r.Await("UE", "GET", redisKey(name))
		left := r.Do("PTTL", redisKey(name)).(int64)
		if left > time.Hour.Milliseconds() || left < (56*time.Minute).Milliseconds() {
			t.Errorf("expires in %d ms", left)
		}
		distinct[left/1000] = true
	}
	if len(distinct) < 5 {
		t.Error("what was stored together ends together")
	}
}

func TestCloseWritesWhatWaits(t *testing.T) {
	r := storetest.StartRedis(t)
	a := startEdge(t, single(r), nil)
	const n = 500
	for i := range n {
		put(t, a, storetest.Page(a.Log(), fmt.Sprint(i)))
	}
	if err := a.Close(bg); err != nil {
		t.Fatal(err)
	}
	if s := a.Stats(); s.Sets+s.Dropped != n || s.Sets == 0 {
		t.Errorf("%+v", s)
	}
	if got := r.Do("HKEYS", edges).([]any); len(got) > 2 { // :run and :since stay
		t.Errorf("still known to the others: %v", got)
	}
}

func TestFullQueueDropsWritesNotVisitors(t *testing.T) {
	r := storetest.StartRedis(t)
	a := startEdge(t, single(r), func(o *store.Options) { o.QueueBytes = 8 << 10 })
	r.Pause()
	for i := range 2000 {
		_ = a.Put(bg, storetest.Page(a.Log(), fmt.Sprint(i)))
	}
	if s := a.Stats(); s.Dropped == 0 || s.Queued > 100 {
		t.Errorf("%+v", s)
	}
	r.Resume()
	storetest.Eventually(t, "writing to go on", func() bool {
		_ = a.Put(bg, storetest.Page(a.Log(), "late"))
		return r.Do("EXISTS", redisKey("late")).(int64) == 1
	})
}

func TestRedisFails(t *testing.T) {
	for name, fail := range map[string]struct{ down, up func(*storetest.Redis) }{
		"killed": {(*storetest.Redis).Kill, (*storetest.Redis).Restart},
		"paused": {(*storetest.Redis).Pause, (*storetest.Redis).Resume},
		"loses its password": {
			func(r *storetest.Redis) {
				r.Do("ACL", "SETUSER", "default", "-@all", "+acl", "+client", "+hello")
			},
			func(r *storetest.Redis) { r.Do("ACL", "SETUSER", "default", "+@all") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			core, logs := observer.New(zap.InfoLevel)
			r := storetest.StartRedis(t)
			a := startEdge(t, single(r), func(o *store.Options) { o.Logger = zap.New(core) })
			put(t, a, storetest.Page(a.Log(), "page"))
			fail.down(r)
			var slow atomic.Int64
			var wg sync.WaitGroup
			lookups := func() {
				for i := range 50 {
					wg.Go(func() {
						_, err := a.Lookup(bg, storetest.Key(fmt.Sprint("none", i)))
						if !errors.Is(err, store.ErrUnavailable) {
							t.Errorf("Lookup: %v", err)
						}
						slow.Add(1)
					})
				}
				wg.Wait()
			}
			lookups() // these may cost the time-out
			counted := count(a)
			for range 20 {
				lookups() // these do not ask
			}
			if n := counted()["get"]; n != 0 {
				t.Errorf("%d of 1000 lookups asked a Redis known to be down", n)
			}
			if !has(a, "page") {
				t.Error("memory does not answer")
			}
			fail.up(r)
			storetest.Eventually(t, "the tiers to heal", func() bool {
				_ = a.Put(bg, storetest.Page(a.Log(), "new"))
				_, err := a.Lookup(bg, storetest.Key("none"))
				return err == nil && a.Stats().State == store.Up && r.Do("EXISTS", redisKey("new")).(int64) == 1
			})
			if n := logs.FilterMessageSnippet("does not answer").Len(); n != 1 {
				t.Errorf("%d lines say that Redis is down", n)
			}
			if n := logs.FilterMessageSnippet("answers again").Len(); n != 1 {
				t.Errorf("%d lines say that Redis is back", n)
			}
			for _, line := range logs.All() {
				if strings.Contains(fmt.Sprint(line.ContextMap()), r.Addr) {
					t.Errorf("a log line shows the address: %v", line)
				}
			}
		})
	}
}

// Put tells what it knows: memory keeps a page that Redis cannot take, unless
// it has no room for one like that.
func TestPutSaysWhetherAnythingIsKept(t *testing.T) {
	r := storetest.StartRedis(t)
	own := prefixes(t)
	for name, tt := range map[string]struct {
		memory int64
		kept   bool
	}{
		"in memory":            {16 << 20, true},
		"too large for memory": {1 << 10, false},
		"without memory":       {0, false},
	} {
		e := startEdge(t, single(r), func(o *store.Options) { own(o); o.MemoryBytes = tt.memory })
		<-e.Log().Ready()
		page := func(name string) *store.Entry {
			p := storetest.Page(e.Log(), name)
			p.Body = make([]byte, 2<<10)
			return p
		}
		if err := e.Put(bg, page("before")); err != nil {
			t.Errorf("%s: %v with Redis", name, err)
		}
		r.Kill()
		_, _ = e.Lookup(bg, storetest.Key("none")) // this finds out
		if err := e.Put(bg, page("after")); tt.kept != (err == nil) || err != nil && !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: %v without Redis", name, err)
		}
		r.Restart()
	}
}

func TestRedisRefusesWrites(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	r := storetest.StartRedis(t)
	var state atomic.Value
	a := startEdge(t, single(r), func(o *store.Options) {
		o.Logger = zap.New(core)
		o.OnState = func(s store.State) { state.Store(s) }
	})
	put(t, a, storetest.Page(a.Log(), "before"))
	r.Await("UE", "GET", redisKey("before"))
	r.Do("CONFIG", "SET", "maxmemory", "1")
	storetest.Eventually(t, "the refusal to be noticed", func() bool {
		_ = a.Put(bg, storetest.Page(a.Log(), "page"))
		return state.Load() == store.ReadOnly
	})
	if _, err := a.Lookup(bg, storetest.Key("none")); err != nil {
		t.Errorf("reads fail too: %v", err)
	}
	if !has(a, "page") {
		t.Error("memory does not answer")
	}
	r.Do("CONFIG", "SET", "maxmemory", "0")
	storetest.Eventually(t, "writes to be taken", func() bool {
		_ = a.Put(bg, storetest.Page(a.Log(), "late"))
		return state.Load() == store.Up
	})
	if n := logs.FilterMessageSnippet("refuses writes").Len(); n != 1 {
		t.Errorf("%d lines", n)
	}
}

func TestVisitorWhoGoesIsNotAFault(t *testing.T) {
	r := storetest.StartRedis(t)
	a := startEdge(t, single(r), nil)
	ctx, cancel := context.WithCancel(bg)
	cancel()
	for range 20 {
		if _, err := a.Lookup(ctx, storetest.Key("none")); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if s := a.Stats(); s.State != store.Up || s.Errors != 0 {
		t.Errorf("%+v", s)
	}
}

func TestTiersShowsWhatEachHolds(t *testing.T) {
	r := storetest.StartRedis(t)
	a := startEdge(t, single(r), nil)
	put(t, a, storetest.Page(a.Log(), "page"))
	r.Await("UE", "GET", redisKey("page"))
	if m, v, err := a.Tiers(bg, storetest.Key("page")); m == nil || v == nil || err != nil {
		t.Errorf("%v %v %v", m, v, err)
	}
	if m, v, err := a.Tiers(bg, storetest.Key("none")); m != nil || v != nil || err != nil {
		t.Errorf("%v %v %v", m, v, err)
	}
}

// TestPrefixedEdgesShareNothing has two apps on one Redis.
func TestPrefixedEdgesShareNothing(t *testing.T) {
	r := storetest.StartRedis(t)
	a := startEdge(t, single(r), nil)
	b := startEdge(t, single(r), func(o *store.Options) { o.Prefix = "other" })
	put(t, a, storetest.Page(a.Log(), "page"))
	put(t, b, storetest.Page(b.Log(), "page"))
	receipt := purge(t, b, 5*time.Second, store.Selector{All: true})
	if !receipt.Complete || len(receipt.Edges) != 1 {
		t.Errorf("%+v", receipt)
	}
	if !has(a, "page") || has(b, "page") {
		t.Error("one app's purge is the other's")
	}
}

// TestRestartedRedisWithoutItsData: what was acknowledged holds, and nothing
// stored before comes back.
func TestRestartedRedisWithoutItsData(t *testing.T) {
	r := storetest.StartRedis(t)
	a, b := startEdge(t, single(r), nil), startEdge(t, single(r), nil)
	shared(t, "page", a, b)
	shared(t, "purged", a, b)
	purge(t, a, 5*time.Second, store.Selector{Tag: "purged"})
	r.Kill()
	r.Restart()
	storetest.Eventually(t, "a new epoch on both", func() bool {
		if has(a, "purged") || has(b, "purged") {
			t.Fatal("what was purged is back")
		}
		return !has(a, "page") && !has(b, "page")
	})
	storetest.Eventually(t, "pages to be stored again", func() bool {
		_ = a.Put(bg, storetest.Page(a.Log(), "page"))
		return has(a, "page") && has(b, "page")
	})
}
