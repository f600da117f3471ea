package e2e

import (
	"strings"
	"syscall"
	"testing"

	"umbral/proxy/store/storetest"
)

// TestReceiptsOfSeveralEdges: who has applied a purge, and who has not by the
// deadline.
func TestReceiptsOfSeveralEdges(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := contractApp(t)
	a := startEdge(t, app.URL, redisURL(redis), contractRoutes)
	b := startEdge(t, app.URL, redisURL(redis), contractRoutes)
	type receipt struct {
		ID       string
		Complete bool
		Edges    []struct {
			ID      string
			Applied bool
			MS      *float64
		}
	}
	purge := func(wait string) (r receipt) {
		t.Helper()
		if code := a.admin("POST", "/v1/purge", map[string]any{"tags": []string{"pages"}, "wait": wait}, &r); code != 200 || r.ID == "" {
			t.Fatalf("purge: %d %+v", code, r)
		}
		return r
	}
	a.eventually("both are listed", func() bool {
		var list struct {
			Edges []struct {
				ID   string
				Self bool
			}
		}
		a.admin("GET", "/v1/edges", nil, &list)
		return len(list.Edges) == 2 && list.Edges[0].ID != list.Edges[1].ID && list.Edges[0].Self != list.Edges[1].Self
	})
	r := purge("10s")
	if !r.Complete || len(r.Edges) != 2 || !r.Edges[0].Applied || !r.Edges[1].Applied || r.Edges[0].MS == nil {
		t.Errorf("both alive: %+v", r)
	}
	if err := b.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	r = purge("200ms")
	applied := 0
	for _, e := range r.Edges {
		if e.Applied {
			applied++
		}
	}
	if r.Complete || len(r.Edges) != 2 || applied != 1 {
		t.Errorf("one held: %+v", r)
	}
	if code, out, stderr := a.umbral("purge", "--tag", "pages", "--wait", "200ms"); code != 1 || !strings.Contains(out, ": not yet\n") || stderr != "umbral: not every edge had applied the purge after 200ms\n" {
		t.Errorf("the command: %d %s%s", code, out, stderr)
	}
	if err := b.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if r = purge("10s"); !r.Complete {
		t.Errorf("let go: %+v", r)
	}
	// One that ends leaves the list, and nobody waits for it.
	if code := b.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	a.eventually("one is left", func() bool { r := purge("1s"); return r.Complete && len(r.Edges) == 1 })
}

// TestSessionsOnARedisOfTheirOwn: nothing of a session on the cache's, nothing
// of the cache on the sessions'.
func TestSessionsOnARedisOfTheirOwn(t *testing.T) {
	cache, jars := storetest.StartRedis(t), storetest.StartRedis(t)
	e := startEdge(t, contractApp(t).URL, redisURL(cache), contractRoutes, "SESSIONS_REDIS_URL="+redisURL(jars))
	ana := e.signIn("ana")
	ana.get("/mine/x")
	ana.get("/page/7")
	cache.Eventually("both pages are stored", func() bool {
		n := 0
		for _, key := range keysOf(t, cache) {
			if strings.Contains(key, ":edge:c:") {
				n++
			}
		}
		return n == 2
	})
	for _, key := range keysOf(t, cache) {
		if strings.Contains(key, ":edge:s:") || strings.Contains(key, ":edge:u:") {
			t.Errorf("%s on the cache's Redis", key)
		}
	}
	sessions := 0
	for _, key := range keysOf(t, jars) {
		if strings.Contains(key, ":edge:c:") {
			t.Errorf("%s on the sessions' Redis", key)
		}
		if strings.Contains(key, ":edge:s:") {
			sessions++
		}
	}
	if sessions != 1 {
		t.Errorf("%d sessions", sessions)
	}
	// The cache may be flushed, and nobody is signed out.
	cache.Do("FLUSHALL")
	if got := ana.get("/off/x").Body; !strings.Contains(got, "sid-of-ana") {
		t.Errorf("after the cache was flushed: %s", got)
	}
}
