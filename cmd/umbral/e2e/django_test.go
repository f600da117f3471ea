//go:build e2e

package e2e

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
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

// rendersOf asks Django itself how many requests have reached it.
func rendersOf(t *testing.T, django string) int {
	t.Helper()
	resp, err := http.Get(django + "/renders/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var n struct{ Renders int }
	if err := json.NewDecoder(resp.Body).Decode(&n); err != nil {
		t.Fatal(err)
	}
	return n.Renders
}

func TestDjangoIsNotAskedForAPageWithATTL(t *testing.T) {
	redis := storetest.StartRedis(t)
	django := startDjango(t, redis)
	e := startEdge(t, django, redisURL(redis), djangoRoutes)
	ana := e.browser()
	if a := submit(t, ana, "/accounts/login/", url.Values{"username": {"ana"}, "password": {"girasol-77"}}); a.StatusCode != 302 {
		t.Fatalf("sign-in: %d", a.StatusCode)
	}
	v := e.visitor()
	for _, path := range []string{"/certificados/", "/certificado/3"} {
		first, before := v.get(path), rendersOf(t, django)
		for range 10 {
			for _, c := range []*client{v, ana} {
				if a := c.get(path); a.StatusCode != 200 || !a.Hit() || a.Body != first.Body {
					t.Fatalf("%s: %d, %s", path, a.StatusCode, a.Umbral())
				}
			}
		}
		if after := rendersOf(t, django); after != before {
			t.Errorf("%s: Django was asked %d times", path, after-before)
		}
	}
}

var fragment = regexp.MustCompile(`<b id="fragment-of">(\w+)</b>, made at <span id="fragment-at">([0-9.]+)<`)

// TestDjangoOwnCachesGoOn: whatever is purged at the edge, what Django keeps in
// the same Redis stays as it is and in use: sessions, cache_page, a fragment for
// each person, a cached queryset, set_many.
func TestDjangoOwnCachesGoOn(t *testing.T) {
	redis := storetest.StartRedis(t)
	e := startEdge(t, startDjango(t, redis, "EDGE_HEADER=1"), redisURL(redis), djangoRoutes+`
  - {match: /panel/, ttl: 1m, vary: user}
sessions: {identity: {source: header}}
`)
	people := map[string]*client{"ana": e.browser(), "luis": e.browser()}
	for name, password := range map[string]string{"ana": "girasol-77", "luis": "lavanda-99"} {
		if a := submit(t, people[name], "/accounts/login/", url.Values{"username": {name}, "password": {password}}); a.StatusCode != 302 {
			t.Fatalf("sign-in: %d", a.StatusCode)
		}
	}
	v := e.visitor()
	// seen is what Django's caches hold, as its pages show it.
	seen := func() map[string]string {
		t.Helper()
		got := map[string]string{"cache_page": v.get("/publico/").Body}
		for name, c := range people {
			page := c.get("/panel/")
			m := fragment.FindStringSubmatch(page.Body)
			if m == nil || m[1] != name {
				t.Fatalf("the panel of %s: %d %s", name, page.StatusCode, page.Body)
			}
			got["fragment of "+name] = m[2]
		}
		if a := v.get("/lote/"); !strings.Contains(a.Body, `"read": 20`) {
			t.Errorf("set_many, get_many: %s", a.Body)
		}
		return got
	}
	if a := v.get("/certificados/"); a.Header.Get("X-Queryset") != "database" {
		t.Fatalf("the first list came from the %s", a.Header.Get("X-Queryset"))
	}
	before, stored := seen(), djangoKeys(t, redis)
	if len(stored) < 10 {
		t.Fatalf("Django keeps only %v", stored)
	}
	for _, what := range []map[string]any{
		{"tags": []string{"certificados"}},
		{"urls": []string{"/certificados/", "/publico/"}},
		{"prefixes": []string{"/"}},
		{"users": []string{"2", "3"}},
		{"all": true},
	} {
		e.purge(what)
		if after := djangoKeys(t, redis); !maps.Equal(stored, after) {
			t.Errorf("purge %v: Django's keys were %v, and are %v", what, stored, after)
		}
		if after := seen(); !maps.Equal(before, after) {
			t.Errorf("purge %v: Django showed %v, and shows %v", what, before, after)
		}
	}
	if a := v.get("/certificados/"); a.Hit() || a.Header.Get("X-Queryset") != "cache" {
		t.Errorf("after all purges the list came from the %s: %s", a.Header.Get("X-Queryset"), a.Umbral())
	}
}

// djangoKeys are all keys but the edge's own, with digests of their values.
func djangoKeys(t *testing.T, redis *storetest.Redis) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, key := range keysOf(t, redis) {
		if !strings.Contains(key, ":edge:") {
			found[key] = fmt.Sprintf("%x", sha256.Sum256([]byte(dumpOf(t, redis, key))))
		}
	}
	return found
}
