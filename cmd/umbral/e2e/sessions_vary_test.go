package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"umbral/proxy/store/storetest"
)

// varyApp shows what came up, signs in at /in/USER, and sets the cookies that
// the query names.
func varyApp(w http.ResponseWriter, r *http.Request) {
	if user, ok := strings.CutPrefix(r.URL.Path, "/in/"); ok {
		http.SetCookie(w, &http.Cookie{Name: "sessionid", Value: "of-" + user + "-" + r.URL.RawQuery, Path: "/"})
		w.Header().Set("X-Edge-Session-User", user)
		return
	}
	if r.URL.Path == "/set" {
		for _, line := range r.URL.Query()["c"] {
			w.Header().Add("Set-Cookie", line)
		}
		return
	}
	if strings.Contains(r.URL.Path, "form") {
		formApp(w, r)
		return
	}
	fmt.Fprintf(w, "%s %s", r.URL.Path, r.Header.Get("Cookie"))
}

const varyRoutes = `
version: 1
routes:
  - {match: /public/, ttl: 1h, vary_cookies: [lang]}
  - {match: /user/, ttl: 1h, vary: user, vary_cookies: [lang]}
  - {match: /session/, ttl: 1h, vary: session, vary_cookies: [lang]}
sessions: {identity: {source: header}}
`

// vary_cookies holds for every scope, and the key has all that goes up of a
// name: the app may take any of several.
func TestVaryCookiesAreInTheKeyAsTheyGoUp(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, varyApp)
	e := startEdge(t, app.URL, redisURL(redis), varyRoutes)
	set := func(v *client, lines ...string) {
		t.Helper()
		if a := v.get("/set?" + url.Values{"c": lines}.Encode()); a.StatusCode != 200 {
			t.Fatal(a.StatusCode)
		}
	}
	for _, route := range []string{"/public/", "/user/", "/session/"} {
		v := e.browser()
		v.get("/in/ana?" + route[1:2])
		for want, lines := range map[string][]string{
			"lang=es":          {"lang=es; Path=/"},
			"lang=fr":          {"lang=fr; Path=/"},
			"lang=de, lang=fr": {"lang=de; Path=" + route},
			"":                 {"lang=; Path=/; Max-Age=0", "lang=; Path=" + route + "; Max-Age=0"},
		} {
			set(v, "lang=; Path="+route+"; Max-Age=0", "lang=fr; Path=/")
			set(v, lines...)
			for _, hit := range []bool{false, true} {
				a := v.get(fmt.Sprint(route, "page-", len(want)+len(lines)))
				if a.Hit() != hit || strings.Join(langs.FindAllString(a.Body, -1), ", ") != want {
					t.Errorf("%s after %v: %s %q", route, lines, a.Umbral(), a.Body)
				}
			}
			// The same page is another for other cookies.
			for range 2 {
				if a := v.get(route + "page"); strings.Join(langs.FindAllString(a.Body, -1), ", ") != want {
					t.Errorf("%s after %v: %s %q", route, lines, a.Umbral(), a.Body)
				}
			}
		}
	}
}

var langs = regexp.MustCompile(`lang=\w+`)

// A page with a form is for the device whose token it holds: two devices of
// one user do not share it (SESSIONS.md §6).
func TestAPageWithAFormIsNotSharedByAUsersDevices(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, varyApp)
	e := startEdge(t, app.URL, redisURL(redis), varyRoutes)
	for _, path := range []string{"/user/form", "/session/form"} {
		var devices [2]*client
		for i := range devices {
			devices[i] = e.browser()
			devices[i].get(fmt.Sprint("/in/ana?", i))
			devices[i].get(fmt.Sprintf("/set?c=csrftoken=%s%%3B+Path=/", strings.Repeat(fmt.Sprint(i), 64)))
		}
		for range 2 {
			for i, device := range devices {
				page := device.get(path)
				if a, err := device.fill(page, "/form", ""); err != nil || a.StatusCode != 200 {
					t.Errorf("%s, device %d: %v %d %s (%s)", path, i, err, a.StatusCode, a.Body, page.Umbral())
				}
			}
		}
	}
	// Without a form devices share, and a session's own form may be stored.
	devices := [2]*client{e.browser(), e.browser()}
	for i, device := range devices {
		device.get(fmt.Sprint("/in/luis?", i))
	}
	devices[0].get("/user/page")
	if a := devices[1].get("/user/page"); !a.Hit() {
		t.Errorf("the second device: %s", a.Umbral())
	}
	devices[0].get("/set?c=csrftoken=" + strings.Repeat("x", 64) + "%3B+Path=/")
	devices[0].get("/session/form")
	if a := devices[0].get("/session/form"); !a.Hit() {
		t.Errorf("a session's own form: %s", a.Umbral())
	}
}
