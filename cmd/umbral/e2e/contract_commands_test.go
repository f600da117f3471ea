package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"umbral/proxy/store/storetest"
)

// umbral runs a command of the real binary against the edge.
func (e *edge) umbral(args ...string) (code int, stdout, stderr string) {
	e.t.Helper()
	var out, err bytes.Buffer
	cmd := e.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &err
	fault := cmd.Run()
	var exit *exec.ExitError
	if fault != nil && !errors.As(fault, &exit) {
		e.t.Fatalf("umbral %v: %v", args, fault)
	}
	return cmd.ProcessState.ExitCode(), out.String(), err.String()
}

func (e *edge) command(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "ADMIN_LISTEN=" + strings.TrimPrefix(e.Admin, "http://"), "ADMIN_TOKEN=" + adminToken}
	return cmd
}

// follow starts a command that does not end by itself and returns what it
// writes, line by line.
func (e *edge) follow(args ...string) (l *logs, exited <-chan struct{}, cmd *exec.Cmd) {
	e.t.Helper()
	l = &logs{more: make(chan struct{})}
	cmd = e.command(args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		e.t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		for in := bufio.NewScanner(out); in.Scan(); {
			l.add(in.Text())
		}
		_ = cmd.Wait()
		close(done)
	}()
	e.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
	})
	return l, done, cmd
}

// contractRoutes is what the tests of the contract share.
const contractRoutes = `
version: 1
defaults:
  query: {drop: [utm_*, gclid], sort: true}
routes:
  - match: /page/{id}
    ttl: 1h
    tags: [pages, "page:{id}"]
  - match: /verify/{code}
    ttl: 24h
    status: {404: 30s, 301: 1d}
  - match: /mine/
    ttl: 1m
    vary: user
  - match: POST /login
    control: on
    rate_limit: {rate: 100/m, by: ip}
  - match: /off/
    cache: off
  - match: /app/
    ttl: app
sessions: {identity: {source: header}}
`

// contractApp numbers its answers, signs in whoever posts to /login, and has
// a page for each case of the contract.
func contractApp(t testing.TB) *app {
	n := numbered()
	return startApp(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/login":
			user := r.FormValue("user")
			http.SetCookie(w, &http.Cookie{Name: "sessionid", Value: "sid-of-" + user, Path: "/", HttpOnly: true, MaxAge: 3600})
			w.Header().Set("X-Edge-Session-User", user)
		case strings.HasSuffix(r.URL.Path, "/none"):
			w.WriteHeader(http.StatusNotFound)
		case strings.HasSuffix(r.URL.Path, "/broken"):
			w.WriteHeader(http.StatusInternalServerError)
		case strings.HasSuffix(r.URL.Path, "/moved"):
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusMovedPermanently)
		}
		n(w, r)
	})
}

// signIn returns a browser in which user is signed in.
func (e *edge) signIn(user string) *client {
	e.t.Helper()
	c := e.browser()
	if a := c.post("/login", map[string][]string{"user": {user}}); a.StatusCode != 200 || len(c.cookies()) != 1 {
		e.t.Fatalf("sign in as %s: %d, cookies %v", user, a.StatusCode, c.cookies())
	}
	return c
}

func TestTailShowsRequestsWithTheirVerdicts(t *testing.T) {
	redis := storetest.StartRedis(t)
	e := startEdge(t, contractApp(t).URL, redisURL(redis), contractRoutes)
	ana, ben := e.signIn("ana"), e.signIn("ben")
	all, allEnd, allCmd := e.follow("tail")
	json, jsonEnd, _ := e.follow("tail", "--json")
	hits, hitsEnd, _ := e.follow("tail", "--verdict", "hit")
	anas, anasEnd, _ := e.follow("tail", "--user", "ana")
	pages, pagesEnd, _ := e.follow("tail", "--path", "/page/*")
	// Each stream is open once it shows this; a stream of one user shows no
	// other's.
	awaitStream := func(l *logs, end <-chan struct{}, c *client, path string) {
		t.Helper()
		for i := 0; !strings.Contains(l.String(), path); i++ {
			select {
			case <-end:
				t.Fatalf("tail ended: %s", l)
			default:
				c.get(path)
				c.get(path)
			}
			if i > 2000 {
				t.Fatalf("tail shows nothing of %s", path)
			}
		}
	}
	awaitStream(all, allEnd, ben, "/page/start-all")
	awaitStream(json, jsonEnd, ben, "/page/start-json")
	awaitStream(hits, hitsEnd, ben, "/page/start-hits")
	awaitStream(pages, pagesEnd, ben, "/page/start-pages")
	awaitStream(anas, anasEnd, ana, "/mine/start")

	ben.get("/mine/ben")
	ben.get("/page/7")
	ben.get("/page/7")
	ana.get("/mine/ana")
	e.visitor().get("/off/x")
	e.purge(map[string]any{"tags": []string{"pages"}})
	late := e.signIn("ana") // a second device
	late.get("/page/of-ana")

	for _, want := range []string{
		` 200 GET     ` + site + `/page/7 miss nothing-stored `, ` 200 GET     ` + site + `/page/7 hit memory `,
		site + `/off/x bypass route-off `, `--- purge {"time":"`,
	} {
		all.waitFor(t, want, allEnd)
	}
	line := json.waitFor(t, `"path":"/off/x"`, jsonEnd)
	if !regexp.MustCompile(`^\{"type":"request","time":"[^"]+","id":"[^"]+","method":"GET","host":"site.test","path":"/off/x","status":200,`).MatchString(line) {
		t.Errorf("--json: %s", line)
	}
	anas.waitFor(t, site+"/page/of-ana", anasEnd)
	hits.waitFor(t, site+"/page/7 hit", hitsEnd)
	pages.waitFor(t, site+"/page/of-ana", pagesEnd)
	if got := anas.String(); strings.Contains(got, "/page/7") || strings.Contains(got, "/mine/ben") || !strings.Contains(got, "/mine/ana") || strings.Contains(got, "purge") {
		t.Errorf("--user ana: %s", got)
	}
	if got := hits.String(); strings.Contains(got, "miss") || strings.Contains(got, "bypass") {
		t.Errorf("--verdict hit: %s", got)
	}
	if got := pages.String(); strings.Contains(got, "/mine/") || strings.Contains(got, "/off/") {
		t.Errorf("--path: %s", got)
	}

	// Ctrl-C is no fault.
	_ = allCmd.Process.Signal(syscall.SIGINT)
	select {
	case <-allEnd:
	case <-time.After(patience):
		t.Fatal("tail does not end")
	}
	if code := allCmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("tail ended with %d", code)
	}
}

func TestPurgeCommandPrintsItsReceipt(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := contractApp(t)
	e := startEdge(t, app.URL, redisURL(redis), contractRoutes)
	v := e.visitor()
	ana := e.signIn("ana")
	for _, test := range []struct {
		args string
		page string
		by   *client
	}{
		{"--url http://site.test/page/1?utm_source=x", "/page/1", v},
		{"--url /page/1", "/page/1", v},
		{"--prefix http://site.test/page/", "/page/1", v},
		{"--prefix /page/", "/page/1", v},
		{"--url /page/ñ", "/page/%c3%b1", v},
		{"--url http://site.test/page/%C3%B1?a=%7e", "/page/%c3%b1?%61=~", v},
		{"--prefix /page/a", "/page/%61b", v},
		{"--tag page:1", "/page/1", v},
		{"--tag nothing --tag pages", "/page/1", v},
		{"--user ana", "/mine/x", ana},
		{"--all", "/page/1", v},
	} {
		test.by.get(test.page)
		old := test.by.get(test.page)
		if !old.Hit() {
			t.Fatalf("%s: not stored: %s", test.page, old.Umbral())
		}
		code, out, stderr := e.umbral(append([]string{"purge", "--dry-run"}, strings.Fields(test.args)...)...)
		if code != 0 || !regexp.MustCompile(`^dry run: [1-9]\d* pages? in this edge's memory would go; nothing was purged\n$`).MatchString(out) {
			t.Errorf("%s --dry-run: %d %s%s", test.args, code, out, stderr)
		}
		if !test.by.get(test.page).Hit() {
			t.Errorf("%s: the dry run purged", test.args)
		}
		code, out, stderr = e.umbral(append([]string{"purge", "--wait", "5s"}, strings.Fields(test.args)...)...)
		if code != 0 || stderr != "" || !regexp.MustCompile(`(?s)^purge \S+ at \S+ \S+\n  matched: [1-9]\d* pages? .*\n  edge \S+: applied after [\d.]+ ms\n  complete: every live edge has applied it\n$`).MatchString(out) {
			t.Errorf("%s: %d %s%s", test.args, code, out, stderr)
		}
		if got := test.by.get(test.page); got.Hit() || got.Body == old.Body {
			t.Errorf("%s: the old page is served: %s", test.args, got.Umbral())
		}
	}

	var sessions struct{ Sessions []struct{ ID string } }
	e.admin("GET", "/v1/sessions?user=ana", nil, &sessions)
	if len(sessions.Sessions) != 1 {
		t.Fatalf("sessions of ana: %v", sessions)
	}
	e.admin("GET", "/healthz", nil, nil)
	if code, out, stderr := e.umbral("purge", "--session", sessions.Sessions[0].ID, "--wait", "5s"); code != 0 || !strings.Contains(out, "complete") {
		t.Errorf("--session: %d %s%s", code, out, stderr)
	}

	// Soft: the old page is validated, or served while it is fetched.
	v.get("/page/soft")
	if code, _, stderr := e.umbral("purge", "--soft", "--url", "/page/soft", "--wait", "5s"); code != 0 {
		t.Errorf("--soft: %s", stderr)
	}
	if a := v.get("/page/soft"); !strings.Contains(a.Umbral(), "detail=soft-purged") {
		t.Errorf("after --soft: %s", a.Umbral())
	}

	// Refresh: fetched again without a visitor.
	v.get("/page/again")
	asked := app.Asked.Load()
	code, out, stderr := e.umbral("purge", "--refresh", "--tag", "page:again", "--wait", "5s")
	if code != 0 || !strings.Contains(out, "  fetching what went again: job ") {
		t.Errorf("--refresh: %d %s%s", code, out, stderr)
	}
	e.eventually("the page is fetched again", func() bool { return app.Asked.Load() > asked })
	e.eventually("the page is stored again", func() bool { return v.get("/page/again").Hit() })
	if got := app.Asked.Load(); got != asked+1 {
		t.Errorf("asked %d times for one page", got-asked)
	}
}

// TestWrongUsageIsTwo: CONTRACT.md §1, also where the edge has to find it.
func TestWrongUsageIsTwo(t *testing.T) {
	redis := storetest.StartRedis(t)
	e := startEdge(t, contractApp(t).URL, redisURL(redis), contractRoutes)
	for _, args := range [][]string{
		{"purge", "--tag", ""}, {"purge", "--all", "--wait", "1h"}, {"purge", "--prefix", "/a*"}, {"purge", "--url", "ftp://x/"},
		{"explain", "ftp://x"}, {"explain", "/a", "--method", "A B"}, {"warm", "--sitemap", "/sitemap.xml", "--concurrency", "1000"},
	} {
		if code, out, stderr := e.umbral(args...); code != 2 || out != "" || !strings.HasPrefix(stderr, "umbral: the edge says: ") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: %d %s%s", args, code, out, stderr)
		}
	}
}

func TestExplainCommandSaysWhy(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := contractApp(t)
	e := startEdge(t, app.URL, redisURL(redis), contractRoutes)
	e.visitor().get("/page/7")
	ana := e.signIn("ana")
	ana.get("/mine/x")
	cookie := "Cookie:" + ana.cookies()[0].String()
	for _, test := range []struct {
		args string
		want []string
	}{
		{"http://site.test/page/7?utm_source=x", []string{"request       GET site.test/page/7\n", "route         /page/{id}\n", "vary          public\n", "ttl           1h\n", "host = site.test\n", "query = \n", "note          the query \"utm_source=x\" stands in the key as \"\"\n", "tags          pages page:7\n", "memory        status 200, age ", "verdict       serve\n", "Cache-Status  umbral; hit; ttl="}},
		{"http://site.test/page/8", []string{"memory        nothing stored\n", "redis         nothing stored\n", "verdict       forward\n", "reason        nothing-stored\n"}},
		{"http://site.test/mine/x --user ana", []string{"vary          user\n", "memory        status 200", "verdict       serve\n"}},
		{"http://site.test/mine/x --user ben", []string{"memory        nothing stored\n", "verdict       forward\n"}},
		{"http://site.test/mine/x --header " + cookie, []string{"memory        status 200", "verdict       serve\n", "Cache-Status  umbral; hit; ttl="}},
		{"http://site.test/mine/x --user ben --header " + cookie, []string{"memory        nothing stored\n", "verdict       forward\n"}},
		{"http://site.test/mine/x --header Cookie:umbral=x", []string{"memory        nothing stored\n", "verdict       forward\n"}},
		{"http://site.test/page/7 --header " + cookie, []string{"verdict       serve\n"}},
		{"http://site.test/page/none", []string{"verdict       forward\n", "reason        hit-for-miss\n", "Cache-Status  umbral; fwd=bypass; detail=hit-for-miss\n"}},
		{"https://site.test/page/7", []string{"scheme = https\n", "verdict       forward\n", "reason        nothing-stored\n"}},
		{"http://site.test/page/7 --method FROB", []string{"route         /page/{id}\n", "verdict       refuse\n", "reason        request-refused\n", "Cache-Status  umbral; detail=request-refused\n", "note          the edge answers it itself, with 501 Not Implemented\n"}},
		{"http://site.test/page/7 --method TRACE", []string{"verdict       refuse\n", "reason        request-refused\n", "with 405 Method Not Allowed\n"}},
		{"http://site.test/.umbral/logout --method POST", []string{"verdict       refuse\n", "reason        edge-answer\n"}},
		{"http://site.test/page/7 --method POST", []string{"reason        uncacheable-method\n"}},
		{"http://site.test/off/", []string{"ttl           off\n", "reason        route-off\n"}},
		{"http://site.test/login --method POST", []string{"route         POST /login\n", "ttl           off\n"}},
		{"http://site.test/page/7 --header Range:bytes=0-1", []string{"verdict       serve\n"}},
		{"site.test/page/7", []string{"verdict       serve\n"}},
		{"/page/7", []string{"request       GET site.test/page/7\n", "verdict       serve\n", "note          meant on site.test, the site as far as it is known\n"}}, // the site that visitors name
	} {
		if strings.HasSuffix(test.args, "/none") {
			e.visitor().get("/page/none") // a 404, which the route does not name: remembered for a moment
		}
		before := app.Asked.Load()
		code, out, stderr := e.umbral(append([]string{"explain"}, strings.Fields(test.args)...)...)
		if code != 0 || stderr != "" {
			t.Errorf("%s: %d %s", test.args, code, stderr)
		}
		for _, want := range test.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %q is missing from\n%s", test.args, want, out)
			}
		}
		if app.Asked.Load() != before {
			t.Errorf("%s asked the app", test.args)
		}
	}
}

func TestSessionsCommandListsAndRevokes(t *testing.T) {
	redis := storetest.StartRedis(t)
	e := startEdge(t, contractApp(t).URL, redisURL(redis), contractRoutes)
	ana, phone, ben := e.signIn("ana"), e.signIn("ana"), e.signIn("ben")
	rows := func(args ...string) []string {
		t.Helper()
		code, out, stderr := e.umbral(append([]string{"sessions", "list"}, args...)...)
		if code != 0 || stderr != "" {
			t.Fatalf("list %v: %d %s", args, code, stderr)
		}
		return strings.Split(strings.TrimSpace(out), "\n")[1:]
	}
	if got := rows(); len(got) != 3 {
		t.Errorf("all: %q", got)
	}
	if got := rows("--user", "ana"); len(got) != 2 || !strings.Contains(got[0], "ana") {
		t.Errorf("ana's: %q", got)
	}
	id := strings.Fields(rows("--user", "ben")[0])[0]
	if got := rows("--session", id); len(got) != 1 || !strings.Contains(got[0], "ben") {
		t.Errorf("one: %q", got)
	}
	if code, out, _ := e.umbral("sessions", "list", "--user", "nobody"); code != 0 || out != "no session\n" {
		t.Errorf("nobody's: %d %s", code, out)
	}
	signedIn := func(c *client) bool { return strings.Contains(c.get("/off/x").Body, "sid-of-") }
	if code, out, stderr := e.umbral("sessions", "revoke", "--session", id); code != 0 || !strings.HasPrefix(out, "1 session revoked\n") {
		t.Errorf("revoke one: %d %s%s", code, out, stderr)
	}
	if signedIn(ben) || !signedIn(ana) {
		t.Error("ben is to be out, and ana in")
	}
	if code, out, stderr := e.umbral("sessions", "revoke", "--user", "ana"); code != 0 || !strings.HasPrefix(out, "2 sessions revoked\n") {
		t.Errorf("revoke ana: %d %s%s", code, out, stderr)
	}
	if signedIn(ana) || signedIn(phone) {
		t.Error("ana is to be out everywhere")
	}
	if code, _, stderr := e.umbral("sessions", "revoke", "--session", id); code != 1 || stderr != "umbral: the edge says: there is none of that name\n" {
		t.Errorf("revoke again: %d %s", code, stderr)
	}
	ana, ben = e.signIn("ana"), e.signIn("ben")
	if code, out, stderr := e.umbral("sessions", "revoke", "--all"); code != 0 || !strings.HasPrefix(out, "2 sessions revoked\n") {
		t.Errorf("revoke all: %d %s%s", code, out, stderr)
	}
	if signedIn(ana) || signedIn(ben) || len(rows()) != 0 {
		t.Error("all are to be out")
	}
}

func TestStatsTopAndHealthcheck(t *testing.T) {
	redis := storetest.StartRedis(t)
	e := startEdge(t, contractApp(t).URL, redisURL(redis), contractRoutes)
	v := e.visitor()
	for range 4 {
		v.get("/page/7")
	}
	v.get("/off/x")
	code, out, stderr := e.umbral("stats")
	for _, want := range []string{"requests   5, 0 in flight, ", "hit ratio  75.0%: 3 hits (0 stale), 1 misses, 1 passed by, 0 errors\n", "memory     1 entries, ", "redis      7", "app        http://127.0.0.1:"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("stats lacks %q: %d\n%s%s", want, code, out, stderr)
		}
	}
	code, out, stderr = e.umbral("top", "--times", "2", "--every", "10ms")
	if code != 0 || strings.Count(out, "requests   5") != 2 || !strings.Contains(out, "  /page/{id}\n") || strings.Contains(out, "\x1b") {
		t.Errorf("top: %d\n%s%s", code, out, stderr)
	}
	if code, out, _ := e.umbral("healthcheck"); code != 0 || out != "alive\n" {
		t.Errorf("healthcheck: %d %s", code, out)
	}
	e.stop()
	if code, _, stderr := e.umbral("healthcheck"); code != 1 || !strings.HasPrefix(stderr, "umbral: the edge does not answer at ") {
		t.Errorf("healthcheck of nobody: %d %s", code, stderr)
	}
	if code, _, stderr := e.umbral("stats"); code != 1 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "ADMIN_LISTEN") {
		t.Errorf("stats of nobody: %d %s", code, stderr)
	}
}

func TestWarmCommandFetchesAheadOfVisitors(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := contractApp(t)
	h := app.h
	app.set(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/sitemap.xml" {
			fmt.Fprintf(w, `<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
<url><loc>https://%[1]s/page/1</loc></url><url><loc>https://%[1]s/page/2</loc></url><url><loc>https://%[1]s/page/3</loc></url></urlset>`, site)
			return
		}
		h(w, r)
	})
	e := startEdge(t, app.URL, redisURL(redis), contractRoutes)
	code, out, stderr := e.umbral("warm", "--sitemap", "http://"+site+"/sitemap.xml", "--every", "5ms")
	if code != 0 || stderr != "" || !regexp.MustCompile(`^3 pages in \S+: 3 fetched, 0 failed, 0 skipped\n  stored       3\n$`).MatchString(out) {
		t.Errorf("sitemap: %d\n%s%s", code, out, stderr)
	}
	if !e.visitor().get("/page/2").Hit() {
		t.Error("the page was not warmed")
	}
	// A bar, but only where somebody looks.
	terminal := exec.Command("script", "-qec", binary+" warm --every 5ms --sitemap http://"+site+"/sitemap.xml", "/dev/null")
	terminal.Env = append(e.command().Env, "TERM=xterm")
	if out, err := terminal.CombinedOutput(); err != nil || !strings.Contains(string(out), "[████████████████████████████████████████] 3/3 done") || !strings.Contains(string(out), "3 pages in ") {
		t.Errorf("on a terminal: %v %q", err, out)
	}
	file := filepath.Join(t.TempDir(), "urls")
	if err := os.WriteFile(file, []byte("# pages\nhttp://site.test/page/2\nhttp://site.test/page/9\nhttp://site.test/off/broken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, stderr = e.umbral("warm", "--urls", file, "--every", "5ms")
	if code != 1 || stderr != "umbral: 1 page could not be warmed\n" || !strings.Contains(out, ": 2 fetched, 1 failed, 0 skipped\n  hit          1\n  stored       1\n  site.test/off/broken: status 500\n") {
		t.Errorf("urls: %d\n%s%s", code, out, stderr)
	}
}

// TestDoctorLooksAtARunningEdge: what the edge itself finds wrong is told.
func TestDoctorLooksAtARunningEdge(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := contractApp(t)
	e := startEdge(t, app.URL, redisURL(redis), contractRoutes)
	doctor := func(env ...string) string {
		t.Helper()
		cmd := e.command("doctor")
		cmd.Env = append(append(e.cmd.Env, cmd.Env...), env...)
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	if out := doctor(); !strings.Contains(out, "\n✓ Edge: ready at "+e.Admin+"\n") || strings.Contains(out, "! Edge") {
		t.Errorf("well:\n%s", out)
	}
	if out := doctor("ADMIN_TOKEN=9f2c7c0b7a5e4d3c8b1a6e5d4c3b2a1f"); !strings.Contains(out, "\n✗ Edge: "+e.Admin+": the edge refuses this ADMIN_TOKEN") {
		t.Errorf("another token:\n%s", out)
	}
	if err := writeFile(e.Routes, "version: 2\n"); err != nil {
		t.Fatal(err)
	}
	e.admin("POST", "/v1/reload", nil, nil)
	if out := doctor(); !strings.Contains(out, "\n! Edge: routes file: "+e.Routes+":1:10: version is 2: 1 is needed\n    → ") {
		t.Errorf("faulty rules:\n%s", out)
	}
}
