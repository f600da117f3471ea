package e2e

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"umbral/deploy/certapp"
	"umbral/proxy/store/storetest"
)

var csrfField = regexp.MustCompile(`name="csrfmiddlewaretoken" value="([^"]+)"`)

// signIn signs a person of the sample app in.
func signIn(t *testing.T, c *client, p certapp.Person) {
	t.Helper()
	form := c.get("/accounts/login/")
	token := csrfField.FindStringSubmatch(form.Body)
	if token == nil {
		t.Fatalf("no form: %d %s", form.StatusCode, form.Body)
	}
	a := c.post("/accounts/login/", url.Values{
		"csrfmiddlewaretoken": {token[1]}, "username": {p.Login}, "password": {p.Password}, "next": {"/panel/"},
	})
	if a.StatusCode != 302 {
		t.Fatalf("sign-in: %d %s", a.StatusCode, a.Body)
	}
}

func TestOneCookieInTheBrowserAndNobodySeesAnothersPanel(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, certapp.New(certapp.Options{ListDelay: -1}).ServeHTTP)
	e := startEdge(t, app.URL, redisURL(redis), string(certapp.Routes))
	people := certapp.People()
	ana, luis, stranger := e.browser(), e.browser(), e.browser()
	signIn(t, ana, people[0])
	signIn(t, luis, people[1])
	for range 3 {
		if a := ana.get("/panel/"); !strings.Contains(a.Body, people[0].Name) || strings.Contains(a.Body, people[1].Name) {
			t.Fatalf("Ana's panel: %d %s", a.StatusCode, a.Umbral())
		}
		if a := luis.get("/panel/"); !strings.Contains(a.Body, people[1].Name) || strings.Contains(a.Body, people[0].Name) {
			t.Fatalf("Luis's panel: %d %s", a.StatusCode, a.Umbral())
		}
		if a := stranger.get("/panel/"); a.StatusCode != 302 {
			t.Fatalf("a stranger's panel: %d", a.StatusCode)
		}
	}
	if !ana.get("/panel/").Hit() {
		t.Error("a personal page was not stored")
	}
	for _, c := range ana.cookies() {
		if c.Name != "umbral" {
			t.Errorf("the browser holds %q", c.Name)
		}
	}
	for _, key := range keysOf(t, redis) {
		if dump := dumpOf(t, redis, key); strings.Contains(dump, people[0].Name) {
			t.Errorf("%s shows a name", key)
		}
	}

	old := ana.cookies()[0]
	a := ana.post("/.umbral/logout", nil)
	if a.StatusCode != 204 && a.StatusCode != 303 {
		t.Fatalf("logout: %d", a.StatusCode)
	}
	if a := e.visitor().get("/panel/", "Cookie: "+old.Name+"="+old.Value); a.StatusCode != 302 {
		t.Errorf("the old cookie after logout: %d", a.StatusCode)
	}
	if a := luis.get("/panel/"); a.StatusCode != 200 {
		t.Errorf("Luis was signed out too: %d", a.StatusCode)
	}
}

// dumpOf is a key's value as Redis would write it to a dump.
func dumpOf(t *testing.T, r *storetest.Redis, key string) string {
	c := goredis.NewClient(&goredis.Options{Addr: r.Addr})
	defer c.Close()
	dump, err := c.Dump(t.Context(), key).Result()
	if err != nil && !errors.Is(err, goredis.Nil) { // it may have ended meanwhile
		t.Fatal(err)
	}
	return dump
}

func TestSharedCSRFRefusesOtherOrigins(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, numbered())
	e := startEdge(t, app.URL, redisURL(redis), "version: 1\nsessions: {csrf: shared}\n")
	v := e.visitor()
	for _, tt := range []struct {
		header string
		status int
	}{
		{"Origin: http://" + site, 200},
		{"Origin: http://evil.test", 403},
		{"Sec-Fetch-Site: cross-site", 403},
		{"X-Nothing: here", 403}, // neither Origin nor Sec-Fetch-Site
	} {
		a, err := v.do("POST", "/form", "a=b", tt.header)
		if err != nil || a.StatusCode != tt.status {
			t.Errorf("%s: %d, %v", tt.header, a.StatusCode, err)
		}
	}
}
