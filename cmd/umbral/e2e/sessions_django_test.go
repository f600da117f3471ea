//go:build e2e

package e2e

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"umbral/proxy/store/storetest"
)

const djangoSessions = `
version: 1
routes:
  - {match: /panel/, ttl: 10m, vary: user}
  - {match: /formulario/, ttl: 10m}
  - {match: /certificados/, ttl: 15m}
  - {match: /admin/, cache: off}
`

// djangoIn signs a browser in at Django's own form.
func djangoIn(t *testing.T, c *client, user, password string) {
	t.Helper()
	if a := submit(t, c, "/accounts/login/", url.Values{"username": {user}, "password": {password}}); a.StatusCode != 302 {
		t.Fatalf("sign-in of %s: %d %s", user, a.StatusCode, a.Body)
	}
}

// oneCookie: the browser holds nothing but the edge's.
func oneCookie(t *testing.T, c *client) {
	t.Helper()
	for _, k := range c.cookies() {
		if k.Name != "umbral" {
			t.Errorf("the browser holds %q", k.Name)
		}
	}
}

// Django as it is: no middleware, no change.
func TestDjangoSessions(t *testing.T) {
	redis := storetest.StartRedis(t)
	django := startDjango(t, redis)
	for name, test := range map[string]func(*testing.T, *storetest.Redis, string){
		"races": testDjangoRaces, "the shared CSRF token": testDjangoAcceptsTheSharedToken,
		"identity sources": testDjangoIdentitySources,
	} {
		t.Run(name, func(t *testing.T) { test(t, redis, django) })
	}
	// Last, for it changes a password.
	t.Run("from sign-in to sign-out", func(t *testing.T) { testDjangoUnmodified(t, redis, django) })
}

// SESSIONS.md §9, points 1, 4, 6 and 12, and the sign-in of §4.
func testDjangoUnmodified(t *testing.T, redis *storetest.Redis, django string) {
	e := startEdge(t, django, redisURL(redis), djangoSessions, "CACHE_KEY_PREFIX=unmodified")
	watch := watchRedis(t, redis)
	ana, luis, stranger := e.browser(), e.browser(), e.browser()

	ana.get("/accounts/login/")
	if asked := watch.sessions(); len(asked) > 0 {
		t.Errorf("the login page cost Redis %v", asked)
	}
	sealed := ana.token()
	djangoIn(t, ana, "ana", "girasol-77")
	djangoIn(t, luis, "luis", "lavanda-99")
	if sealed == "" || ana.token() == sealed {
		t.Error("the cookie of before the sign-in stayed")
	}
	for range 2 {
		for _, tt := range []struct {
			c    *client
			name string
		}{{ana, "ana"}, {luis, "luis"}} {
			if a := tt.c.get("/panel/"); !strings.Contains(a.Body, `<span id="who">`+tt.name) || strings.Count(a.Body, tt.name) != 2 {
				t.Errorf("%s's panel: %d %s", tt.name, a.StatusCode, a.Body)
			}
		}
		if a := stranger.get("/panel/"); a.StatusCode != 302 {
			t.Errorf("a stranger's panel: %d", a.StatusCode)
		}
	}
	if a := ana.get("/panel/"); !a.Hit() {
		t.Errorf("ana's panel is not kept: %s", a.Umbral())
	}

	// Another device, a password change on the first: Django signs the other
	// one out, and the edge with it.
	phone := e.browser()
	djangoIn(t, phone, "ana", "girasol-77")
	before := ana.token()
	a := submit(t, ana, "/accounts/password_change/", url.Values{
		"old_password": {"girasol-77"}, "new_password1": {"mimosa-66-x"}, "new_password2": {"mimosa-66-x"},
	})
	if a.StatusCode != 302 || ana.token() == before {
		t.Errorf("password change: %d, rotated: %v", a.StatusCode, ana.token() != before)
	}
	if a := ana.get("/panel/"); a.StatusCode != 200 {
		t.Errorf("after the password change: %d", a.StatusCode)
	}
	if a := phone.get("/panel/?fresh"); a.StatusCode != 302 {
		t.Errorf("the other device after it: %d", a.StatusCode)
	}
	if a, _ := e.with("/panel/", "umbral="+before); a.StatusCode != 302 {
		t.Errorf("the cookie of before it: %d", a.StatusCode)
	}

	// A flash message shows once, to its own visitor.
	if a := submit(t, ana, "/formulario/", url.Values{"text": {"hola"}}); a.StatusCode != 302 {
		t.Errorf("form: %d", a.StatusCode)
	}
	if a := luis.get("/formulario/"); strings.Contains(a.Body, "hola") {
		t.Error("luis has ana's message")
	}
	if a := ana.get("/formulario/"); !strings.Contains(a.Body, "hola") {
		t.Errorf("no message: %s %s", a.Umbral(), a.Body)
	}
	if a := ana.get("/formulario/"); strings.Contains(a.Body, "hola") {
		t.Error("the message shows twice")
	}

	// No session is needed to post a form, nor to choose a language.
	if a := submit(t, stranger, "/formulario/", url.Values{"text": {"x"}}); a.StatusCode != 302 {
		t.Errorf("a stranger's form: %d", a.StatusCode)
	}
	token := djangoField.FindStringSubmatch(stranger.get("/formulario/").Body)
	stranger.post("/i18n/setlang/", url.Values{"language": {"es"}, "csrfmiddlewaretoken": {token[1]}})
	if a := stranger.get("/admin/login/"); !strings.Contains(a.Body, "Contraseña") {
		t.Errorf("in Spanish: %d %.200s", a.StatusCode, a.Body)
	}
	for _, c := range []*client{ana, luis, stranger, phone} {
		oneCookie(t, c)
	}
	old := ana.token()
	if a := ana.get("/accounts/logout/"); a.StatusCode != 302 || a.Header.Get("Clear-Site-Data") == "" {
		t.Errorf("sign-out: %d %v", a.StatusCode, a.Header)
	}
	for _, cookie := range []string{"umbral=" + old, "umbral=" + ana.token()} {
		if a, _ := e.with("/panel/", cookie); a.StatusCode != 302 {
			t.Errorf("after the sign-out: %d", a.StatusCode)
		}
	}
	if a := luis.get("/panel/"); a.StatusCode != 200 {
		t.Errorf("luis after ana's sign-out: %d", a.StatusCode)
	}
}

// SESSIONS.md §9, point 5, where Django itself deletes the cookie of a session
// that is gone, and sets 50 at once.
func testDjangoRaces(t *testing.T, redis *storetest.Redis, django string) {
	e := startEdge(t, django, redisURL(redis), djangoSessions, "CACHE_KEY_PREFIX=races")
	c := e.browser()
	c.get("/visitas/") // a session of nobody's
	old := "umbral=" + c.token()
	const late = 6
	slow := make(chan error, late)
	for i := range late {
		go func() {
			a, err := e.with(fmt.Sprintf("/slow/2/?i=%d&cookie=late:%d", i, i), old)
			if err == nil && len(a.setCookies()) > 0 {
				err = fmt.Errorf("a late answer set %v", a.setCookies())
			}
			slow <- err
		}()
	}
	djangoIn(t, c, "ana", "girasol-77")
	for range late {
		if err := <-slow; err != nil {
			t.Error(err)
		}
	}
	if a := c.get("/panel/"); a.StatusCode != 200 {
		t.Errorf("after the late answers: %d", a.StatusCode)
	}

	cookie := "umbral=" + c.token()
	parallel(t, 50, func(i int) error {
		a, err := e.with(fmt.Sprintf("/slow/0/?cookie=parallel%d:v%d", i, i), cookie)
		if err == nil && a.StatusCode != 200 {
			err = fmt.Errorf("status %d", a.StatusCode)
		}
		return err
	})
	seen := c.get("/cookies/?n=0").Body
	for i := range 50 {
		if !strings.Contains(seen, fmt.Sprintf(`"parallel%d": "v%d"`, i, i)) {
			t.Errorf("parallel%d is lost", i)
		}
	}
}

// SESSIONS.md §9, point 13: SESSION_SAVE_EVERY_REQUEST sets the cookie with
// every answer, without Vary.
func TestDjangoSavingEveryRequest(t *testing.T) {
	t.Setenv("SESSION_SAVE_EVERY_REQUEST", "1")
	t.Setenv("EDGE_HEADER", "1")
	redis := storetest.StartRedis(t)
	e := startEdge(t, startDjango(t, redis), redisURL(redis), djangoSessions+
		"  - {match: /visitas/, ttl: 10m}\n  - {match: /meta/, ttl: 10m, vary: session}\nsessions:\n  identity: {source: header}\n")
	ana, luis := e.browser(), e.browser()
	djangoIn(t, ana, "ana", "girasol-77")
	djangoIn(t, luis, "luis", "lavanda-99")
	for range 3 {
		for _, path := range []string{"/visitas/", "/certificados/", "/certificado/1", "/", "/panel/"} {
			for _, c := range []*client{ana, luis, e.browser()} {
				a := c.get(path)
				for _, line := range a.setCookies() {
					if !strings.HasPrefix(line, "umbral=") {
						t.Errorf("%s: the browser got %q", path, line)
					}
				}
				oneCookie(t, c)
			}
		}
	}
	if a := ana.get("/panel/"); !a.Hit() || !strings.Contains(a.Body, "ana") {
		t.Errorf("a page whose cookie only moves its expiry is not kept: %s", a.Umbral())
	}
	if a := luis.get("/panel/"); !strings.Contains(a.Body, "luis") {
		t.Errorf("luis: %s", a.Body)
	}
	// Two devices of one user share the page.
	phone := e.browser()
	djangoIn(t, phone, "ana", "girasol-77")
	phone.get("/panel/")
	if one, two := ana.get("/panel/"), phone.get("/panel/"); one.Body != two.Body || !two.Hit() {
		t.Errorf("ana's two devices: %s, %s", one.Umbral(), two.Umbral())
	}
	// The view that counts visits stays each visitor's own.
	for want := range 3 {
		a := e.browser()
		if got := a.get("/visitas/").Body; got != `{"visits": 1}` {
			t.Errorf("a new visitor, the %dth: %s", want, got)
		}
	}
}

// csrf: shared at the real Django: a form is stored, anonymous visitors post
// it without any cookie, and who has signed in has a token of their own.
func testDjangoAcceptsTheSharedToken(t *testing.T, redis *storetest.Redis, django string) {
	e := startEdge(t, django, redisURL(redis), djangoSessions+"sessions: {csrf: shared}\n", "CACHE_KEY_PREFIX=shared")
	e.visitor().get("/formulario/")
	post := func(c *client, page answer, origin string) answer {
		token := djangoField.FindStringSubmatch(page.Body)
		if token == nil {
			t.Fatalf("no form: %d %s", page.StatusCode, page.Body)
		}
		form := url.Values{"csrfmiddlewaretoken": {token[1]}, "text": {"hola"}}
		a, err := c.do("POST", "/formulario/", form.Encode(), "Content-Type: application/x-www-form-urlencoded", "Origin: "+origin)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for range 3 {
		v := e.browser()
		page := v.get("/formulario/")
		if !page.Hit() || v.token() != "" {
			t.Errorf("the form: %s, cookie %q", page.Umbral(), v.token())
		}
		if a := post(v, page, "http://evil.test"); a.StatusCode != 403 {
			t.Errorf("from elsewhere: %d", a.StatusCode)
		}
		if a := post(v, page, "http://"+site); a.StatusCode != 302 {
			t.Errorf("refused: %d %s", a.StatusCode, a.Body)
		}
		e.visitor().get("/formulario/")
	}
	ana := e.browser()
	djangoIn(t, ana, "ana", "girasol-77")
	page := ana.get("/formulario/")
	if page.Hit() {
		t.Errorf("a signed-in visitor got the shared form: %s", page.Umbral())
	}
	if a := submit(t, ana, "/formulario/", url.Values{"text": {"hola"}}); a.StatusCode != 302 {
		t.Errorf("signed in: %d %s", a.StatusCode, a.Body)
	}
	if a := ana.get("/formulario/"); !strings.Contains(a.Body, "hola") {
		t.Errorf("no flash message: %s", a.Umbral())
	}
}

// identity.source: probe and django_redis at the real Django.
func testDjangoIdentitySources(t *testing.T, redis *storetest.Redis, django string) {
	for name, identity := range map[string]string{
		"probe":        "{source: probe, probe: {url: /whoami/, pointer: /id}}",
		"django_redis": `{source: django_redis, django_redis: {key: "certificados:1:django.contrib.sessions.cache{sessionid}"}}`,
		"none":         "{source: none}",
	} {
		e := startEdge(t, django, redisURL(redis), djangoSessions+"sessions:\n  identity: "+identity+"\n", "CACHE_KEY_PREFIX="+name)
		ana, phone := e.browser(), e.browser()
		djangoIn(t, ana, "ana", "girasol-77")
		djangoIn(t, phone, "ana", "girasol-77")
		ana.get("/panel/")
		shared := phone.get("/panel/").Hit()
		if shared != (name != "none") {
			t.Errorf("%s: two devices share: %v", name, shared)
		}
		auth := "user"
		if name == "none" {
			auth = "session"
		}
		if meta := ana.get("/meta/").Body; !strings.Contains(meta, `"HTTP_X_EDGE_AUTH": "`+auth+`"`) {
			t.Errorf("%s: %s", name, meta)
		}
		var list struct{ Sessions []struct{ User string } }
		e.admin("GET", "/v1/sessions?user=2", nil, &list)
		if len(list.Sessions) != 2 && name != "none" {
			t.Errorf("%s: %d sessions of user 2", name, len(list.Sessions))
		}
	}
}
