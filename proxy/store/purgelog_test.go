package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"umbral/proxy/store"
	"umbral/proxy/store/storetest"
)

const (
	stream = "test:edge:{log}:purges"
	edges  = "test:edge:{log}:edges"
)

var bg = context.Background()

func put(t testing.TB, s *edge, e *store.Entry) {
	t.Helper()
	if err := s.Put(bg, e); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

// has reports whether s finds name and takes it for alive.
func has(s *edge, name string) bool {
	e, err := s.Lookup(bg, storetest.Key(name))
	return err == nil && e != nil && s.Log().Judge(e) == store.Alive
}

// shared puts a page by a and waits until the others have it in memory too.
func shared(t testing.TB, name string, a *edge, others ...*edge) {
	t.Helper()
	put(t, a, storetest.Page(a.Log(), name))
	for _, s := range others {
		storetest.Eventually(t, name+" to be shared", func() bool { return has(s, name) })
	}
}

func purge(t testing.TB, s *edge, wait time.Duration, selectors ...store.Selector) store.Receipt {
	t.Helper()
	r, err := s.Log().Append(bg, selectors, wait)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	return r
}

func threeEdges(t testing.TB, a store.Address, change func(*store.Options)) []*edge {
	var list []*edge
	for _, name := range []string{"one", "two", "three"} {
		list = append(list, startEdge(t, a, func(o *store.Options) {
			o.EdgeID = name
			if change != nil {
				change(o)
			}
		}))
		<-list[len(list)-1].Log().Ready()
	}
	return list
}

func TestPurgeIsAcknowledgedByEveryEdge(t *testing.T) {
	r := storetest.StartRedis(t)
	list := threeEdges(t, single(r), nil)
	for i := range 50 {
		name := fmt.Sprint("page", i)
		shared(t, name, list[i%3], list[(i+1)%3], list[(i+2)%3])
		receipt := purge(t, list[(i+1)%3], 10*time.Second, store.Selector{Tag: name})
		if !receipt.Complete || len(receipt.Edges) != 3 {
			t.Fatalf("receipt %+v", receipt)
		}
		for _, s := range list {
			if has(s, name) {
				t.Fatal("an old page after the receipt")
			}
		}
	}
	got, err := list[0].Log().Edges(bg)
	if err != nil || len(got) != 3 || got[0].ID != "one" || got[0].Behind != 0 {
		t.Errorf("edges %+v, %v", got, err)
	}
}

func TestPurgeWaitsForTheLivingOnly(t *testing.T) {
	r := storetest.StartRedis(t)
	a := startEdge(t, single(r), func(o *store.Options) { o.EdgeID = "a" })
	b := startEdge(t, single(r), func(o *store.Options) { o.EdgeID = "b" })
	receipt := purge(t, a, 10*time.Second, store.Selector{All: true})
	if len(receipt.Edges) != 2 || !receipt.Complete {
		t.Fatalf("with two edges: %+v", receipt)
	}
	t.Run("an edge that has left", func(t *testing.T) {
		if err := b.Close(bg); err != nil {
			t.Fatal(err)
		}
		receipt := purge(t, a, 10*time.Second, store.Selector{All: true})
		if len(receipt.Edges) != 1 || !receipt.Complete {
			t.Errorf("%+v", receipt)
		}
	})
	t.Run("an edge that is silent", func(t *testing.T) {
		now := r.Do("TIME").([]any)[0].(string)
		p := a.Log().Position()
		r.Do("HSET", edges, "ghost", fmt.Sprintf("%d %d %s000", p.Epoch, p.Number, now))
		receipt := purge(t, a, 50*time.Millisecond, store.Selector{All: true})
		if receipt.Complete || len(receipt.Edges) != 2 || receipt.Edges[1].Applied {
			t.Errorf("%+v", receipt)
		}
	})
	t.Run("an edge that has been silent for long", func(t *testing.T) {
		p := a.Log().Position()
		r.Do("HSET", edges, "ghost", fmt.Sprintf("%d %d 1000", p.Epoch, p.Number))
		storetest.Eventually(t, "the ghost to be forgotten", func() bool {
			receipt := purge(t, a, 50*time.Millisecond, store.Selector{All: true})
			return receipt.Complete && len(receipt.Edges) == 1
		})
	})
}

func TestStreamGone(t *testing.T) {
	for name, end := range map[string][]any{
		"deleted":                {"DEL", stream},
		"flushed":                {"FLUSHALL"},
		"overwritten":            {"SET", stream, "nonsense"},
		"emptied":                {"XTRIM", stream, "MAXLEN", "0"},
		"written to by others":   {"XADD", stream, "*", "a", "b"},
		"written with our shape": {"XADD", stream, "99999999999999-0", "a", "b"},
	} {
		t.Run(name, func(t *testing.T) {
			r := storetest.StartRedis(t)
			a, b := startEdge(t, single(r), nil), startEdge(t, single(r), nil)
			shared(t, "page", a, b)
			before := a.Log().Position()
			r.Do(end...)
			storetest.Eventually(t, "the page to be dead on both", func() bool { return !has(a, "page") && !has(b, "page") })
			storetest.Eventually(t, "one new epoch on both", func() bool {
				p := a.Log().Position()
				return p.Epoch != before.Epoch && p == b.Log().Position()
			})
			shared(t, "other", a, b)
			if receipt := purge(t, b, 10*time.Second, store.Selector{Tag: "other"}); !receipt.Complete {
				t.Errorf("receipt %+v", receipt)
			}
			if has(a, "other") || has(b, "other") {
				t.Error("the purge does not hold")
			}
		})
	}
}

// TestLostRecords puts the stream back to what it was before a purge, as a
// failover to a replica that lagged does.
func TestLostRecords(t *testing.T) {
	setup := func(t *testing.T) (*storetest.Redis, *edge, *edge, string) {
		r := storetest.StartRedis(t)
		a, b := startEdge(t, single(r), nil), startEdge(t, single(r), nil)
		shared(t, "purged", a, b)
		shared(t, "other", a, b)
		dump := r.Do("DUMP", stream).(string)
		purge(t, a, 10*time.Second, store.Selector{Tag: "purged"})
		return r, a, b, dump
	}
	dead := func(t *testing.T, before store.Position, list ...*edge) {
		t.Helper()
		for _, s := range list {
			storetest.Eventually(t, "the loss to be noticed", func() bool {
				if has(s, "purged") {
					t.Fatal("what was purged is back")
				}
				return s.Log().Position().Epoch != before.Epoch
			})
			if has(s, "other") {
				t.Error("what was stored before lives on")
			}
		}
		storetest.Eventually(t, "all edges to agree", func() bool {
			return list[0].Log().Position() == list[len(list)-1].Log().Position()
		})
		shared(t, "new", list[0], list[len(list)-1])
	}
	t.Run("noticed by an edge that had them", func(t *testing.T) {
		r, a, b, dump := setup(t)
		before := a.Log().Position()
		r.Do("RESTORE", stream, 0, dump, "REPLACE")
		dead(t, before, a, b)
	})
	t.Run("also when others took their numbers", func(t *testing.T) {
		r, a, b, dump := setup(t)
		before := a.Log().Position()
		r.Do("EVAL", `
			redis.call('RESTORE', KEYS[1], 0, ARGV[1], 'REPLACE')
			for i = 0, 2 do
				redis.call('XADD', KEYS[1], ARGV[2] + i .. '-0', 'e', ARGV[3], 'c', 'forged' .. i, 't', 1, 'k', 'purge', 's', '\1\6\0')
			end`, 1, stream, dump, before.Number, before.Epoch)
		dead(t, before, a, b)
	})
	t.Run("also by an edge that starts after", func(t *testing.T) {
		r, a, b, dump := setup(t)
		before := a.Log().Position()
		r.Do("RESTORE", stream, 0, dump, "REPLACE")
		c := startEdge(t, single(r), nil)
		dead(t, before, a, b)
		storetest.Eventually(t, "the new edge to agree", func() bool { return c.Log().Position().Epoch != before.Epoch })
		if has(c, "purged") {
			t.Error("what was purged is back")
		}
	})
}

func TestUnknownRecordPurgesAll(t *testing.T) {
	r := storetest.StartRedis(t)
	a := startEdge(t, single(r), nil)
	for _, fields := range [][]any{
		{"k", "of a later version"},
		{"k", "purge", "s", "\x01\x09\x00"},
		{"k", "purge"},
		{"k", "floor", "f", "x"},
	} {
		shared(t, "page", a)
		p := a.Log().Position()
		args := append([]any{"XADD", stream, fmt.Sprintf("%d-0", p.Number+1), "e", p.Epoch, "c", "word", "t", "1"}, fields...)
		r.Do(args...)
		storetest.Eventually(t, "the page to be dead", func() bool { return !has(a, "page") })
		if a.Log().Position().Epoch != p.Epoch {
			t.Error("a new epoch for a record of ours")
		}
	}
}

func TestCutOffAndBack(t *testing.T) {
	r := storetest.StartRedis(t)
	var states atomic.Value
	a := startEdge(t, single(r), func(o *store.Options) {
		o.LagLimit = time.Second
		o.OnState = func(s store.State) { states.Store(s) }
	})
	b := startEdge(t, single(r), nil)
	shared(t, "page", a)
	shared(t, "purged", a)
	if a.Log().Lost(time.Now()) {
		t.Fatal("lost at the start")
	}
	r.Pause()
	storetest.Eventually(t, "the log to be lost", func() bool { return a.Log().Lost(time.Now()) })
	if !has(a, "page") {
		t.Error("memory does not answer without Redis")
	}
	if err := a.Put(bg, storetest.Page(a.Log(), "late")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Put while lost: %v", err)
	}
	_, err := a.Log().Append(bg, []store.Selector{{Tag: "purged"}}, time.Second)
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Append: %v", err)
	}
	if has(a, "purged") {
		t.Error("a purge that Redis could not take does not hold here")
	}
	if states.Load() != store.Down {
		t.Errorf("state %v", states.Load())
	}
	r.Resume()
	storetest.Eventually(t, "the log to be followed again", func() bool { return !a.Log().Lost(time.Now()) })
	storetest.Eventually(t, "the purge to reach the other edge", func() bool {
		e, err := b.Lookup(bg, storetest.Key("purged"))
		return err == nil && e == nil
	})
	storetest.Eventually(t, "Redis to be taken for up", func() bool { return states.Load() == store.Up })
	storetest.Eventually(t, "what is fetched after to live", func() bool {
		_ = a.Put(bg, storetest.Page(a.Log(), "purged"))
		return has(a, "purged") && has(b, "purged")
	})
	if !has(a, "page") {
		t.Error("what no purge names is dead")
	}
}

func TestStartWithAFullRedis(t *testing.T) {
	r := storetest.StartRedis(t)
	a := startEdge(t, single(r), func(o *store.Options) { o.MaxPurges = 5000 })
	for i := range 1500 { // more than two pages of the stream
		purge(t, a, 0, store.Selector{Tag: fmt.Sprint("tag", i)})
	}
	stale := storetest.Page(a.Log(), "stale")
	put(t, a, storetest.Page(a.Log(), "fresh"))
	purge(t, a, 0, store.Selector{Tag: "stale"})
	put(t, a, stale)
	if err := a.Close(bg); err != nil { // what waits is written
		t.Fatal(err)
	}
	b := startEdge(t, single(r), nil)
	if b.Log().Position() != a.Log().Position() {
		t.Errorf("the log was read to %v of %v", b.Log().Position(), a.Log().Position())
	}
	if !has(b, "fresh") {
		t.Error("does not serve from Redis at once")
	}
	if has(b, "stale") {
		t.Error("serves what was purged before it started")
	}
}

func TestStartWithoutRedis(t *testing.T) {
	r := storetest.StartRedis(t)
	r.Kill()
	a := startEdge(t, single(r), nil)
	if _, err := a.Lookup(bg, storetest.Key("page")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Lookup: %v", err)
	}
	if err := a.Put(bg, storetest.Page(a.Log(), "page")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Put: %v", err)
	}
	if !a.Log().Lost(time.Now()) {
		t.Error("not lost")
	}
	if _, err := a.Log().Append(bg, []store.Selector{{Tag: "page"}}, 0); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Append: %v", err)
	}
	r.Restart()
	<-a.Log().Ready()
	storetest.Eventually(t, "what was purged to be storable again", func() bool {
		_ = a.Put(bg, storetest.Page(a.Log(), "page"))
		return has(a, "page")
	})
}

func TestTrimming(t *testing.T) {
	r := storetest.StartRedis(t)
	t.Run("in number", func(t *testing.T) {
		a := startEdge(t, single(r), func(o *store.Options) { o.MaxPurges = 50 })
		b := startEdge(t, single(r), nil)
		old := storetest.Page(a.Log(), "old")
		put(t, a, old)
		purge(t, a, 0, store.Selector{Tag: "old"})
		late := storetest.Page(b.Log(), "late") // a fetch begins
		for i := range 45 {
			purge(t, a, 0, store.Selector{Tag: fmt.Sprint("tag", i)})
		}
		young := storetest.Page(a.Log(), "young")
		put(t, a, young)
		for i := range 20 {
			purge(t, a, 0, store.Selector{Tag: fmt.Sprint("more", i)})
		}
		purge(t, a, 10*time.Second, store.Selector{Tag: "last"})
		if n := r.Do("XLEN", stream).(int64); n > 51 {
			t.Errorf("%d records", n)
		}
		c := startEdge(t, single(r), nil) // knows only what is left
		for _, s := range []*edge{a, b, c} {
			for name, e := range map[string]*store.Entry{"old": old, "late": late} {
				if s.Log().Judge(e) != store.Dead {
					t.Errorf("%s lives, though its purge may be forgotten", name)
				}
			}
			if s.Log().Judge(young) != store.Alive {
				t.Error("young is dead")
			}
		}
	})
	t.Run("in time", func(t *testing.T) {
		other := "old:edge:{log}:purges"
		word := func(i int) string { return fmt.Sprint("word", i) }
		r.Do("XADD", other, "1-0", "e", "7", "c", word(1), "t", "1000", "k", "begin")
		r.Do("XADD", other, "2-0", "e", "7", "c", word(2), "t", "1001", "k", "purge", "s", "\x01\x06\x00")
		r.Do("XADD", other, "3-0", "e", "7", "c", word(3), "t", "99999999999999", "k", "purge", "s", "\x01\x03\x01a")
		startEdge(t, single(r), func(o *store.Options) { o.Prefix = "old" })
		storetest.Eventually(t, "old records to go", func() bool {
			return len(r.Do("XRANGE", other, "-", "2-0").([]any)) == 0 && len(r.Do("XRANGE", other, "3-0", "3-0").([]any)) == 1
		})
	})
}

func TestAudit(t *testing.T) {
	r := storetest.StartRedis(t)
	a := startEdge(t, single(r), nil)
	_, err := a.Log().Purge(bg, store.Purge{Selectors: []store.Selector{{Tag: "x"}}, By: "ana", From: "10.9.8.7"})
	if err != nil {
		t.Fatal(err)
	}
	purge(t, a, 0, store.Selector{URL: "h/"}, store.Selector{Prefix: "/p", Soft: true})
	got, err := a.Log().Audit(bg, 10)
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if got[1].By != "ana" || got[1].From != "10.9.8.7" || got[1].Selectors[0].Tag != "x" || got[1].At.IsZero() {
		t.Errorf("%+v", got[1])
	}
	if len(got[0].Selectors) != 2 || !got[0].Selectors[1].Soft {
		t.Errorf("%+v", got[0])
	}
	if raw := fmt.Sprint(r.Do("XRANGE", stream, "-", "+")); strings.Contains(raw, "ana") || strings.Contains(raw, "10.9.8.7") {
		t.Error("the audit's text is readable in Redis")
	}
	if got, _ := a.Log().Audit(bg, 1); len(got) != 1 {
		t.Errorf("%d of 1", len(got))
	}
}

func TestSelectorsThatSayNothing(t *testing.T) {
	a := startEdge(t, single(storetest.StartRedis(t)), nil)
	for _, list := range [][]store.Selector{
		nil, {{}}, {{Soft: true}}, {{Tag: "a", URL: "b"}}, {{All: true, Tag: "a"}}, {{Tag: strings.Repeat("x", 9<<10)}},
		make([]store.Selector, 10_001),
	} {
		if _, err := a.Log().Append(bg, list, 0); !errors.Is(err, store.ErrSelector) {
			t.Errorf("%.60v: %v", list, err)
		}
	}
}

func TestOnApplyHearsEveryPurgeInOrder(t *testing.T) {
	r := storetest.StartRedis(t)
	heard := make(chan store.Record, 100)
	startEdge(t, single(r), func(o *store.Options) { o.OnApply = func(r store.Record) { heard <- r } })
	a := startEdge(t, single(r), nil)
	for i := range 20 {
		purge(t, a, 0, store.Selector{Tag: fmt.Sprint(i)})
	}
	for i := range 20 {
		if rec := <-heard; rec.Selectors[0].Tag != fmt.Sprint(i) {
			t.Fatalf("heard %+v as number %d", rec, i)
		}
	}
}

// counter counts the commands that a client sends, by name.
type counter struct {
	redis.Hook
	count func(name string)
}

func (c counter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.count(cmd.Name())
		return next(ctx, cmd)
	}
}

func (c counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			c.count(cmd.Name())
		}
		return next(ctx, cmds)
	}
}

func TestPurgeOfManyCostsWhatPurgeOfOneDoes(t *testing.T) {
	r := storetest.StartRedis(t)
	a := startEdge(t, single(r), func(o *store.Options) { o.MemoryBytes = 256 << 20 })
	const many = 100_000
	for i := range many {
		e := storetest.Page(a.Log(), fmt.Sprint(i))
		e.Response.Tags = []string{"many"}
		put(t, a, e)
	}
	if n, _ := a.Match([]store.Selector{{Tag: "many"}}, 0)(); n != many {
		t.Fatalf("a dry run counts %d", n)
	}
	storetest.Eventually(t, "writes to end", func() bool { return a.Stats().Queued == 0 })
	commands := func(tag string) (n int64) {
		var sent atomic.Int64
		a.client.AddHook(counter{count: func(name string) {
			if name == "eval" || name == "del" || name == "unlink" || name == "set" {
				sent.Add(1)
			}
		}})
		purge(t, a, 0, store.Selector{Tag: tag})
		return sent.Load()
	}
	one := commands("0")
	count := a.Match([]store.Selector{{Tag: "many"}}, 0)
	all := commands("many")
	if n, _ := count(); n != many {
		t.Errorf("counted after the purge, %d pages matched", n)
	}
	if one != 1 || all != 1 {
		t.Errorf("a purge of one page sends %d commands, of %d pages %d", one, many, all)
	}
	if n, _ := a.Match([]store.Selector{{All: true}}, 0)(); n != 0 {
		t.Errorf("%d pages live", n)
	}
}

// TestNobodyVouchesForTheLog has a purge lost with the server process that had
// it, and with every edge that had applied it.
func TestNobodyVouchesForTheLog(t *testing.T) {
	setup := func(t *testing.T) (*storetest.Redis, *edge, store.Position) {
		r := storetest.StartRedis(t, "--save", "3600 1")
		a := startEdge(t, single(r), nil)
		put(t, a, storetest.Page(a.Log(), "purged"))
		storetest.Eventually(t, "the write", func() bool { return a.Stats().Sets == 1 })
		r.Do("SAVE")
		return r, a, a.Log().Position()
	}
	crash := func(r *storetest.Redis) {
		r.Kill()
		r.Restart()
	}
	t.Run("an edge that starts afterwards serves nothing of before", func(t *testing.T) {
		r, a, _ := setup(t)
		purge(t, a, time.Second, store.Selector{Tag: "purged"})
		if err := a.Close(bg); err != nil {
			t.Fatal(err)
		}
		crash(r)
		b := startEdge(t, single(r), nil)
		<-b.Log().Ready()
		if has(b, "purged") {
			t.Error("what was purged is back")
		}
		shared(t, "new", b)
	})
	t.Run("an edge that was there vouches, and nothing is lost", func(t *testing.T) {
		r, a, before := setup(t)
		crash(r)
		storetest.Eventually(t, "the log to be heard again", func() bool {
			run, _ := r.Do("HGET", edges, ":run").(string)
			return run != "" && strings.Contains(r.Do("INFO", "server").(string), run)
		})
		if a.Log().Position() != before || !has(a, "purged") {
			t.Errorf("position %v, before %v", a.Log().Position(), before)
		}
		b := startEdge(t, single(r), nil)
		<-b.Log().Ready()
		if !has(b, "purged") {
			t.Error("an edge that starts afterwards does not find what the log has not purged")
		}
	})
	t.Run("an edge alone restarts warm", func(t *testing.T) {
		r, a, _ := setup(t)
		if err := a.Close(bg); err != nil {
			t.Fatal(err)
		}
		b := startEdge(t, single(r), nil)
		<-b.Log().Ready()
		if !has(b, "purged") {
			t.Error("it does not find what is in Redis")
		}
	})
}

// An edge that starts where Redis has just lost everything finds no other in
// the hash: they have yet to say that they are there, and serve until then.
func TestAFreshEdgeWaitsForOthersThatAFlushHid(t *testing.T) {
	r := storetest.StartRedis(t)
	startEdge(t, single(r), func(o *store.Options) { o.EdgeID = "old" })
	for i := range 5 {
		r.Do("FLUSHALL")
		fresh := startEdge(t, single(r), func(o *store.Options) { o.EdgeID = fmt.Sprint("fresh-", i) })
		receipt := purge(t, fresh, 5*time.Second, store.Selector{Tag: "t"})
		if !receipt.Complete || !slices.ContainsFunc(receipt.Edges, func(a store.Ack) bool { return a.Edge == "old" && a.Applied }) {
			t.Errorf("%+v", receipt)
		}
		if err := fresh.Close(bg); err != nil {
			t.Error(err)
		}
	}
}
