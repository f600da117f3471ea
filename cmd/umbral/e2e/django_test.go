//go:build e2e

package e2e

import (
	"bufio"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"umbral/proxy/store/storetest"
)

const djangoRoutes = `
version: 1
routes:
  - {match: /certificados/, ttl: 15m, tags: [certificados]}
  - {match: /certificado/, ttl: 1h}
  - {match: /admin/, cache: off}
`

// startDjango runs deploy/django/example under gunicorn.
func startDjango(t *testing.T, redis *storetest.Redis, env ...string) string {
	t.Helper()
	addr := "127.0.0.1:" + freePort(t)
	dir, err := filepath.Abs("../../../deploy/django/example")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", filepath.Join(dir, "run.sh"))
	cmd.Env = append(os.Environ(), "REDIS_URL=redis://"+redis.Addr+"/0", "DB="+filepath.Join(t.TempDir(), "db.sqlite3"),
		"BIND="+addr, "ALLOWED_HOSTS=*", "CSRF_TRUSTED_ORIGINS=http://"+site)
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		_ = cmd.Wait()
	})
	up := make(chan bool, 1)
	go func() {
		in := bufio.NewScanner(out)
		for in.Scan() {
			if strings.Contains(in.Text(), "Booting worker") {
				up <- true
			}
		}
		close(up)
	}()
	select {
	case ok := <-up:
		if !ok {
			t.Fatal("Django ended")
		}
	case <-time.After(2 * patience):
		t.Fatal("Django did not start")
	}
	return "http://" + addr
}

var djangoField = regexp.MustCompile(`name="csrfmiddlewaretoken" value="([^"]+)"`)

// submit fills in the form at path and posts it there.
func submit(t *testing.T, c *client, path string, form url.Values) answer {
	t.Helper()
	page := c.get(path)
	token := djangoField.FindStringSubmatch(page.Body)
	if token == nil {
		t.Fatalf("no form at %s: %d %s", path, page.StatusCode, page.Header.Get("Location"))
	}
	form.Set("csrfmiddlewaretoken", token[1])
	return c.post(path, form, "Referer: http://"+site+path)
}

func TestDjangoAdminWithOneCookie(t *testing.T) {
	redis := storetest.StartRedis(t)
	django := startDjango(t, redis)
	e := startEdge(t, django, redisURL(redis), djangoRoutes)
	c := e.browser()
	one := func(when string) {
		t.Helper()
		for _, k := range c.cookies() {
			if k.Name != "umbral" {
				t.Errorf("%s the browser holds %q", when, k.Name)
			}
		}
	}
	if a := submit(t, c, "/admin/login/?next=/admin/", url.Values{"username": {"admin"}, "password": {"jacaranda-44"}}); a.StatusCode != 302 {
		t.Fatalf("sign-in: %d", a.StatusCode)
	}
	one("signed in")
	if a := c.get("/admin/"); a.StatusCode != 200 {
		t.Fatalf("admin: %d", a.StatusCode)
	}
	if a := submit(t, c, "/admin/certificates/certificate/add/", url.Values{
		"code": {"EDGE-1"}, "holder": {"Umbra"}, "course": {"Edges"}, "hours": {"3"}, "issued": {"2026-01-02"},
	}); a.StatusCode != 302 {
		t.Fatalf("add: %d", a.StatusCode)
	}
	if a := submit(t, c, "/admin/password_change/", url.Values{
		"old_password": {"jacaranda-44"}, "new_password1": {"buganvilla-55-x"}, "new_password2": {"buganvilla-55-x"},
	}); a.StatusCode != 302 {
		t.Fatalf("password change: %d", a.StatusCode)
	}
	if a := c.get("/admin/"); a.StatusCode != 200 {
		t.Errorf("after the password change: %d", a.StatusCode)
	}
	one("after the password change")
	if a := c.get("/admin/logout/"); a.StatusCode != 302 || a.Header.Get("Location") != "/" {
		t.Errorf("sign-out: %d to %s", a.StatusCode, a.Header.Get("Location"))
	}
	if a := c.get("/admin/"); a.StatusCode != 302 {
		t.Errorf("after the sign-out: %d", a.StatusCode)
	}
}

func TestDjangoPagesAreKeptAndItsOwnCacheIsUntouched(t *testing.T) {
	redis := storetest.StartRedis(t)
	e := startEdge(t, startDjango(t, redis), redisURL(redis), djangoRoutes)
	v := e.visitor()
	first := v.get("/certificados/")
	if again := v.get("/certificados/"); first.StatusCode != 200 || !again.Hit() || again.Body != first.Body {
		t.Errorf("%d, then %s", first.StatusCode, again.Umbral())
	}
	v.get("/publico/") // cache_page, in Django's own keys
	v.get("/lote/")    // cache.set_many
	own := func() []string {
		keys := slices.DeleteFunc(keysOf(t, redis), func(k string) bool { return strings.Contains(k, ":edge:") })
		slices.Sort(keys)
		return keys
	}
	before := own()
	if len(before) == 0 {
		t.Fatal("Django keeps nothing in Redis")
	}
	e.purge(map[string]any{"all": true})
	if after := own(); !slices.Equal(before, after) {
		t.Errorf("Django's keys were %v, and after a purge of all are %v", before, after)
	}
	if v.get("/certificados/").Hit() {
		t.Error("the page outlived the purge")
	}
}
