//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"umbral/proxy/store/storetest"
)

// personalRoutes keep what a Django site renders for one person, and know
// people by what the example's middleware announces.
const personalRoutes = djangoRoutes + `
  - {match: /panel/, ttl: 5m, vary: user}
  - {match: /formulario/, ttl: 5m, vary: session}
  - {match: /meta/, ttl: 5m, vary_cookies: [django_language]}
sessions: {identity: {source: header}}
`

// sameOrigin are the fields of a script's request from the site's own page.
var sameOrigin = []string{"Content-Type: application/x-www-form-urlencoded", "Origin: http://" + site, "Sec-Fetch-Site: same-origin"}

// TestDjangoHabits: what Django sites do with cookies, on one Django. The last
// of them changes a password.
func TestDjangoHabits(t *testing.T) {
	redis := storetest.StartRedis(t)
	e := startEdge(t, startDjango(t, redis, "EDGE_HEADER=1"), redisURL(redis), personalRoutes)
	for _, habit := range []struct {
		name string
		test func(*testing.T, *edge)
	}{
		{"sessions of anybody", sessionsOfAnybody},
		{"messages are seen once", messagesAreSeenOnce},
		{"scripts need no token", scriptsNeedNoToken},
		{"the language of a visitor", languageOfAVisitor},
		{"forty cookies", seesFortyCookies},
		{"sign-out ends stored pages", signOutEndsStoredPages},
		{"a password change ends other devices", passwordChangeEndsOtherDevices},
	} {
		t.Run(habit.name, func(t *testing.T) { habit.test(t, e) })
	}
}

// sessionsOfAnybody: views that open sessions for whoever comes go on
// counting, each visitor by itself.
func sessionsOfAnybody(t *testing.T, e *edge) {
	for range 2 {
		c := e.browser()
		for want := 1; want <= 3; want++ {
			a := c.get("/visitas/")
			if a.Body != fmt.Sprintf(`{"visits": %d}`, want) {
				t.Errorf("visit %d: %s, %s", want, a.Body, a.Umbral())
			}
		}
		oneCookie(t, c)
	}
}

// messagesAreSeenOnce: a flash message is shown to its visitor, at
// the next page and never again, also where pages are kept by session.
func messagesAreSeenOnce(t *testing.T, e *edge) {
	ana, luis := e.browser(), e.browser()
	djangoIn(t, ana, "ana", "girasol-77")
	djangoIn(t, luis, "luis", "lavanda-99")
	luis.get("/formulario/")
	for _, text := range []string{"first", "second"} {
		if a := submit(t, ana, "/formulario/", url.Values{"text": {text}}); a.StatusCode != 302 {
			t.Fatalf("the form: %d", a.StatusCode)
		}
		if a := luis.get("/formulario/"); strings.Contains(a.Body, "Received") {
			t.Errorf("another visitor saw the message %q", text)
		}
		if a := ana.get("/formulario/"); strings.Count(a.Body, "Received: "+text) != 1 {
			t.Errorf("the message %q was not shown: %s\n%s", text, a.Umbral(), a.Body)
		}
		if a := ana.get("/formulario/"); strings.Contains(a.Body, "Received") {
			t.Errorf("the message %q was shown again: %s", text, a.Umbral())
		}
	}
}

// scriptsNeedNoToken: the cookie is HttpOnly, so a script on the
// site's own page has no csrftoken to send; the edge adds the header, for that
// page alone.
func scriptsNeedNoToken(t *testing.T, e *edge) {
	for _, name := range []string{"anonymous", "ana"} {
		c := e.browser()
		if name == "ana" {
			djangoIn(t, c, "ana", "girasol-77")
		}
		c.get("/formulario/") // the page with the script, whose form sets the token
		a, err := c.do("POST", "/formulario/", "text=by+script", append(sameOrigin, "X-Requested-With: XMLHttpRequest")...)
		if err != nil || a.StatusCode != 302 {
			t.Errorf("%s: a script's own request: %d %v", name, a.StatusCode, err)
		}
		a, err = c.do("POST", "/formulario/", "text=from+elsewhere", sameOrigin[0], "Origin: http://elsewhere.test", "Sec-Fetch-Site: cross-site")
		if err != nil || a.StatusCode != 403 {
			t.Errorf("%s: another site's request: %d %v", name, a.StatusCode, err)
		}
	}
}

// languageOfAVisitor: the language cookie stays at the edge and tells
// languages apart where a route names it.
func languageOfAVisitor(t *testing.T, e *edge) {
	spanish, english := e.browser(), e.browser()
	spanish.get("/formulario/")
	if a, err := spanish.do("POST", "/i18n/setlang/", "language=es&next=/", sameOrigin...); err != nil || a.StatusCode != 302 {
		t.Fatalf("setlang: %d %v", a.StatusCode, err)
	}
	oneCookie(t, spanish)
	if a := spanish.get("/admin/login/"); !strings.Contains(a.Body, `lang="es"`) {
		t.Errorf("the page is not Spanish: %d", a.StatusCode)
	}
	// On a public route it goes up alone, of all that the visitor's jar holds.
	if a := spanish.get("/meta/"); !strings.Contains(a.Body, `"cookies": {"django_language": "es"}`) {
		t.Errorf("a public page was asked with %s", a.Body)
	}
	if a := english.get("/meta/"); !strings.Contains(a.Body, `"cookies": {}`) {
		t.Errorf("another visitor's public page was asked with %s", a.Body)
	}
	if a := english.get("/admin/login/"); !strings.Contains(a.Body, `lang="en`) {
		t.Errorf("another visitor's page is not English: %d", a.StatusCode)
	}
}

// passwordChangeEndsOtherDevices: Django ends a person's other
// sessions when the password changes; the stored pages of that person do not
// outlive it on any device.
func passwordChangeEndsOtherDevices(t *testing.T, e *edge) {
	laptop, phone := e.browser(), e.browser()
	djangoIn(t, laptop, "ana", "girasol-77")
	djangoIn(t, phone, "ana", "girasol-77")
	first := laptop.get("/panel/")
	if a := phone.get("/panel/"); !a.Hit() || a.Body != first.Body {
		t.Errorf("two devices of one person do not share the page: %s", a.Umbral())
	}
	if a := submit(t, laptop, "/accounts/password_change/", url.Values{
		"old_password": {"girasol-77"}, "new_password1": {"buganvilla-55-x"}, "new_password2": {"buganvilla-55-x"},
	}); a.StatusCode != 302 {
		t.Fatalf("password change: %d", a.StatusCode)
	}
	if a := laptop.get("/panel/"); a.StatusCode != 200 {
		t.Errorf("the device that changed it: %d", a.StatusCode)
	}
	if a := phone.get("/panel/"); a.StatusCode != 302 {
		t.Errorf("the other device: %d, %s", a.StatusCode, a.Umbral())
	}
}

// signOutEndsStoredPages: GET /accounts/logout/, as Django 3.2 has it.
func signOutEndsStoredPages(t *testing.T, e *edge) {
	ana, luis := e.browser(), e.browser()
	djangoIn(t, ana, "ana", "girasol-77")
	djangoIn(t, luis, "luis", "lavanda-99")
	ana.get("/panel/")
	if a := ana.get("/panel/"); !a.Hit() {
		t.Fatalf("the panel is not stored: %s", a.Umbral())
	}
	old := ana.cookies()[0]
	out := ana.get("/accounts/logout/")
	if out.StatusCode != 302 || out.Header.Get("Clear-Site-Data") == "" {
		t.Errorf("sign-out: %d, Clear-Site-Data %q", out.StatusCode, out.Header.Get("Clear-Site-Data"))
	}
	if a := ana.get("/panel/"); a.StatusCode != 302 {
		t.Errorf("after the sign-out: %d, %s", a.StatusCode, a.Umbral())
	}
	if a := e.visitor().get("/panel/", "Cookie: "+old.Name+"="+old.Value); a.StatusCode != 302 {
		t.Errorf("the old cookie after the sign-out: %d, %s", a.StatusCode, a.Umbral())
	}
	if a := luis.get("/panel/"); a.StatusCode != 200 {
		t.Errorf("another person: %d", a.StatusCode)
	}
}

// seesFortyCookies: what a site sets in parallel or by the dozen is
// all there at its next request, and the browser's cookie stays small.
func seesFortyCookies(t *testing.T, e *edge) {
	c := e.browser()
	djangoIn(t, c, "ana", "girasol-77")
	done := make(chan int, 10)
	for i := range 10 {
		go func() {
			a, err := c.do("GET", fmt.Sprintf("/slow/0.2/?cookie=p%d:v%d", i, i), "")
			if err != nil {
				done <- 0
				return
			}
			done <- a.StatusCode
		}()
	}
	for range 10 {
		if code := <-done; code != http.StatusOK {
			t.Fatalf("a request in parallel: %d", code)
		}
	}
	c.get("/cookies/?n=30&size=100&prefix=c")
	var seen struct{ Seen map[string]string }
	if err := json.Unmarshal([]byte(c.get("/cookies/?n=0").Body), &seen); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if got := seen.Seen[fmt.Sprintf("p%d", i)]; got != fmt.Sprintf("v%d", i) {
			t.Errorf("the cookie p%d is %q", i, got)
		}
	}
	for i := range 30 {
		if got := seen.Seen[fmt.Sprintf("c%d", i)]; len(got) != 100 {
			t.Errorf("the cookie c%d is %q", i, got)
		}
	}
	if all := c.cookies(); len(all) != 1 || len(all[0].Value) > 4000 {
		t.Errorf("the browser holds %v", all)
	}
}
