package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"umbral/proxy/store/storetest"
)

// post is a place for an edge that may be killed and started again: its
// addresses and its name among the others stay.
type post struct {
	t                testing.TB
	upstream, routes string
	env              []string

	mu   sync.Mutex
	edge *edge
	// life counts starts and ends, odd while the edge runs: whoever sees the
	// same odd number before and after a request knows that it ran all along.
	life atomic.Int64
}

func startPost(t testing.TB, upstream, redisURL, routes string, env ...string) *post {
	t.Helper()
	p := &post{t: t, upstream: upstream, routes: routes, env: append([]string{
		"REDIS_URL=" + redisURL, "LISTEN=127.0.0.1:" + freePort(t), "ADMIN_LISTEN=127.0.0.1:" + freePort(t), "ACCESS_LOG=off",
	}, env...)}
	p.start()
	return p
}

func (p *post) start() {
	p.t.Helper()
	e := startEdge(p.t, p.upstream, "", p.routes, p.env...)
	p.mu.Lock()
	p.edge = e
	p.mu.Unlock()
	p.life.Add(1)
}

// crash ends the edge as a crash would.
func (p *post) crash() {
	p.life.Add(1)
	p.now().kill()
}

func (p *post) now() *edge {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.edge
}

func (p *post) signal(s syscall.Signal) { _ = p.now().cmd.Process.Signal(s) }

// pages is an app that knows which version of each page it shows, and whose
// page it is. A page's version rises by one with each write.
type pages struct {
	*app
	versions []atomic.Int64
	pad      string
	dwell    func() // between reading a page and showing it, if not nil
}

func startPages(t testing.TB, n int) *pages {
	p := &pages{versions: make([]atomic.Int64, n), pad: strings.Repeat("content ", 100)}
	p.app = startApp(t, p.serve)
	return p
}

func (p *pages) serve(w http.ResponseWriter, r *http.Request) {
	if user, ok := strings.CutPrefix(r.URL.Path, "/in/"); ok {
		http.SetCookie(w, &http.Cookie{Name: "sessionid", Value: user + "-of-the-app", Path: "/"})
		w.Header().Set("X-Edge-Session-User", user)
		fmt.Fprint(w, "welcome ", user)
		return
	}
	user := "nobody"
	if c, err := r.Cookie("sessionid"); err == nil {
		user, _, _ = strings.Cut(c.Value, "-")
	}
	kind, id, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	n, err := strconv.Atoi(id)
	if err != nil || n >= len(p.versions) {
		http.NotFound(w, r)
		return
	}
	v := p.versions[n].Load()
	if p.dwell != nil {
		p.dwell()
	}
	tag := fmt.Sprintf(`"%s-%d-%d-%s"`, kind, n, v, user)
	w.Header().Set("Etag", tag)
	w.Header().Set("Content-Type", "text/html")
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	fmt.Fprintf(w, "%s page=%d version=%d user=%s\n%s", kind, n, v, user, p.pad)
}

// shown is what a page says of itself.
type shown struct {
	kind    string
	page    int
	version int64
	user    string
}

func readPage(body string) (s shown, err error) {
	_, err = fmt.Sscanf(body, "%s page=%d version=%d user=%s\n", &s.kind, &s.page, &s.version, &s.user)
	return s, err
}

// fleetRoutes are for pages: under /p/ public, under /mine/ one user's.
// Nothing is served stale but where the app is gone.
const fleetRoutes = `
version: 1
purge: {lag_limit: 2s}
sessions: {identity: {source: header}}
routes:
  - match: /p/{id}
    ttl: 10m
    tags: ["page:{id}", pages]
  - match: /mine/{id}
    ttl: 10m
    vary: user
    tags: ["page:{id}", pages]
  - match: /in/
    cache: off
`

// sluice is a way to Redis that a test can close: connections through it then
// stay open, and nothing goes through them any more.
type sluice struct {
	Addr string
	mu   sync.Mutex
	open chan struct{}
	late time.Duration // how long what the server says is under way
}

func startSluice(t testing.TB, to string) *sluice {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &sluice{Addr: l.Addr().String(), open: make(chan struct{})}
	close(g.open)
	done := make(chan struct{})
	t.Cleanup(func() { close(done); l.Close() })
	pass := func(to, from net.Conn, answers bool) {
		defer to.Close()
		defer from.Close()
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			g.mu.Lock()
			open, late := g.open, g.late
			g.mu.Unlock()
			if answers && late > 0 {
				timer := time.NewTimer(late)
				select {
				case <-timer.C:
				case <-done:
					return
				}
			}
			select {
			case <-open:
			case <-done:
				return
			}
			if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
				return
			}
		}
	}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			go pass(out, in, false)
			go pass(in, out, true)
		}
	}()
	return g
}

// delay has every answer from now on take so long.
func (g *sluice) delay(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.late = d
}

func (g *sluice) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

func (g *sluice) reopen() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.open)
}

// receipt is what a purge answers.
type receipt struct {
	ID       string
	Complete bool
	Matched  struct{ Memory int }
	Edges    []struct {
		ID      string
		Applied bool
		MS      float64
	}
	Refresh string
}

// ask is admin without a test to fail: the edge may be killed meanwhile.
func (e *edge) ask(method, path, body string) (int, []byte, error) {
	r, err := http.NewRequest(method, e.Admin+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+adminToken)
	r.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Timeout: patience}).Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, b, err
}

// stock has the edge hold /p/0 to /p/n-1 in memory.
func (e *edge) stock(n, workers int) {
	e.t.Helper()
	var next atomic.Int64
	var done sync.WaitGroup
	for range workers {
		done.Go(func() {
			v := e.visitor()
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				if a, err := v.do("GET", fmt.Sprint("/p/", i), ""); err != nil || a.StatusCode != 200 {
					e.t.Errorf("GET /p/%d: %v", i, err)
					return
				}
			}
		})
	}
	done.Wait()
}

// memory is how many pages the edge says that it has in memory.
func (e *edge) memory() int {
	var receipt receipt
	e.admin("POST", "/v1/purge", map[string]any{"all": true, "dry_run": true}, &receipt)
	return receipt.Matched.Memory
}

// within polls until done, as storetest.Eventually does.
func within(t testing.TB, what string, done func() bool) { storetest.Eventually(t, what, done) }
