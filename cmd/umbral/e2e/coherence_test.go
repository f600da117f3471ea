package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"umbral/proxy/store/storetest"
)

// commands counts what Redis has been asked since its last CONFIG RESETSTAT.
func commands(r *storetest.Redis) map[string]int {
	counts := make(map[string]int)
	for line := range strings.Lines(fmt.Sprint(r.Do("INFO", "commandstats"))) {
		var calls int
		name, rest, _ := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":")
		if n, _ := fmt.Sscanf(rest, "calls=%d", &calls); n == 1 {
			counts[name] = calls
		}
	}
	return counts
}

// TestPurgeOfManyPages purges one tag of many pages over three edges while
// visitors read: no page of before after the receipt, and neither Redis nor
// the edges do more than for one page.
func TestPurgeOfManyPages(t *testing.T) {
	redis := storetest.StartRedis(t)
	c := newChecker(t, manyPages, redisURL(redis), "MEMORY_CACHE_BYTES=512MiB", "REDIS_TIMEOUT=20s")
	for _, p := range c.posts {
		p.now().stock(manyPages, 16)
	}
	for _, p := range c.posts {
		within(t, "all pages to be in memory", func() bool { return p.now().memory() == manyPages })
	}
	var calls []time.Duration // the whole HTTP call, counting of what matched and all
	purge := func(what map[string]any) (last float64, got receipt) {
		t.Helper()
		what["wait"] = "20s"
		redis.Do("CONFIG", "RESETSTAT")
		began := time.Now()
		if code := c.posts[0].now().admin("POST", "/v1/purge", what, &got); code != 200 || !got.Complete || len(got.Edges) != 3 {
			t.Fatalf("purge: status %d, %+v", code, got)
		}
		for _, e := range got.Edges {
			last = max(last, e.MS)
		}
		calls = append(calls, time.Since(began))
		if sent := commands(redis); sent["eval"] != 1 || sent["xadd"] != 1 || sent["scan"]+sent["keys"] != 0 {
			t.Errorf("a purge was these commands: %v", sent)
		}
		return last, got
	}
	// Soft first, for what it hits stays in memory: both as often as it takes.
	var one, many []float64
	for range 9 {
		ms, _ := purge(map[string]any{"tags": []string{"page:1"}, "soft": true})
		one = append(one, ms)
		ms, got := purge(map[string]any{"tags": []string{"pages"}, "soft": true})
		many = append(many, ms)
		if sent := commands(redis); sent["get"]+sent["set"]+sent["unlink"]+sent["del"] != 0 {
			t.Errorf("a purge of many pages was these commands: %v", sent)
		}
		if got.Matched.Memory != manyPages {
			t.Errorf("%d pages matched", got.Matched.Memory)
		}
	}
	var readers sync.WaitGroup
	for i := range 4 {
		readers.Go(func() { c.read(rand.New(rand.NewPCG(5, uint64(i)))) })
	}
	within(t, "visitors to read", func() bool { return c.reads.Load() > 100 })
	for i := range c.app.versions {
		c.app.versions[i].Add(1)
	}
	hard, got := purge(map[string]any{"tags": []string{"pages"}})
	for i := range c.floor {
		c.floor[i].Store(1)
	}
	if n := got.Matched.Memory; n < manyPages*99/100 || n > manyPages*101/100 { // pages come and go
		t.Errorf("%d pages matched", got.Matched.Memory)
	}
	before := c.reads.Load()
	within(t, "visitors to read on", func() bool { return c.reads.Load() > before+1000 })
	close(c.stop)
	readers.Wait()
	slices.Sort(one)
	slices.Sort(many)
	var whole []time.Duration // of many
	for i := 1; i < 18; i += 2 {
		whole = append(whole, calls[i])
	}
	slices.Sort(whole)
	t.Logf("to the last of three edges: 1 page %.1f ms, %d pages %.1f ms, the whole call %v (medians of 9); hard, under load, once: %.1f ms, %v",
		one[4], manyPages, many[4], whole[4], hard, calls[18])
	if many[0] > 20*one[0]+1 {
		t.Errorf("at best %.1f ms for %d pages and %.1f ms for one", many[0], manyPages, one[0])
	}
}

func TestAPurgeDuringTheFetchHolds(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startPages(t, 10)
	var fetching, purged = make(chan struct{}, 10), make(chan struct{})
	app.set(func(w http.ResponseWriter, r *http.Request) {
		old := httpRecord(app.serve, r)
		fetching <- struct{}{}
		<-purged
		fmt.Fprint(w, old)
	})
	a := startEdge(t, app.URL, redisURL(redis), fleetRoutes)
	b := startEdge(t, app.URL, redisURL(redis), fleetRoutes)
	first := make(chan answer, 1)
	go func() {
		got, _ := a.visitor().do("GET", "/p/1", "")
		first <- got
	}()
	<-fetching
	app.versions[1].Add(1)
	b.purge(map[string]any{"tags": []string{"page:1"}})
	app.set(app.serve)
	close(purged)
	if got := <-first; !strings.Contains(got.Body, "version=0") {
		t.Errorf("the visitor who came before the purge got %d %q", got.StatusCode, got.Body)
	}
	for _, e := range []*edge{a, b} {
		if got := e.visitor().get("/p/1"); !strings.Contains(got.Body, "version=1") {
			t.Errorf("after the purge: %.40q %s", got.Body, got.Umbral())
		}
	}
}

func TestARestartedEdgeIsWarmAndRespectsPurges(t *testing.T) {
	t.Parallel()
	redis := storetest.StartRedis(t)
	app := startPages(t, 300)
	const patient = "REDIS_TIMEOUT=20s" // a slow machine is no lost Redis
	p := startPost(t, app.URL, redisURL(redis), fleetRoutes, patient)
	other := startEdge(t, app.URL, redisURL(redis), fleetRoutes, patient)
	p.now().stock(300, 8)
	within(t, "all to be written to Redis", func() bool { return commands(redis)["set"] >= 300+300 }) // and a lease each
	p.crash()
	other.purge(map[string]any{"tags": []string{"page:1"}})
	other.purge(map[string]any{"prefixes": []string{"/p/29"}})
	asked := app.Asked.Load()
	p.start()
	v := p.now().visitor()
	fresh := map[int]bool{1: true, 29: true}
	for i := range 300 {
		hit := v.get(fmt.Sprint("/p/", i)).Hit()
		if want := !fresh[i] && i < 290; hit != want {
			t.Errorf("/p/%d: hit %v", i, hit)
		}
	}
	if got := app.Asked.Load() - asked; got != 12 {
		t.Errorf("the app was asked %d times for what was purged", got)
	}
}

func TestAStreamThatIsGoneMakesAllDead(t *testing.T) {
	for _, command := range [][]any{{"DEL", "certificados:edge:{log}:purges"}, {"FLUSHALL"}} {
		t.Run(fmt.Sprint(command[0]), func(t *testing.T) {
			redis := storetest.StartRedis(t)
			c := newChecker(t, 20, redisURL(redis), "REDIS_TIMEOUT=20s")
			var readers sync.WaitGroup
			for i := range 4 {
				readers.Go(func() { c.read(rand.New(rand.NewPCG(6, uint64(i)))) })
			}
			within(t, "pages to be read", func() bool { return c.hits.Load() > 200 })
			for i := range c.app.versions {
				c.app.versions[i].Add(1)
			}
			redis.Do(command...)
			for _, p := range c.posts {
				v := p.now().visitor()
				for i := range c.floor {
					within(t, "the old page to be dead", func() bool {
						return strings.Contains(v.get(fmt.Sprint("/p/", i)).Body, "version=1")
					})
				}
			}
			for i := range c.floor {
				c.floor[i].Store(1) // and it never comes back
			}
			hits := c.hits.Load()
			within(t, "pages to be hits again", func() bool { return c.hits.Load() > hits+200 })
			close(c.stop)
			readers.Wait()
		})
	}
}

// TestAnEdgeCutOffServesNothingOld has one of two edges lose its way to Redis.
// A purge waits for it as long as it may serve what it holds; from then on the
// edge asks the app about every page, until it has caught up.
func TestAnEdgeCutOffServesNothingOld(t *testing.T) {
	t.Parallel()
	redis := storetest.StartRedis(t)
	app := startPages(t, 10)
	way := startSluice(t, redis.Addr)
	cut := startEdge(t, app.URL, "redis://"+way.Addr, fleetRoutes, "REDIS_TIMEOUT=200ms")
	whole := startEdge(t, app.URL, redisURL(redis), fleetRoutes)
	v := cut.visitor()
	cut.eventually("both know of each other", func() bool { return len(listEdges(whole)) == 2 })
	v.get("/p/1")
	if !v.get("/p/1").Hit() {
		t.Fatal("no hit before")
	}
	way.shut()
	if !v.get("/p/1").Hit() {
		t.Error("memory does not answer while Redis is gone")
	}
	app.versions[1].Add(1)
	var got receipt
	if code := whole.admin("POST", "/v1/purge", map[string]any{"tags": []string{"page:1"}}, &got); code != 200 || got.Complete {
		t.Errorf("a purge that the edge cut off has not heard of: status %d, complete %v", code, got.Complete)
	}
	whole.purge(map[string]any{"tags": []string{"page:1"}}) // waits until the other has fallen silent
	for range 20 {
		if a := v.get("/p/1"); !strings.Contains(a.Body, "version=1") {
			t.Fatalf("the edge cut off serves what was purged: %.40q %s", a.Body, a.Umbral())
		}
	}
	way.reopen()
	cut.eventually("it is healed", func() bool { return len(listEdges(whole)) == 2 && v.get("/p/1").Hit() })
	if a := v.get("/p/1"); !strings.Contains(a.Body, "version=1") {
		t.Errorf("healed: %.40q", a.Body)
	}
}

func listEdges(e *edge) (list []map[string]any) {
	var got struct{ Edges []map[string]any }
	e.admin("GET", "/v1/edges", nil, &got)
	return got.Edges
}

// httpRecord is what handler answers to r.
func httpRecord(handler http.HandlerFunc, r *http.Request) string {
	rec := &recorder{header: http.Header{}}
	handler(rec, r)
	return rec.body.String()
}

type recorder struct {
	header http.Header
	body   strings.Builder
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(int)             {}
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

const tagsRoutes = `
version: 1
warm: {concurrency: 2}
routes:
  - match: /p/{id}
    ttl: 10m
    stale_while_revalidate: 10m
    tags: ["page:{id}", pages]
`

func TestPurgeSoftDryAndRefresh(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startPages(t, 40)
	a := startEdge(t, app.URL, redisURL(redis), tagsRoutes, "REDIS_TIMEOUT=20s")
	a.stock(40, 4)
	within(t, "all to be written to Redis", func() bool { return commands(redis)["set"] >= 80 })
	asked := app.Asked.Load()

	var got receipt
	a.admin("POST", "/v1/purge", map[string]any{"tags": []string{"pages"}, "dry_run": true}, &got)
	if got.Matched.Memory != 40 || got.ID != "" || !a.visitor().get("/p/3").Hit() {
		t.Errorf("a dry run: %+v", got)
	}

	// Soft: stale on every edge, also from Redis, and served once more while
	// it is fetched again.
	b := startEdge(t, app.URL, redisURL(redis), tagsRoutes, "REDIS_TIMEOUT=20s")
	app.versions[1].Add(1)
	a.purge(map[string]any{"tags": []string{"page:1"}, "soft": true})
	first := b.visitor().get("/p/1")
	if !strings.Contains(first.Body, "version=0") || !strings.Contains(first.Umbral(), "detail=") {
		t.Errorf("after a soft purge: %.40q %s", first.Body, first.Umbral())
	}
	for _, e := range []*edge{a, b} {
		e.eventually("the new version", func() bool { return strings.Contains(e.visitor().get("/p/1").Body, "version=1") })
	}
	if n := app.Asked.Load() - asked; n != 1 {
		t.Errorf("one soft purge made %d requests on two edges", n)
	}

	// Refresh: fetched again, so many at a time and no more.
	var now, most atomic.Int64
	app.set(func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
		}
		app.serve(w, r)
	})
	asked = app.Asked.Load()
	got = receipt{}
	a.admin("POST", "/v1/purge", map[string]any{"tags": []string{"pages"}, "refresh": true, "wait": "10s"}, &got)
	if got.Matched.Memory != 40 || got.Refresh == "" || !got.Complete {
		t.Errorf("refresh: %+v", got)
	}
	a.eventually("all to be fetched again", func() bool { return app.Asked.Load() == asked+40 })
	if n := most.Load(); n > 2 {
		t.Errorf("%d at a time", n)
	}
	a.eventually("all to be hits", func() bool { return a.memory() == 40 })
}

// TestASoftPurgeOutlastsAHeadThatSaysNothing has a HEAD fail, and another be
// one visitor's alone: what it left as it was is as stale as before.
func TestASoftPurgeOutlastsAHeadThatSaysNothing(t *testing.T) {
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead && r.Header.Get("Authorization") == "" {
			w.WriteHeader(http.StatusNotImplemented)
		}
	})
	e := startEdge(t, app.URL, redisURL(storetest.StartRedis(t)), simpleRoutes)
	v := e.visitor()
	v.get("/page/7")
	e.purge(map[string]any{"urls": []string{"/page/7"}, "soft": true})
	for _, fields := range [][]string{nil, {"Authorization: Basic YTpi"}} {
		if _, err := v.do("HEAD", "/page/7", "", fields...); err != nil {
			t.Fatal(err)
		}
	}
	if a := v.get("/page/7"); a.Hit() || !strings.Contains(a.Umbral(), "detail=soft-purged") {
		t.Errorf("after a soft purge and two HEADs: %s", a.Umbral())
	}
}

// TestAPurgeReachesWhatASearchAnswers: by whichever URL that it answers, by
// whichever way and edge, whatever that edge has seen itself.
func TestAPurgeReachesWhatASearchAnswers(t *testing.T) {
	redis := storetest.StartRedis(t)
	var version atomic.Int64
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		w.Header().Set("No-Vary-Search", `params=("u")`)
		fmt.Fprint(w, "version=", version.Load())
	})
	const routes, patient = "version: 1\nroutes:\n  - match: /\n    ttl: app\n", "REDIS_TIMEOUT=20s"
	a := startEdge(t, app.URL, redisURL(redis), routes, patient)
	b := startEdge(t, app.URL, redisURL(redis), routes, patient)
	purge := func(e *edge, what string) {
		var got receipt
		if code := e.admin("POST", "/v1/purge", map[string]any{"urls": []string{what}, "wait": "10s"}, &got); code != 200 || !got.Complete || got.Matched.Memory != 1 {
			t.Errorf("status %d, %+v", code, got)
		}
	}
	reload := func(e *edge) {
		if code := e.admin("POST", "/v1/reload", nil, nil); code != 200 {
			t.Errorf("reload: %d", code)
		}
	}
	for i, row := range []struct {
		name string
		do   func(page string)
	}{
		{"a purge by another URL", func(page string) { purge(a, "http://"+site+page+"?u=9") }},
		{"on another edge", func(page string) { purge(b, "http://"+site+page+"?u=9") }},
		{"on every host", func(page string) { purge(b, page) }},
		{"PURGE", func(page string) { b.raw("PURGE", page+"?u=9", "", bearer, "Host: "+site) }},
		{"DELETE", func(page string) { b.visitor().do("DELETE", page+"?u=9", "") }},
		{"a purge after a reload", func(page string) {
			reload(a)
			purge(a, "http://"+site+page+"?u=9")
		}},
		{"DELETE after a reload", func(page string) {
			reload(b)
			b.visitor().do("DELETE", page+"?u=9", "")
		}},
		{"DELETE on an edge that has just been started", func(page string) {
			b.stop()
			b = startEdge(t, app.URL, redisURL(redis), routes, patient)
			b.visitor().do("DELETE", page+"?u=9", "")
		}},
	} {
		page := fmt.Sprint("/", i)
		stored := commands(redis)["set"]
		old := a.visitor().get(page + "?u=1").Body
		within(t, "all to be written to Redis", func() bool { return commands(redis)["set"] >= stored+3 })
		for _, e := range []*edge{a, b} {
			within(t, "it to be found by another URL", func() bool { return e.visitor().get(page + "?u=9").Hit() })
		}
		version.Add(1)
		row.do(page)
		a.visitor().get("/other?u=1") // what the edge learns from this changes nothing
		for _, e := range []*edge{a, b} {
			within(t, "the purge to be heard of", func() bool { return e.visitor().get(page+"?u=9").Body != old })
		}
	}
	asked := app.Asked.Load()
	reload(a)
	if !a.visitor().get("/0?u=123").Hit() || app.Asked.Load() != asked {
		t.Error("after a reload, what a search answers is not found")
	}
}
