// Package e2e runs the real binary, built with the race detector, in front of
// real servers, and looks at it only from outside.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"umbral/proxy/store/storetest"
)

const (
	adminToken = "an-admin-token-for-tests-only"
	edgeSecret = "0123456789abcdef0123456789abcdef0123456789"
	// patience bounds every wait of a test, so that a bug fails and does not
	// hang; nothing is ever asserted to take less.
	patience = 30 * time.Second
)

// site is the name under which every edge is asked.
const site = "site.test"

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "umbral-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "umbral")
	build := exec.Command("go", append(append([]string{"build"}, buildFlags...), "-o", binary, "umbral/cmd/umbral")...)
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build umbral:", err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// edge is a running umbral serve.
type edge struct {
	t      testing.TB
	cmd    *exec.Cmd
	URL    string
	Admin  string
	Routes string // the routes file
	logs   *logs
	exited chan struct{}
	once   sync.Once
	plain  *client // for requests that bring their own cookies
}

// logs collects what the edge writes to stderr and stdout, and lets a test
// wait for a line.
type logs struct {
	mu    sync.Mutex
	lines []string
	more  chan struct{}
}

func (l *logs) add(line string) {
	l.mu.Lock()
	l.lines = append(l.lines, line)
	close(l.more)
	l.more = make(chan struct{})
	l.mu.Unlock()
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// waitFor returns the first line that contains s.
func (l *logs) waitFor(t testing.TB, s string, exited <-chan struct{}) string {
	t.Helper()
	late := time.After(patience)
	for seen := 0; ; {
		l.mu.Lock()
		lines, more := l.lines, l.more
		l.mu.Unlock()
		for ; seen < len(lines); seen++ {
			if strings.Contains(lines[seen], s) {
				return lines[seen]
			}
		}
		select {
		case <-more:
		case <-exited:
			t.Fatalf("the edge ended while the test waited for %q:\n%s", s, l)
		case <-late:
			t.Fatalf("no line with %q:\n%s", s, l)
		}
	}
}

// settings are what startEdge sets for every edge; env wins.
func startEdge(t testing.TB, upstream, redisURL, routes string, env ...string) *edge {
	t.Helper()
	file := filepath.Join(t.TempDir(), "routes.yaml")
	if err := os.WriteFile(file, []byte(routes), 0o600); err != nil {
		t.Fatal(err)
	}
	e := &edge{t: t, Routes: file, logs: &logs{more: make(chan struct{})}, exited: make(chan struct{})}
	e.cmd = exec.Command(binary, "serve")
	e.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(),
		"LISTEN=127.0.0.1:0", "ADMIN_LISTEN=127.0.0.1:0", "ADMIN_TOKEN=" + adminToken,
		"UPSTREAM_URL=" + upstream, "REDIS_URL=" + redisURL, "EDGE_SECRETS=" + edgeSecret,
		"ROUTES_FILE=" + file, "COOKIE_SECURE=false", "LOG_FORMAT=json",
	}, env...)
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	e.cmd.Stderr = e.cmd.Stdout
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		in := bufio.NewScanner(out)
		in.Buffer(nil, 1<<20)
		for in.Scan() {
			e.logs.add(in.Text())
		}
		_ = e.cmd.Wait()
		close(e.exited)
	}()
	t.Cleanup(e.kill)
	var line struct{ Listen, Admin string }
	if err := json.Unmarshal([]byte(e.logs.waitFor(t, `"serving"`, e.exited)), &line); err != nil {
		t.Fatal(err)
	}
	e.URL, e.Admin = "http://"+line.Listen, "http://"+line.Admin
	return e
}

func (e *edge) kill() {
	_ = e.cmd.Process.Signal(syscall.SIGKILL)
	<-e.exited
	if strings.Contains(e.logs.String(), "DATA RACE") {
		e.t.Errorf("the race detector spoke:\n%s", e.logs)
	}
}

// stop ends the edge as an orchestrator would, and returns its exit code.
func (e *edge) stop() int {
	_ = e.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-e.exited:
	case <-time.After(patience):
		e.t.Fatalf("the edge did not end:\n%s", e.logs)
	}
	return e.cmd.ProcessState.ExitCode()
}

// answer is a response read to its end.
type answer struct {
	*http.Response
	Body string
}

// Umbral returns our member of Cache-Status.
func (a answer) Umbral() string {
	lines := a.Header.Values("Cache-Status")
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1]
}

// Hit reports whether the answer came from the store.
func (a answer) Hit() bool { return strings.Contains(a.Umbral(), "; hit") }

// client is a browser of its own: cookies kept, redirects not followed.
type client struct {
	t    testing.TB
	http *http.Client
	base string
}

func (e *edge) browser() *client {
	jar, _ := cookiejar.New(nil)
	return e.client(jar)
}

// visitor keeps no cookies.
func (e *edge) visitor() *client { return e.client(nil) }

func (e *edge) client(jar http.CookieJar) *client {
	tr := &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}
	e.t.Cleanup(tr.CloseIdleConnections)
	return &client{t: e.t, base: e.URL, http: &http.Client{
		Transport: tr, Jar: jar, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// cookies returns what the browser would send to path.
func (c *client) cookies() []*http.Cookie {
	return c.http.Jar.Cookies(&url.URL{Scheme: "http", Host: site, Path: "/"})
}

// do sends a request; headers are "Name: value" lines.
func (c *client) do(method, path, body string, headers ...string) (answer, error) {
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, c.base+path, in)
	if err != nil {
		return answer{}, err
	}
	r.Host = site // the same on every edge, for it is part of the key
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp, string(b)}, err
}

func (c *client) get(path string, headers ...string) answer {
	c.t.Helper()
	a, err := c.do("GET", path, "", headers...)
	if err != nil {
		c.t.Fatalf("GET %s: %v", path, err)
	}
	return a
}

// post sends a form from the site's own pages.
func (c *client) post(path string, form url.Values, headers ...string) answer {
	c.t.Helper()
	headers = append([]string{"Content-Type: application/x-www-form-urlencoded", "Origin: http://" + site}, headers...)
	a, err := c.do("POST", path, form.Encode(), headers...)
	if err != nil {
		c.t.Fatalf("POST %s: %v", path, err)
	}
	return a
}

// admin calls the admin API with the token and decodes the answer.
func (e *edge) admin(method, path string, body, into any) int {
	e.t.Helper()
	b, _ := json.Marshal(body)
	if body == nil {
		b = nil
	}
	r, _ := http.NewRequest(method, e.Admin+path, bytes.NewReader(b))
	r.Header.Set("Authorization", "Bearer "+adminToken)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		e.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	got, _ := io.ReadAll(resp.Body)
	if into != nil && len(got) > 0 {
		if err := json.Unmarshal(got, into); err != nil {
			e.t.Fatalf("%s %s: %v in %s", method, path, err, got)
		}
	}
	return resp.StatusCode
}

// purge purges and demands a complete receipt.
func (e *edge) purge(what map[string]any) {
	e.t.Helper()
	what["wait"] = "10s"
	var receipt struct{ Complete bool }
	if code := e.admin("POST", "/v1/purge", what, &receipt); code != 200 || !receipt.Complete {
		e.t.Fatalf("purge %v: status %d, complete %v", what, code, receipt.Complete)
	}
}

// app is an upstream that a test scripts; it counts what it is asked.
type app struct {
	*httptest.Server
	Asked atomic.Int64
	mu    sync.Mutex
	h     http.HandlerFunc
	seen  []*http.Request
}

func startApp(t testing.TB, h http.HandlerFunc) *app {
	a := &app{h: h}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.Asked.Add(1)
		a.mu.Lock()
		h := a.h
		a.seen = append(a.seen, r.Clone(context.Background()))
		a.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(a.Close)
	return a
}

// last returns the newest request that the app has seen.
func (a *app) last() *http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen[len(a.seen)-1]
}

// set replaces what the app does.
func (a *app) set(h http.HandlerFunc) {
	a.mu.Lock()
	a.h = h
	a.mu.Unlock()
}

// redisURL is the URL of a server that storetest started.
func redisURL(r *storetest.Redis) string { return "redis://" + r.Addr }

// freePort returns a port that nobody listens on, and that nobody who dials it
// is given.
func freePort(t testing.TB) string { return strconv.Itoa(storetest.FreePort(t)) }

// eventually repeats check until it holds; between two tries it lets other
// processes run by asking the admin listener, never by sleeping.
func (e *edge) eventually(what string, check func() bool) {
	e.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if check() {
			return
		}
		e.admin("GET", "/healthz", nil, nil)
	}
	e.t.Fatalf("never: %s", what)
}
