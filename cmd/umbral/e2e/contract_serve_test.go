package e2e

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"umbral/proxy/store/storetest"
)

// TestSIGTERMDrains: what is in flight ends, what comes anew is refused, and
// the exit code is 0.
func TestSIGTERMDrains(t *testing.T) {
	redis := storetest.StartRedis(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		fmt.Fprint(w, "at last")
	})
	e := startEdge(t, app.URL, redisURL(redis), contractRoutes)
	got := make(chan answer, 1)
	go func() {
		a, err := e.visitor().do("GET", "/off/slow", "")
		if err != nil {
			t.Error(err)
		}
		got <- a
	}()
	<-arrived
	if code := e.admin("GET", "/readyz", nil, nil); code != 200 {
		t.Errorf("ready: %d", code)
	}
	_ = e.cmd.Process.Signal(syscall.SIGTERM)
	e.logs.waitFor(t, `"draining"`, e.exited)
	e.eventually("new connections are refused", func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(e.URL, "http://"))
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	var ready struct{ Status string }
	if code := e.admin("GET", "/readyz", nil, &ready); code != 503 || ready.Status != "draining" {
		t.Errorf("readyz says %d %q while draining", code, ready.Status)
	}
	if code := e.admin("GET", "/healthz", nil, nil); code != 200 {
		t.Errorf("alive: %d", code)
	}
	close(release)
	if a := <-got; a.StatusCode != 200 || a.Body != "at last" {
		t.Errorf("the request in flight got %d %q", a.StatusCode, a.Body)
	}
	select {
	case <-e.exited:
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
	if code := e.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// ttlOf is the ttl of a route as the edge has it in force.
func (e *edge) ttlOf(pattern string) string {
	var list struct {
		Routes []struct{ Pattern, TTL string }
	}
	e.admin("GET", "/v1/routes", nil, &list)
	for _, r := range list.Routes {
		if r.Pattern == pattern {
			return r.TTL
		}
	}
	return ""
}

func rulesWith(ttl string) string {
	return "version: 1\nroutes:\n  - match: /page/{id}\n    ttl: " + ttl + "\n"
}

// TestRulesAreReadAgain: however the file changes, and without a connection
// being dropped.
func TestRulesAreReadAgain(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := contractApp(t)
	e := startEdge(t, app.URL, redisURL(redis), rulesWith("1h"))
	connection, err := net.Dial("tcp", strings.TrimPrefix(e.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	alive := func(when string) {
		t.Helper()
		fmt.Fprintf(connection, "HEAD /page/7 HTTP/1.1\r\nHost: x\r\n\r\n")
		var head strings.Builder
		for !strings.HasSuffix(head.String(), "\r\n\r\n") {
			b := make([]byte, 1)
			if _, err := connection.Read(b); err != nil {
				t.Fatalf("%s the connection is gone: %v", when, err)
			}
			head.Write(b)
		}
		if !strings.HasPrefix(head.String(), "HTTP/1.1 200") {
			t.Errorf("%s: %s", when, head.String())
		}
	}
	alive("at first")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	becomes := func(how, ttl string) {
		t.Helper()
		e.eventually(how, func() bool { return e.ttlOf("/page/{id}") == ttl })
		alive(how)
	}
	write(e.Routes, rulesWith("2h"))
	becomes("written in place", "2h")
	write(e.Routes+".new", rulesWith("3h"))
	if err := os.Rename(e.Routes+".new", e.Routes); err != nil {
		t.Fatal(err)
	}
	becomes("renamed over", "3h")
	// As some editors do: the old is moved away, the new one written.
	if err := os.Rename(e.Routes, e.Routes+"~"); err != nil {
		t.Fatal(err)
	}
	write(e.Routes, rulesWith("4h"))
	becomes("moved away and written anew", "4h")

	// All or nothing: the faulty file leaves all as it is.
	write(e.Routes, "version: 1\nroutes:\n  - match: /page/{id}\n    tll: 9h\n  - match: /x/\n    ttl: soon\n")
	e.logs.waitFor(t, `unknown key \"tll\" in a route`, e.exited)
	line := e.logs.waitFor(t, `ttl: \"soon\"`, e.exited)
	var fault struct {
		Level, File  string
		Line, Column int
	}
	if err := json.Unmarshal([]byte(line), &fault); err != nil || fault.Level != "error" || fault.File != e.Routes || fault.Line != 6 || fault.Column != 10 {
		t.Errorf("the log says %s", line)
	}
	becomes("faulty", "4h")
	var ready struct {
		Status string
		Checks []struct {
			Name   string
			OK     bool
			Detail string
		}
	}
	if code := e.admin("GET", "/readyz?verbose", nil, &ready); code != 200 || ready.Status != "ready" {
		t.Errorf("readyz: %d %+v", code, ready)
	}
	told := ""
	for _, c := range ready.Checks {
		if c.Name == "routes file" && !c.OK {
			told = c.Detail
		}
	}
	if !strings.Contains(told, `:4:5: unknown key "tll"`) || !strings.Contains(told, `:6:10: ttl: "soon"`) {
		t.Errorf("readyz?verbose tells %q", told)
	}
	if m := e.metrics(); m["umbral_reload_failed"] != 1 || m["umbral_reloads_failed_total"] != 1 {
		t.Errorf("metrics: failed %v, total %v", m["umbral_reload_failed"], m["umbral_reloads_failed_total"])
	}
	var problem struct {
		Status int
		Faults []struct {
			File, Message string
			Line, Column  int
		}
	}
	if code := e.admin("POST", "/v1/reload", nil, &problem); code != 422 || problem.Status != 422 || len(problem.Faults) != 2 || problem.Faults[0].Line != 4 || problem.Faults[1].Column != 10 {
		t.Errorf("reload: %d %+v", code, problem)
	}
	var stats struct {
		Reload struct {
			OK     bool
			Faults []any
		}
	}
	if e.admin("GET", "/v1/stats", nil, &stats); stats.Reload.OK || len(stats.Reload.Faults) != 2 {
		t.Errorf("stats: %+v", stats)
	}

	// Mended, and read by a signal although nothing else would have.
	write(e.Routes, rulesWith("5h"))
	_ = e.cmd.Process.Signal(syscall.SIGHUP)
	becomes("mended", "5h")
	// What a reload does not put into force is named.
	write(e.Routes, rulesWith("6h")+"limits: {body: 1KiB}\nsessions: {csrf: off}\n")
	var done struct {
		OK      bool
		Routes  int
		Restart []string
	}
	if code := e.admin("POST", "/v1/reload", nil, &done); code != 200 || !done.OK || done.Routes != 1 || strings.Join(done.Restart, " ") != "limits" {
		t.Errorf("reload: %d %+v", code, done)
	}
	if ready := e.raw("GET", "/readyz?verbose", "", bearer).Body; !strings.Contains(ready, `"name":"routes file","ok":true,"optional":true,"detail":"read at the start only, so that a restart puts their changes into force: limits"`) {
		t.Errorf("readyz: %s", ready)
	}
	becomes("with more sections", "6h")
	if e.metrics()["umbral_reload_failed"] != 0 {
		t.Error("the metric still says that the file is faulty")
	}
}

// TestRulesBehindASymbolicLink: as Kubernetes mounts a ConfigMap, "..data" is
// turned to another directory.
func TestRulesBehindASymbolicLink(t *testing.T) {
	redis := storetest.StartRedis(t)
	dir := t.TempDir()
	mount := func(n int, ttl string) {
		t.Helper()
		data := fmt.Sprintf("..2026_%d", n)
		for _, err := range []error{
			os.Mkdir(filepath.Join(dir, data), 0o700),
			os.WriteFile(filepath.Join(dir, data, "routes.yaml"), []byte(rulesWith(ttl)), 0o600),
			os.Symlink(data, filepath.Join(dir, "..data_tmp")),
			os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if n > 1 {
			if err := os.RemoveAll(filepath.Join(dir, fmt.Sprintf("..2026_%d", n-1))); err != nil {
				t.Fatal(err)
			}
		}
	}
	mount(1, "1h")
	if err := os.Symlink("..data/routes.yaml", filepath.Join(dir, "routes.yaml")); err != nil {
		t.Fatal(err)
	}
	e := startEdge(t, contractApp(t).URL, redisURL(redis), "", "ROUTES_FILE="+filepath.Join(dir, "routes.yaml"))
	for n, ttl := range map[int]string{2: "2h"} {
		mount(n, ttl)
		e.eventually("the new ConfigMap is in force", func() bool { return e.ttlOf("/page/{id}") == ttl })
	}
	mount(3, "3h")
	e.eventually("the next one as well", func() bool { return e.ttlOf("/page/{id}") == "3h" })
}

func TestItStartsAndServesWithoutRedis(t *testing.T) {
	redis := storetest.StartRedis(t)
	redis.Stop()
	e := startEdge(t, contractApp(t).URL, redisURL(redis), contractRoutes, "REDIS_TIMEOUT=200ms")
	v := e.visitor()
	for _, path := range []string{"/page/7", "/off/x", "/elsewhere"} {
		if a := v.get(path); a.StatusCode != 200 || a.Umbral() == "" {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.Umbral())
		}
	}
	if code := e.admin("GET", "/readyz", nil, nil); code != 200 {
		t.Errorf("readyz: %d: it serves, so it is ready", code)
	}
	var stats struct {
		Redis struct {
			Up      bool
			Breaker string
			Error   string
		}
	}
	e.eventually("stats say so", func() bool {
		e.admin("GET", "/v1/stats", nil, &stats)
		return !stats.Redis.Up && stats.Redis.Error != ""
	})
	redis.Restart()
	e.eventually("it heals", func() bool { v.get("/page/8"); return v.get("/page/8").Hit() })
	if code := e.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// certificate writes a certificate for 127.0.0.1 and returns its files.
func certificate(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestTLSServesHTTP2(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := contractApp(t)
	cert, key := certificate(t, t.TempDir(), "first")
	e := startEdge(t, app.URL, redisURL(redis), contractRoutes, "TLS_CERT="+cert, "TLS_KEY="+key, "COOKIE_SECURE=true")
	e.URL = strings.Replace(e.URL, "http:", "https:", 1)
	for _, http2 := range []bool{true, false} {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(!http2)
		protocols.SetHTTP2(http2)
		tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: protocols} //nolint:gosec // the test's own certificate
		c := &http.Client{Transport: tr, Timeout: patience}
		resp, err := c.Get(e.URL + "/page/7")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if want := map[bool]int{true: 2, false: 1}[http2]; resp.ProtoMajor != want || resp.StatusCode != 200 || resp.Header.Get("Cache-Status") == "" {
			t.Errorf("HTTP/%d, %s %v", resp.ProtoMajor, resp.Status, resp.Header)
		}
		resp, err = c.Post(e.URL+"/login", "application/x-www-form-urlencoded", strings.NewReader("user=ana"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Set-Cookie"); !strings.HasPrefix(got, "__Host-umbral=") || !strings.Contains(got, "; Secure") || !strings.Contains(got, "; HttpOnly") || !strings.Contains(got, "; SameSite=Lax") || !strings.Contains(got, "; Path=/") {
			t.Errorf("cookie %q", got)
		}
		if got := app.last().Header.Get("X-Forwarded-Proto"); got != "https" {
			t.Errorf("the app was told %q", got)
		}
		tr.CloseIdleConnections()
	}
}

func TestUpstreamsAreSeveral(t *testing.T) {
	redis := storetest.StartRedis(t)
	one, two := contractApp(t), contractApp(t)
	e := startEdge(t, one.URL+","+two.URL, redisURL(redis), contractRoutes)
	v := e.visitor()
	for range 20 {
		v.get("/off/x")
	}
	if one.Asked.Load() == 0 || two.Asked.Load() == 0 {
		t.Errorf("asked %d and %d times", one.Asked.Load(), two.Asked.Load())
	}
	two.CloseClientConnections()
	two.Close()
	for range 20 {
		if a := v.get("/off/x"); a.StatusCode != 200 {
			t.Errorf("with one of two gone: %d", a.StatusCode)
		}
	}
	var stats struct {
		Upstreams []struct {
			URL     string
			Healthy bool
		}
	}
	e.eventually("the one that is gone is out of service", func() bool {
		v.get("/off/x")
		e.admin("GET", "/v1/stats", nil, &stats)
		return len(stats.Upstreams) == 2 && stats.Upstreams[0].Healthy && !stats.Upstreams[1].Healthy
	})
}

func TestRedisBehindASocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "umbral-sock") // short: a socket's path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "r")
	redis := storetest.StartRedis(t, "--unixsocket", socket)
	e := startEdge(t, contractApp(t).URL, "unix://"+socket, contractRoutes)
	e.visitor().get("/page/7")
	redis.Eventually("the page is in Redis", func() bool {
		for _, k := range keysOf(t, redis) {
			if strings.HasPrefix(k, "certificados:edge:c:") {
				return true
			}
		}
		return false
	})
}

// TestWithoutTheMemoryTier: 0 turns it off, and Redis serves.
func TestWithoutTheMemoryTier(t *testing.T) {
	redis := storetest.StartRedis(t)
	e := startEdge(t, contractApp(t).URL, redisURL(redis), contractRoutes, "MEMORY_CACHE_BYTES=0")
	v := e.visitor()
	v.get("/page/7")
	e.eventually("the page is served from Redis", func() bool { // until it is written it is at hand
		return v.get("/page/7").Hit() && e.metrics()[`umbral_tier_hits_total{tier="redis"}`] > 0
	})
	if n := e.metrics()["umbral_tier_entries"]; n != 0 {
		t.Errorf("%v pages in a tier that is off", n)
	}
	e.purge(map[string]any{"tags": []string{"page:7"}})
	if a := v.get("/page/7"); a.Hit() {
		t.Errorf("after a purge: %s", a.Umbral())
	}
}

// TestNothingOutsideThePrefix: every key of every command that the edge sends
// begins with PREFIX:edge:, and no command walks through what is not its own.
func TestNothingOutsideThePrefix(t *testing.T) {
	redis := storetest.StartRedis(t)
	for _, key := range []string{"other:1", ":1:views.decorators.cache.x", "shop:cache:y", "shop"} {
		redis.Do("SET", key, "theirs")
	}
	monitor, err := net.Dial("tcp", redis.Addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(monitor, "MONITOR\r\n")
	said := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(monitor)
		said <- string(all)
	}()
	e := startEdge(t, contractApp(t).URL, redisURL(redis), contractRoutes, "CACHE_KEY_PREFIX=shop")
	v := e.visitor()
	ana := e.signIn("ana")
	v.get("/page/7")
	v.get("/page/7")
	ana.get("/mine/x")
	for _, what := range []map[string]any{{"tags": []string{"pages"}}, {"users": []string{"ana"}}, {"all": true}} {
		e.purge(what)
	}
	v.get("/page/8")
	e.admin("GET", "/v1/stats", nil, nil)
	e.metrics()
	e.admin("GET", "/v1/purges", nil, nil)
	e.admin("DELETE", "/v1/users/ana/sessions", nil, nil)
	if code := e.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, key := range keysOf(t, redis) {
		if !strings.HasPrefix(key, "shop:edge:") && redis.Do("GET", key) != "theirs" {
			t.Errorf("key %s", key)
		}
	}
	_ = monitor.(*net.TCPConn).CloseWrite()
	redis.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	noKeys := map[string]bool{"hello": true, "client": true, "info": true, "ping": true, "monitor": true, "time": true, "select": true, "command": true, "config": true, "acl": true, "keys": false}
	lines := 0
	for line := range strings.Lines(<-said) {
		_, rest, ok := strings.Cut(line, "] ")
		if !ok || strings.Contains(line, " lua] ") && !strings.Contains(rest, "shop:edge:") && !strings.Contains(rest, `"`) {
			continue
		}
		words := strings.Split(strings.TrimSpace(rest), `" "`)
		for i := range words {
			words[i] = strings.Trim(words[i], `"`)
		}
		command := strings.ToLower(words[0])
		if strings.HasPrefix(line, "+") && strings.Contains(line, "lua]") && command == "time" {
			continue
		}
		lines++
		if command == "keys" || strings.HasPrefix(command, "flush") || command == "dbsize" || command == "randomkey" {
			if command == "keys" { // the test's own
				continue
			}
			t.Errorf("the edge says %s", line)
		}
		if noKeys[command] || command == "set" && strings.HasPrefix(rest, `"SET"`) || command == "get" && strings.HasPrefix(rest, `"GET"`) {
			continue
		}
		if !strings.Contains(rest, "shop:edge:") {
			t.Errorf("no key of ours in %s", line)
		}
	}
	if lines < 20 {
		t.Errorf("%d commands were heard", lines)
	}
}

// TestLogsAsTheyAreSet: formats, levels, and no access log.
func TestLogsAsTheyAreSet(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := contractApp(t)
	access := func(e *edge) (line string) {
		e.visitor().get("/page/7?token=x")
		e.stop()
		for l := range strings.Lines(e.logs.String()) {
			if strings.Contains(l, "/page/7") {
				line += l
			}
		}
		return line
	}
	json1 := access(startEdge(t, app.URL, redisURL(redis), contractRoutes))
	var line struct {
		Level, Msg, Method, Host, Path, Verdict, Route, ID, Client, Reason string
		Status                                                             int
	}
	if err := json.Unmarshal([]byte(json1), &line); err != nil || line.Msg != "request" || line.Status != 200 || line.Verdict != "miss" || line.Route != "/page/{id}" || line.Client != "127.0.0.1" || line.ID == "" || line.Reason != "nothing-stored" {
		t.Errorf("json: %s", json1)
	}
	if got := access(startEdge(t, app.URL, redisURL(redis), contractRoutes, "ACCESS_LOG=off")); got != "" {
		t.Errorf("ACCESS_LOG=off: %s", got)
	}
	// Without a line that says where it listens, it has to be told.
	for _, test := range []struct{ env, want, never string }{
		{"LOG_FORMAT=console", "INFO\taccess\trequest\t{\"method\": \"GET\", \"host\": \"" + site + "\", \"path\": \"/page/7?token=x\"", `{"level"`},
		{"LOG_LEVEL=error", `"path":"/page/7?token=x"`, `"serving"`}, // the access log has a switch of its own
		{"LOG_LEVEL=debug", `"path":"/page/7?token=x"`, "DATA RACE"},
	} {
		port, adminPort := freePort(t), freePort(t)
		e := &edge{t: t, URL: "http://127.0.0.1:" + port, Admin: "http://127.0.0.1:" + adminPort, logs: &logs{more: make(chan struct{})}, exited: make(chan struct{})}
		e.cmd = exec.Command(binary, "serve")
		e.cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "LISTEN=127.0.0.1:" + port, "ADMIN_LISTEN=127.0.0.1:" + adminPort, "ADMIN_TOKEN=" + adminToken,
			"UPSTREAM_URL=" + app.URL, "REDIS_URL=" + redisURL(redis), "EDGE_SECRETS=" + edgeSecret, test.env,
		}
		out, err := e.cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		e.cmd.Stderr = e.cmd.Stdout
		if err := e.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go func() {
			for in := bufio.NewScanner(out); in.Scan(); {
				e.logs.add(in.Text())
			}
			_ = e.cmd.Wait()
			close(e.exited)
		}()
		t.Cleanup(e.kill)
		for end := time.Now().Add(patience); ; {
			if resp, err := http.Get(e.Admin + "/healthz"); err == nil {
				resp.Body.Close()
				break
			} else if time.Now().After(end) {
				t.Fatalf("%s: %v\n%s", test.env, err, e.logs)
			}
		}
		access(e)
		if got := e.logs.String(); !strings.Contains(got, test.want) || strings.Contains(got, test.never) {
			t.Errorf("%s: %s", test.env, got)
		}
	}
}

// serveOnce runs serve with settings that it refuses.
func serveOnce(t *testing.T, env []string, args ...string) (code int, said string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append([]string{"serve"}, args...)...)
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "LISTEN=127.0.0.1:0", "ADMIN_LISTEN=127.0.0.1:0",
		"UPSTREAM_URL=http://127.0.0.1:1", "REDIS_URL=redis://127.0.0.1:1", "EDGE_SECRETS=" + edgeSecret,
	}, env...)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%v %v: serve did not refuse: %s", env, args, out)
	}
	_ = err
	return cmd.ProcessState.ExitCode(), string(out)
}

// TestBadSettingsAreRefusedByName: one sentence that names the setting, and
// nothing half started.
func TestBadSettingsAreRefusedByName(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, test := range []struct {
		setting string
		code    int
		want    string
	}{
		{"LISTEN=" + taken.Addr().String(), 1, "umbral: LISTEN: cannot listen on " + taken.Addr().String() + ": "},
		{"ADMIN_LISTEN=" + taken.Addr().String(), 1, "umbral: ADMIN_LISTEN: cannot listen on "},
		{"LISTEN=nowhere", 2, "umbral: LISTEN is "},
		{"UPSTREAM_URL=", 2, "umbral: UPSTREAM_URL is not set"},
		{"UPSTREAM_URL=web", 2, "umbral: UPSTREAM_URL is not a URL"},
		{"REDIS_URL=", 2, "umbral: REDIS_URL is not set"},
		{"REDIS_URL=mysql://x", 2, "umbral: REDIS_URL is neither embedded: nor "},
		{"EDGE_SECRETS=", 2, "umbral: EDGE_SECRETS is not set"},
		{"EDGE_SECRETS=short", 2, "umbral: EDGE_SECRETS number 1 has 5 bytes"},
		{"EDGE_SECRETS=file:none", 2, "umbral: EDGE_SECRETS: file \"none\""},
		{"ADMIN_TOKEN=short", 2, "umbral: ADMIN_TOKEN has 5 characters"},
		{"TLS_CERT=x", 2, "umbral: TLS_CERT is set and TLS_KEY is not"},
		{"ROUTES_FILE=none.yaml", 1, "umbral: ROUTES_FILE: none.yaml: there is no such file"},
	} {
		code, said := serveOnce(t, []string{test.setting})
		if code != test.code || !strings.HasPrefix(said, test.want) || strings.Count(said, "\n") != 1 {
			t.Errorf("%s: code %d, %s", test.setting, code, said)
		}
	}
	dir := t.TempDir()
	bad := filepath.Join(dir, "routes.yaml")
	if err := os.WriteFile(bad, []byte("version: 1\nroutes: [{match: /a, tll: 1h}, {match: /a}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := serveOnce(t, []string{"ROUTES_FILE=" + bad}); code != 1 || strings.Count(said, "\n") != 2 || !strings.HasPrefix(said, bad+`:2:22: unknown key "tll"`) {
		t.Errorf("a faulty file: %d %s", code, said)
	}
	// Flags win.
	if code, said := serveOnce(t, []string{"EDGE_SECRETS=" + edgeSecret, "LOG_LEVEL=info"}, "--log-level", "loud"); code != 2 || said != "umbral: LOG_LEVEL is \"loud\": debug, info, warn or error is needed\n" {
		t.Errorf("flag: %d %s", code, said)
	}
}

// TestSecretsFromFiles: file:PATH for both.
func TestSecretsFromFiles(t *testing.T) {
	redis := storetest.StartRedis(t)
	dir := t.TempDir()
	for name, text := range map[string]string{"secrets": edgeSecret + "\n" + strings.Repeat("another-secret-", 3) + "\n", "token": "a-token-from-a-file-0123456789\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e := startEdge(t, contractApp(t).URL, redisURL(redis), contractRoutes, "EDGE_SECRETS=file:"+filepath.Join(dir, "secrets"), "ADMIN_TOKEN=file:"+filepath.Join(dir, "token"))
	if a := e.raw("GET", "/v1/stats", "", "Authorization: Bearer a-token-from-a-file-0123456789"); a.StatusCode != 200 {
		t.Errorf("token from a file: %d", a.StatusCode)
	}
	e.signIn("ana")
	// A fault in it is told as that file's, and changes nothing.
	if err := os.WriteFile(filepath.Join(dir, "secrets"), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	const token = "Authorization: Bearer a-token-from-a-file-0123456789"
	a := e.raw("POST", "/v1/reload", "", token)
	for _, want := range []string{`"setting":"EDGE_SECRETS"`, `"file":"` + filepath.Join(dir, "secrets") + `"`, "number 1 has 5 bytes"} {
		if a.StatusCode != 422 || !strings.Contains(a.Body, want) || strings.Contains(a.Body, "ROUTES_FILE") {
			t.Errorf("reload: %d %s, want %s", a.StatusCode, a.Body, want)
		}
	}
	ready := e.raw("GET", "/readyz?verbose", "", token).Body
	for _, want := range []string{`{"name":"routes file","ok":true,"optional":true}`, `{"name":"secrets file","ok":false,"optional":true,"detail":"EDGE_SECRETS number 1 has 5 bytes`} {
		if !strings.Contains(ready, want) {
			t.Errorf("readyz: %s lacks %s", ready, want)
		}
	}
	e.signIn("ben")
}

// Where TLS ends here visitors come by https, whatever COOKIE_SECURE says:
// warm fills, and explain finds, what they ask for.
func TestVisitorsComeByHTTPSWhereTLSEndsHere(t *testing.T) {
	app := startApp(t, numbered())
	cert, key := siteCertificate(t)
	e := startEdge(t, app.URL, redisURL(storetest.StartRedis(t)), simpleRoutes, "TLS_CERT="+cert, "TLS_KEY="+key)
	var job struct{ ID string }
	if code := e.admin("POST", "/v1/warm", map[string]any{"urls": []string{"https://" + site + "/page/1"}}, &job); code != 202 {
		t.Fatalf("warm: %d", code)
	}
	e.eventually("the page to be warm", func() bool { return app.Asked.Load() == 1 })
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer tr.CloseIdleConnections()
	r, err := http.NewRequest("GET", strings.Replace(e.URL, "http:", "https:", 1)+"/page/1", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = site
	e.eventually("a visitor to get it", func() bool {
		resp, err := tr.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return strings.Contains(resp.Header.Get("Cache-Status"), "umbral; hit")
	})
	if n := app.Asked.Load(); n != 1 {
		t.Errorf("the app was asked %d times", n)
	}
	var x struct{ Verdict string }
	if e.admin("GET", "/v1/explain?url=https://"+site+"/page/1", nil, &x); x.Verdict != "serve" {
		t.Errorf("explain: %+v", x)
	}
}
