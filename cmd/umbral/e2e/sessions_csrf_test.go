package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"umbral/proxy/store/storetest"
)

// formApp checks CSRF as Django does: the form's token is that of the cookie,
// and the cookie is set by every page that used it, and only by those.
func formApp(w http.ResponseWriter, r *http.Request) {
	token := ""
	if c, err := r.Cookie("csrftoken"); err == nil {
		token = c.Value
	}
	switch {
	case r.Method == "POST":
		if token == "" || r.PostFormValue("csrfmiddlewaretoken") != token && r.Header.Get("X-Csrftoken") != token {
			http.Error(w, "CSRF verification failed", http.StatusForbidden)
			return
		}
		if r.URL.Path == "/login" {
			http.SetCookie(w, &http.Cookie{Name: "sessionid", Value: "session-of-" + r.PostFormValue("user"), Path: "/", MaxAge: 1000})
			http.SetCookie(w, &http.Cookie{Name: "csrftoken", Value: strings.Repeat(r.PostFormValue("user")[:1], 64), Path: "/", MaxAge: 1000})
		}
		fmt.Fprint(w, "posted")
	case strings.Contains(r.URL.Path, "form") || r.URL.Path == "/login":
		if token == "" {
			token = strings.Repeat("n", 64)
		}
		w.Header().Set("Vary", "Cookie")
		http.SetCookie(w, &http.Cookie{Name: "csrftoken", Value: token, Path: "/", MaxAge: 1000})
		fmt.Fprintf(w, `<input name="csrfmiddlewaretoken" value="%s">`, token)
	default:
		fmt.Fprint(w, "plain")
	}
}

// fill posts the form of a page as a browser would.
func (c *client) fill(page answer, path, user string, headers ...string) (answer, error) {
	token := csrfField.FindStringSubmatch(page.Body)
	if token == nil {
		return answer{}, fmt.Errorf("no form: %d %s", page.StatusCode, page.Body)
	}
	form := url.Values{"csrfmiddlewaretoken": {token[1]}, "user": {user}}
	return c.do("POST", path, form.Encode(), append([]string{"Content-Type: application/x-www-form-urlencoded"}, headers...)...)
}

// Under csrf: shared anonymous visitors share one stored form, whose token the
// edge vouches for; who has a session has the app's own.
func TestSharedCSRFKeepsFormsAndTheAppAcceptsThem(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, formApp)
	const routes = "version: 1\nroutes:\n  - {match: /form, ttl: 1h}\n  - {match: /mine-form, ttl: 1h, vary: user}\nsessions: {csrf: shared}\n"
	e := [2]*edge{startEdge(t, app.URL, redisURL(redis), routes), startEdge(t, app.URL, redisURL(redis), routes)}
	same := "Origin: http://" + site

	first := e[0].visitor().get("/form")
	if first.Hit() || len(first.setCookies()) > 0 {
		t.Errorf("first: %s %v", first.Umbral(), first.setCookies())
	}
	e[1].eventually("the form in Redis", func() bool { return e[1].visitor().get("/form").Hit() })
	for i := range 4 {
		v := e[i%2].browser() // posts elsewhere: a form's own address is purged by a POST
		page := v.get("/form")
		if !page.Hit() || page.Body != first.Body || len(page.setCookies()) > 0 {
			t.Errorf("visitor %d: %s %v", i, page.Umbral(), page.setCookies())
		}
		if a, err := v.fill(page, "/send", "", same); err != nil || a.StatusCode != 200 || a.Body != "posted" {
			t.Errorf("visitor %d: %v %d %s", i, err, a.StatusCode, a.Body)
		}
		if a, err := v.fill(page, "/send", "", "Origin: http://evil.test"); err != nil || a.StatusCode != 403 {
			t.Errorf("from elsewhere: %v %d", err, a.StatusCode)
		}
		if a, err := v.fill(page, "/send", ""); err != nil || a.StatusCode != 403 {
			t.Errorf("from nowhere: %v %d", err, a.StatusCode)
		}
	}
	// A form in a tab outlives a new first secret: an edge with another takes it.
	late := startEdge(t, app.URL, redisURL(redis), routes, "EDGE_SECRETS="+strings.Repeat("another secret ", 3)+","+edgeSecret)
	if a, err := late.visitor().fill(first, "/send", "", same); err != nil || a.StatusCode != 200 {
		t.Errorf("after a new first secret: %v %d %s", err, a.StatusCode, a.Body)
	}
	asked := app.Asked.Load()
	e[0].visitor().get("/form")
	if app.Asked.Load() != asked {
		t.Error("the app was asked for a stored form")
	}

	// Sign in with the shared token; from then on the token is one's own.
	ana := e[0].browser()
	if a, err := ana.fill(ana.get("/login"), "/login", "ana", same); err != nil || a.StatusCode != 200 || ana.token() == "" {
		t.Fatalf("sign-in: %v %d %s", err, a.StatusCode, a.Body)
	}
	own := strings.Repeat("a", 64)
	for _, path := range []string{"/form", "/mine-form", "/other-form"} {
		page := ana.get(path)
		if !strings.Contains(page.Body, own) {
			t.Errorf("%s signed in: %s %s", path, page.Umbral(), page.Body)
		}
		if a, err := ana.fill(page, "/send", "", same); err != nil || a.StatusCode != 200 {
			t.Errorf("%s signed in: %v %d", path, err, a.StatusCode)
		}
	}
	// Neither took the other's place in the store.
	if page := e[1].visitor().get("/form"); !page.Hit() || strings.Contains(page.Body, own) {
		t.Errorf("afterwards: %s %s", page.Umbral(), page.Body)
	}
	e[0].purge(map[string]any{"all": true})
	if page := ana.get("/form"); !strings.Contains(page.Body, own) {
		t.Errorf("signed in, nothing stored: %s", page.Body)
	}
	if page := e[0].visitor().get("/form"); strings.Contains(page.Body, own) || page.Hit() {
		t.Errorf("anonymous after somebody's own: %s %s", page.Umbral(), page.Body)
	}
	if page := e[0].visitor().get("/form"); !page.Hit() {
		t.Errorf("and then: %s", page.Umbral())
	}
}

// csrf: inject adds the jar's token to what a page's own script sends, and to
// nothing else; off leaves all to the app.
func TestInjectedCSRF(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startApp(t, formApp)
	for _, mode := range []string{"inject", "off"} {
		e := startEdge(t, app.URL, redisURL(redis), "version: 1\nsessions: {csrf: "+mode+"}\n", "CACHE_KEY_PREFIX="+mode)
		anonymous, in := e.browser(), e.browser()
		anonymous.get("/form") // a sealed token
		if a, err := in.fill(in.get("/login"), "/login", "ana", "Origin: http://"+site); err != nil || a.StatusCode != 200 {
			t.Fatalf("%s: sign-in: %v %d", mode, err, a.StatusCode)
		}
		for who, c := range map[string]*client{"anonymous": anonymous, "signed in": in} {
			for _, tt := range []struct {
				headers []string
				proven  bool
			}{
				{[]string{"Origin: http://" + site}, true},
				{[]string{"Sec-Fetch-Site: same-origin"}, true},
				{[]string{"Origin: http://" + site, "Sec-Fetch-Site: same-origin"}, true},
				{nil, false},
				{[]string{"Origin: http://evil.test"}, false},
				{[]string{"Origin: null"}, false},
				{[]string{"Sec-Fetch-Site: same-site"}, false},
				{[]string{"Origin: http://" + site, "Sec-Fetch-Site: cross-site"}, false},
				{[]string{"Origin: http://" + site, "X-CSRFToken: theirs"}, false}, // a script's own word stands
			} {
				want := 403
				if tt.proven && mode == "inject" {
					want = 200
				}
				if a, err := c.do("POST", "/api", "x=1", tt.headers...); err != nil || a.StatusCode != want {
					t.Errorf("%s, %s, %v: %v %d", mode, who, tt.headers, err, a.StatusCode)
				}
			}
		}
		if a, err := in.fill(in.get("/form"), "/form", ""); err != nil || a.StatusCode != 200 {
			t.Errorf("%s: a form with its own token: %v %d", mode, err, a.StatusCode)
		}
	}
}
