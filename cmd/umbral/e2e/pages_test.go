package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"umbral/proxy/store/storetest"
)

const simpleRoutes = `
version: 1
routes:
  - match: /page/
    ttl: 15m
    tags: [pages]
  - match: /page/{id}
    ttl: 1h
    tags: ["page:{id}"]
    query: {keep: [page]}
  - match: /verify/{code}
    ttl: 24h
    status: {404: 30s, 301: 1d}
  - match: /mine/
    ttl: 1m
    vary: user
  - match: /tab/
    ttl: 1m
    vary: session
  - match: /off/
    cache: off
  - match: /app/
    ttl: app
`

// numbered answers every request with its own number, so that a stored answer
// can be told from a new one.
func numbered() http.HandlerFunc {
	n := make(chan int, 1)
	n <- 0
	return func(w http.ResponseWriter, r *http.Request) {
		i := <-n + 1
		n <- i
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, "%s %s #%d cookie=%q", r.Method, r.URL, i, r.Header.Get("Cookie"))
	}
}

func TestPagesAreServedWithoutTheApp(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, numbered())
	e := startEdge(t, app.URL, redisURL(redis), simpleRoutes)
	v := e.visitor()

	first := v.get("/page/7?utm_source=x")
	second := v.get("/page/7")
	if first.Hit() || !second.Hit() || first.Body != second.Body {
		t.Errorf("first %q (%s), second %q (%s)", first.Body, first.Umbral(), second.Body, second.Umbral())
	}
	if got := second.Header.Get("Age"); got == "" {
		t.Error("a hit has no Age (RFC 9111 §5.1)")
	}
	if got := second.Header.Get("Cache-Control"); got != "no-cache" {
		t.Errorf("the browser was told %q; under the operator's ttl it is to validate", got)
	}
	tag := second.Header.Get("Etag")
	if tag == "" {
		t.Fatal("no validator was made")
	}
	if a := v.get("/page/7", "If-None-Match: "+tag); a.StatusCode != 304 || a.Body != "" {
		t.Errorf("a second visit cost %d and %d bytes", a.StatusCode, len(a.Body))
	}
	head, err := v.do("HEAD", "/page/7", "")
	if err != nil || head.StatusCode != 200 || head.ContentLength != int64(len(second.Body)) || !head.Hit() {
		t.Errorf("HEAD: %v, length %d, %s", err, head.ContentLength, head.Umbral())
	}
	part := v.get("/page/7", "Range: bytes=0-3")
	if part.StatusCode != 206 || part.Body != second.Body[:4] {
		t.Errorf("range: %d %q", part.StatusCode, part.Body)
	}
	if got := app.Asked.Load(); got != 1 {
		t.Errorf("the app was asked %d times", got)
	}
	for _, path := range []string{"/off/", "/elsewhere"} {
		if v.get(path); v.get(path).Hit() {
			t.Errorf("%s was stored", path)
		}
	}
}

func TestNegativeAnswersAreKeptAsNamed(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "gone") {
			http.Error(w, "broken", http.StatusInternalServerError)
			return
		}
		http.NotFound(w, r)
	})
	e := startEdge(t, app.URL, redisURL(redis), simpleRoutes)
	v := e.visitor()
	v.get("/verify/x")
	if a := v.get("/verify/x"); a.StatusCode != 404 || !a.Hit() {
		t.Errorf("404: %s", a.Umbral())
	}
	v.get("/verify/gone")
	if a := v.get("/verify/gone"); a.StatusCode != 500 || a.Hit() {
		t.Errorf("500: %s", a.Umbral())
	}
}

func TestTwoEdgesShareWhatOneStored(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, numbered())
	a := startEdge(t, app.URL, redisURL(redis), simpleRoutes)
	b := startEdge(t, app.URL, redisURL(redis), simpleRoutes)
	first := a.visitor().get("/page/7")
	redis.Eventually("the page is in Redis", func() bool { // it is written behind the visitor
		return slices.ContainsFunc(keysOf(t, redis), func(k string) bool { return strings.Contains(k, ":edge:c:") })
	})
	if got := b.visitor().get("/page/7").Body; got != first.Body {
		t.Errorf("%q on one edge, %q on the other", first.Body, got)
	}
	for _, what := range []map[string]any{
		{"tags": []string{"page:7"}},
		{"urls": []string{"/page/7"}},
		{"prefixes": []string{"/page/"}},
		{"all": true},
	} {
		old := b.visitor().get("/page/7").Body
		a.visitor().get("/page/7")
		a.purge(what)
		for _, e := range []*edge{a, b} {
			if got := e.visitor().get("/page/7"); got.Body == old {
				t.Errorf("purge %v: an edge still serves %q", what, got.Body)
			}
		}
	}
}

// TestRedisGoesAndComesBackUnderRequests: eight visitors never stop asking for
// public pages, known and new, while Redis is stopped, killed and started.
func TestRedisGoesAndComesBackUnderRequests(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, numbered())
	e := startEdge(t, app.URL, redisURL(redis), simpleRoutes, "REDIS_TIMEOUT=200ms")
	var asked atomic.Int64
	stop, failed := make(chan struct{}), make(chan error, 8)
	for i := range 8 {
		go func() {
			v := e.visitor()
			for n := 0; ; n++ {
				select {
				case <-stop:
					failed <- nil
					return
				default:
				}
				path := [...]string{"/page/7", fmt.Sprintf("/page/new-%d-%d", i, n), "/elsewhere"}[n%3]
				a, err := v.do("GET", path, "")
				if err != nil || a.StatusCode != 200 || !strings.HasPrefix(a.Body, "GET "+path) {
					failed <- fmt.Errorf("GET %s: %v %v", path, a.Response, err)
					return
				}
				asked.Add(1)
			}
		}()
	}
	more := func(n int64) {
		from := asked.Load()
		e.eventually(fmt.Sprintf("%d more answers", n), func() bool {
			select {
			case err := <-failed:
				t.Fatal(err)
			default:
			}
			return asked.Load() >= from+n
		})
	}
	v := e.visitor()
	more(200)
	for i, end := range []func(){redis.Stop, redis.Kill} {
		end()
		more(500)
		redis.Restart()
		more(500)
		back := fmt.Sprintf("/page/back-%d", i)
		e.eventually("pages are stored again", func() bool { v.get(back); return v.get(back).Hit() })
		redis.Eventually("Redis has them too", func() bool {
			return slices.ContainsFunc(keysOf(t, redis), func(k string) bool { return strings.Contains(k, ":edge:c:") })
		})
	}
	close(stop)
	for range 8 {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
}

// TestCookielessVisitsLeaveNoSession: visitors who never send a cookie back,
// on public pages, forms and sign-out pages, add no key to Redis.
func TestCookielessVisitsLeaveNoSession(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/accounts/login/":
			http.SetCookie(w, &http.Cookie{Name: "csrftoken", Value: "a-csrf-token", Path: "/"})
		case "/accounts/logout/":
			http.SetCookie(w, &http.Cookie{Name: "sessionid", Path: "/", MaxAge: -1})
		}
		fmt.Fprint(w, "ok")
	})
	e := startEdge(t, app.URL, redisURL(redis), simpleRoutes)
	paths := [...]string{"/page/7", "/accounts/login/", "/accounts/logout/", "/elsewhere"}
	for _, path := range paths {
		e.visitor().get(path)
	}
	redis.Eventually("the page is in Redis", func() bool {
		return slices.ContainsFunc(keysOf(t, redis), func(k string) bool { return strings.Contains(k, ":edge:c:") })
	})
	before := keysOf(t, redis)

	const visits = 10000
	errs := make(chan error, 8)
	for range 8 {
		go func() {
			v := e.visitor()
			for i := range visits / 8 {
				path := paths[i%len(paths)]
				if a, err := v.do("GET", path, ""); err != nil || a.StatusCode != 200 {
					errs <- fmt.Errorf("GET %s: %v %v", path, a.Response, err)
					return
				}
			}
			errs <- nil
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range keysOf(t, redis) {
		if !slices.Contains(before, key) {
			t.Errorf("10,000 visits without a cookie left %s", key)
		}
	}
}

// keysOf lists every key of a Redis.
func keysOf(t *testing.T, r *storetest.Redis) []string {
	c := goredis.NewClient(&goredis.Options{Addr: r.Addr})
	defer c.Close()
	keys, err := c.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestStreamsAndUpgradesPassThrough(t *testing.T) {
	redis := storetest.StartRedis(t)
	release := make(chan struct{})
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/off/events":
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: one\n\n")
			w.(http.Flusher).Flush()
			<-release
			fmt.Fprint(w, "data: two\n\n")
		case "/off/ws":
			conn, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
			rw.Flush()
			line, _ := rw.ReadString('\n')
			fmt.Fprint(rw, "echo "+line)
			rw.Flush()
		}
	})
	e := startEdge(t, app.URL, redisURL(redis), simpleRoutes)

	resp, err := http.Get(e.URL + "/off/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	if line, _ := in.ReadString('\n'); line != "data: one\n" {
		t.Errorf("first event %q", line)
	}
	close(release) // the first event had come before the second was sent
	rest, _ := io.ReadAll(in)
	if !strings.Contains(string(rest), "data: two") {
		t.Errorf("rest %q", rest)
	}

	r, _ := http.NewRequest("GET", e.URL+"/off/ws", nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	ws, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || ws.StatusCode != 101 {
		t.Fatalf("upgrade: %v %v", err, ws)
	}
	rw := ws.Body.(io.ReadWriteCloser)
	defer rw.Close()
	fmt.Fprint(rw, "hello\n")
	if line, _ := bufio.NewReader(rw).ReadString('\n'); line != "echo hello\n" {
		t.Errorf("through the upgrade came %q", line)
	}
}
