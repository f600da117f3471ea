package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"umbral/proxy/store/storetest"
)

// stoppable is a server that can be killed, connections and all, and started
// again at its address.
type stoppable struct {
	URL, addr string
	handler   http.Handler
	mu        sync.Mutex
	server    *http.Server
}

func startStoppable(t testing.TB, h http.Handler) *stoppable {
	t.Helper()
	s := &stoppable{addr: "127.0.0.1:" + freePort(t), handler: h}
	s.URL = "http://" + s.addr
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	return s
}

func (s *stoppable) start() error {
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s.handler}
	s.mu.Lock()
	s.server = server
	s.mu.Unlock()
	go func() { _ = server.Serve(l) }()
	return nil
}

func (s *stoppable) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.server.Close()
}

const failureRoutes = `
version: 1
limits: {app_time: 2s}
routes:
  - match: /stale/{id}
    ttl: 1s
    stale_if_error: 4s
    stale_if_unreachable: 4s
  - match: /strict/{id}
    ttl: 1s
    stale_if_error: 0
    stale_if_unreachable: 0
`

// TestTheAppFails has the app fail in each way: what is stored is served while
// the rules allow it, then the failure shows; once the app is back all is as
// before.
func TestTheAppFails(t *testing.T) {
	for name, tt := range map[string]struct {
		fail, heal func(*stoppable, *app)
		end        int // what a visitor gets in the end
		own        bool
	}{
		"stopped": {
			fail: func(s *stoppable, _ *app) { s.kill() },
			heal: func(s *stoppable, _ *app) { _ = s.start() },
			end:  502, own: true,
		},
		"answers 500": {
			fail: func(_ *stoppable, a *app) {
				a.set(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "app's own words", 500) })
			},
			end: 500,
		},
		"hangs": {
			fail: func(_ *stoppable, a *app) {
				a.set(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
			},
			end: 504, own: true,
		},
		"cuts its answers short": {
			fail: func(_ *stoppable, a *app) {
				a.set(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Length", "100")
					fmt.Fprint(w, "half")
				})
			},
			end: 502, own: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := storetest.StartRedis(t)
			app := startApp(t, nil)
			pages := numbered()
			well := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "s-maxage=300") // a lifetime: the operator's stands above it
				pages(w, r)
			})
			app.set(well)
			front := startStoppable(t, app.Config.Handler)
			e := startEdge(t, front.URL, redisURL(redis), failureRoutes, "REDIS_TIMEOUT=20s")
			v := e.visitor()
			first := v.get("/stale/1")
			v.get("/strict/1")
			tt.fail(front, app)
			served := 0
			e.eventually("the end of the stale window", func() bool {
				a := v.get("/stale/1")
				if a.StatusCode != 200 {
					return true
				}
				if a.Body != first.Body {
					t.Fatalf("served %q", a.Body)
				}
				if strings.Contains(a.Umbral(), "fwd=stale") {
					served++
				}
				return false
			})
			if served == 0 {
				t.Error("nothing stale was served, or it did not say fwd=stale")
			}
			for _, path := range []string{"/stale/1", "/strict/1", "/stale/never-seen"} {
				a := v.get(path)
				if a.StatusCode != tt.end {
					t.Errorf("%s: status %d, want %d", path, a.StatusCode, tt.end)
				}
				if tt.own && (strings.Contains(a.Body, front.addr) || strings.Contains(a.Body, "refused") || strings.Contains(a.Body, "EOF")) {
					t.Errorf("%s: the page tells %q", path, a.Body)
				}
			}
			app.set(well)
			if tt.heal != nil {
				tt.heal(front, app)
			}
			e.eventually("the app's own answers", func() bool { a := v.get("/stale/1"); return a.StatusCode == 200 && a.Body != first.Body })
			e.eventually("hits", func() bool { return v.get("/stale/2").StatusCode == 200 && v.get("/stale/2").Hit() })
		})
	}
}

// TestALongAnswerCutShortCutsTheVisitor streams an answer too long to be read
// first: its visitor must see that it is not whole, and nobody else any of it.
func TestALongAnswerCutShortCutsTheVisitor(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "declared") {
			w.Header().Set("Content-Length", fmt.Sprint(3<<20))
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 2<<20))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	e := startEdge(t, app.URL, redisURL(redis), simpleRoutes)
	for _, path := range []string{"/page/declared", "/page/chunked"} {
		for range 2 {
			asked := app.Asked.Load()
			if a, err := e.visitor().do("GET", path, ""); err == nil || a.Response == nil {
				t.Errorf("%s: the visitor takes %d bytes for the whole", path, len(a.Body))
			}
			if app.Asked.Load() == asked {
				t.Errorf("%s: something of it was stored", path)
			}
		}
	}
}

// TestASlowRedisCostsItsTimeoutOnce has each answer of Redis take two thirds of
// the time-out: a page that would need several of them does not wait for all.
func TestASlowRedisCostsItsTimeoutOnce(t *testing.T) {
	t.Parallel()
	redis := storetest.StartRedis(t)
	app := startApp(t, numbered())
	way := startSluice(t, redis.Addr)
	const timeout = 3 * time.Second
	e := startEdge(t, app.URL, "redis://"+way.Addr, simpleRoutes, "REDIS_TIMEOUT="+timeout.String())
	v := e.visitor()
	v.get("/page/1")
	way.delay(timeout * 2 / 3)
	if a := v.get("/page/1"); !a.Hit() {
		t.Errorf("in memory, and no hit: %s", a.Umbral())
	}
	began := time.Now()
	if a := v.get("/page/2"); a.StatusCode != 200 {
		t.Errorf("%d", a.StatusCode)
	}
	if took := time.Since(began); took > timeout*5/3 {
		t.Errorf("a new page took %v with a time-out of %v", took, timeout)
	}
}

// TestAFullRedisIsNoReasonToForget leaves Redis without memory for twice the
// lag limit: nobody can purge, so that what is stored stays good. As soon as
// there is room a purge reaches every edge.
func TestAFullRedisIsNoReasonToForget(t *testing.T) {
	t.Parallel()
	redis := storetest.StartRedis(t)
	app := startPages(t, 10)
	var edges []*edge
	for range 2 {
		edges = append(edges, startEdge(t, app.URL, redisURL(redis), fleetRoutes))
	}
	edges[0].eventually("both know of each other", func() bool { return len(listEdges(edges[0])) == 2 })
	for _, e := range edges {
		e.visitor().get("/p/1")
	}
	redis.Do("CONFIG", "SET", "maxmemory", "1")
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); {
		for _, e := range edges {
			if a := e.visitor().get("/p/1"); !a.Hit() {
				t.Fatalf("no hit: %s", a.Umbral())
			}
		}
	}
	if code := edges[0].admin("POST", "/v1/purge", map[string]any{"tags": []string{"page:2"}}, nil); code != 503 {
		t.Errorf("a purge that Redis does not take: status %d", code)
	}
	app.versions[1].Add(1)
	redis.Do("CONFIG", "SET", "maxmemory", "0")
	var got receipt
	edges[0].eventually("a purge to be taken", func() bool {
		return edges[0].admin("POST", "/v1/purge", map[string]any{"tags": []string{"page:1"}, "wait": "10s"}, &got) == 200
	})
	if !got.Complete || len(got.Edges) != 2 {
		t.Errorf("%+v", got)
	}
	for _, e := range edges {
		if a := e.visitor().get("/p/1"); !strings.Contains(a.Body, "version=1") {
			t.Errorf("after the purge: %.40q %s", a.Body, a.Umbral())
		}
	}
}

// babble answers whatever it is asked with what is no answer.
func babble(t *testing.T, says string) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 4096)
				for {
					if _, err := conn.Read(buf); err != nil {
						return
					}
					if _, err := io.WriteString(conn, says); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// TestRedisFails has Redis fail in each way under requests. What is in memory
// is served, all else comes from the app; no visitor sees an error; the log
// says it once; and when Redis is well again, so is the edge.
func TestRedisFails(t *testing.T) {
	const down, refuses = "redis does not answer", "redis refuses writes"
	for name, tt := range map[string]struct {
		fail, heal func(*storetest.Redis)
		says       string
	}{
		"down":   {(*storetest.Redis).Kill, (*storetest.Redis).Restart, down},
		"paused": {(*storetest.Redis).Pause, (*storetest.Redis).Resume, down},
		"a replica": {
			func(r *storetest.Redis) { r.Do("REPLICAOF", "127.0.0.1", "1") },
			func(r *storetest.Redis) { r.Do("REPLICAOF", "NO", "ONE") }, refuses,
		},
		"full": {
			func(r *storetest.Redis) { r.Do("CONFIG", "SET", "maxmemory", "1") },
			func(r *storetest.Redis) { r.Do("CONFIG", "SET", "maxmemory", "0") }, refuses,
		},
		"wants another password": {
			func(r *storetest.Redis) {
				r.Do("ACL", "SETUSER", "tester", "on", "nopass", "~*", "&*", "+@all")
				r.Do("CONFIG", "SET", "requirepass", "changed")
				_, _ = r.As("tester", "", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
				_, _ = r.As("tester", "", "CLIENT", "KILL", "TYPE", "pubsub")
			},
			func(r *storetest.Redis) { _, _ = r.As("tester", "", "CONFIG", "SET", "requirepass", "") }, down,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := storetest.StartRedis(t)
			app := startApp(t, numbered())
			e := startEdge(t, app.URL, redisURL(redis), simpleRoutes, "REDIS_TIMEOUT=300ms", "ACCESS_LOG=off")
			v := e.visitor()
			v.get("/page/1")
			e.eventually("it is in Redis", func() bool { return len(pagesIn(t, redis)) > 0 })
			tt.fail(redis)
			asked := app.Asked.Load()
			for i := range 30 {
				if a := v.get("/page/1"); !a.Hit() {
					t.Fatalf("in memory, and no hit: %d %s", a.StatusCode, a.Umbral())
				}
				if a := v.get(fmt.Sprint("/page/new", i)); a.StatusCode != 200 {
					t.Fatalf("a new page: %d %s", a.StatusCode, a.Umbral())
				}
			}
			for _, a := range visits(t, []*edge{e}, 100, "/page/many") {
				if a.StatusCode != 200 {
					t.Errorf("one of many: %d %s", a.StatusCode, a.Umbral())
				}
			}
			if n := app.Asked.Load() - asked; n != 31 {
				t.Errorf("31 pages were %d requests: memory does not collapse them", n)
			}
			tt.heal(redis)
			e.eventually("pages to be written to Redis", func() bool {
				before := len(pagesIn(t, redis))
				v.get(fmt.Sprint("/page/back", app.Asked.Load()))
				return len(pagesIn(t, redis)) > before
			})
			said := 0
			for _, line := range strings.Split(e.logs.String(), "\n") {
				if strings.Contains(line, tt.says) {
					said++
				}
			}
			if said != 1 {
				t.Errorf("%q was said %d times:\n%s", tt.says, said, e.logs)
			}
		})
	}
}

// pagesIn lists the keys of the pages in a Redis.
func pagesIn(t *testing.T, r *storetest.Redis) []string {
	return slices.DeleteFunc(keysOf(t, r), func(k string) bool { return !strings.Contains(k, ":edge:c:") })
}

// TestAnEdgeStartsOnARedisThatIsNone starts edges on what is no Redis, or not
// theirs: each serves what the app says, and says that nothing is stored.
func TestAnEdgeStartsOnARedisThatIsNone(t *testing.T) {
	guarded := storetest.StartRedis(t)
	guarded.Do("CONFIG", "SET", "requirepass", "secret")
	for name, url := range map[string]string{
		"no protocol":      "redis://" + babble(t, "HTTP/1.1 400 Bad Request\r\n\r\n"),
		"yes to all":       "redis://" + babble(t, "+OK\r\n"),
		"numbers":          "redis://" + babble(t, ":1\r\n"),
		"noise":            "redis://" + babble(t, "\x00\xff\x13*9\r\n$-7\r\n"),
		"a wrong password": "redis://:wrong@" + guarded.Addr,
		"nobody there":     "redis://127.0.0.1:1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := startApp(t, numbered())
			e := startEdge(t, app.URL, url, simpleRoutes, "REDIS_TIMEOUT=300ms")
			for i := range 20 {
				if a := e.visitor().get(fmt.Sprint("/page/", i%5)); a.StatusCode != 200 || a.Umbral() != "umbral; fwd=uri-miss; detail=store-down" {
					t.Fatalf("%d %s", a.StatusCode, a.Umbral())
				}
			}
			for _, a := range visits(t, []*edge{e}, 100, "/page/many") {
				if a.StatusCode != 200 {
					t.Errorf("one of many: %d %s", a.StatusCode, a.Umbral())
				}
			}
			if code := e.stop(); code != 0 {
				t.Errorf("exit %d", code)
			}
		})
	}
}

// TestOnlyTheFirstTimeoutIsPaid has Redis stand still and asks for new pages
// one after the other: together they may wait for two time-outs (one a breaker
// of pages and one of the log's), not for one each.
func TestOnlyTheFirstTimeoutIsPaid(t *testing.T) {
	t.Parallel()
	redis := storetest.StartRedis(t)
	app := startApp(t, numbered())
	const timeout, pages = 3 * time.Second, 50
	e := startEdge(t, app.URL, redisURL(redis), simpleRoutes, "REDIS_TIMEOUT="+timeout.String())
	v := e.visitor()
	v.get("/page/1")
	redis.Pause()
	t.Cleanup(redis.Resume)
	began := time.Now()
	for i := range pages {
		if a := v.get(fmt.Sprint("/page/new", i)); a.StatusCode != 200 {
			t.Fatalf("%d", a.StatusCode)
		}
	}
	if took := time.Since(began); took > pages*timeout/4 {
		t.Errorf("%d pages took %v, with a time-out of %v", pages, took, timeout)
	}
}
