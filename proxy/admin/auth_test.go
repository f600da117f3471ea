package admin

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestToken(t *testing.T) {
	tests := []struct {
		name   string
		lines  []string
		status int
	}{
		{"right", nil, 200},
		{"any case of the scheme", []string{"Authorization: ", "Authorization: bearer " + testToken}, 200},
		{"none", []string{"Authorization: "}, 401},
		{"empty", []string{"Authorization: ", "Authorization: Bearer "}, 401},
		{"wrong", []string{"Authorization: ", "Authorization: Bearer x"}, 401},
		{"longer", []string{"Authorization: ", "Authorization: Bearer " + testToken + "x"}, 401},
		{"shorter", []string{"Authorization: ", "Authorization: Bearer " + testToken[1:]}, 401},
		{"Basic", []string{"Authorization: ", "Authorization: Basic " + testToken}, 401},
		{"twice", []string{"Authorization: Bearer " + testToken}, 401},
		{"as a cookie", []string{"Authorization: ", "Cookie: umbral-admin=" + testToken}, 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := ask(New(newFake().options()), "GET", "/v1/stats", "", tt.lines...)
			if w.Code != tt.status {
				t.Errorf("%d %s, want %d", w.Code, w.Body, tt.status)
			}
			if w.Code == 401 {
				checkProblem(t, w.Header(), w.Body.Bytes(), 401)
				if !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer ") {
					t.Errorf("WWW-Authenticate: %q", w.Header().Get("WWW-Authenticate"))
				}
			}
		})
	}
}

func TestEvery_guarded_call_needs_the_token(t *testing.T) {
	none := newFake().options()
	none.Token = ""
	with, without := New(newFake().options()), New(none)
	for _, rt := range with.routes {
		method, path, _ := strings.Cut(rt.pattern, " ")
		path = strings.NewReplacer("{id}", "1", "{$}", "").Replace(path)
		if w := ask(with, method, path, "", "Authorization: "); rt.access == guarded && w.Code != 401 {
			t.Errorf("%s without the token: %d", rt.pattern, w.Code)
		}
		w := ask(without, method, path, "")
		if want := map[access]int{guarded: 403, screen: 403, open: 200}[rt.access]; w.Code != want {
			t.Errorf("%s with no token configured: %d, want %d", rt.pattern, w.Code, want)
		}
		if w.Code == 403 && !strings.Contains(w.Body.String(), `"setting":"ADMIN_TOKEN"`) {
			t.Errorf("%s does not say which setting: %s", rt.pattern, w.Body)
		}
	}
	if w := ask(with, "GET", "/v1/nothing", "", "Authorization: "); w.Code != 401 {
		t.Errorf("an unknown call without the token: %d", w.Code)
	}
	if w := ask(without, "PURGE", "/x", "", "Authorization: Bearer "); w.Code != 403 {
		t.Errorf("an empty token against none configured: %d", w.Code)
	}
}

func TestGuesses_are_limited_and_logged_without_the_token(t *testing.T) {
	f := newFake()
	core, logs := observer.New(zap.InfoLevel)
	o := f.options()
	o.Log = zap.New(core)
	h := New(o)
	guess := func(token string) int {
		return ask(h, "GET", "/v1/stats", "", "Authorization: ", "Authorization: Bearer "+token).Code
	}
	for range 100 { // a job with an old setting
		if got := guess("old-token"); got != 401 {
			t.Fatal(got)
		}
	}
	for i := range maxGuesses - 1 {
		if got := guess(fmt.Sprint("guess-", i)); got != 401 {
			t.Fatal(i, got)
		}
	}
	if got := guess("one-more"); got != 429 {
		t.Errorf("past the limit: %d", got)
	}
	w := ask(h, "GET", "/v1/stats", "")
	if w.Code != 429 || w.Header().Get("Retry-After") != "60" {
		t.Errorf("the right token past the limit: %d %v", w.Code, w.Header())
	}
	f.pass(guessWindow)
	if got := guess(testToken); got != 200 {
		t.Errorf("after the window: %d", got)
	}
	if n := logs.Len(); n != maxGuesses {
		t.Errorf("%d lines logged, want %d", n, maxGuesses)
	}
	for _, l := range logs.All() {
		if text := fmt.Sprint(l.Message, l.ContextMap()); strings.Contains(text, "guess-") || strings.Contains(text, "old-token") {
			t.Errorf("a token in the log: %s", text)
		}
	}
}

func TestGuesses_keep_to_bounded_memory(t *testing.T) {
	g, now := newGate(testToken), time.Unix(0, 0)
	try := func(i int, token string) (good bool, wait time.Duration) {
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		good, _, wait = g.try(netip.PrefixFrom(addr, 32), token, now)
		return good, wait
	}
	for i := range 2 * maxAddresses {
		try(i, fmt.Sprint("wrong-", i))
	}
	if n := len(g.guesses); n > maxAddresses+1 {
		t.Errorf("%d addresses kept", n)
	}
	if n := len(g.guesses[netip.Prefix{}].wrong); n != maxGuesses {
		t.Errorf("%d guesses in the shared count", n)
	}
	if _, wait := try(3*maxAddresses, testToken); wait == 0 {
		t.Error("one more address has guesses of its own")
	}
	if good, _ := try(1, testToken); !good {
		t.Error("an address that was there before is locked out")
	}
	now = now.Add(guessWindow)
	if good, _ := try(3*maxAddresses, testToken); !good || len(g.guesses) != 0 {
		t.Errorf("after the window: %v, %d addresses kept", good, len(g.guesses))
	}
}

func TestCookie(t *testing.T) {
	f := newFake()
	h := New(f.options())
	w := ask(h, "POST", "/login", "token="+testToken, "Authorization: ", "Content-Type: application/x-www-form-urlencoded", "Origin: http://127.0.0.1:8081")
	set := w.Header().Get("Set-Cookie")
	if w.Code != 303 || w.Header().Get("Location") != "/" || strings.Contains(set, testToken) ||
		!strings.Contains(set, "; Path=/; HttpOnly; SameSite=Strict") || strings.Contains(set, "Domain") {
		t.Fatalf("%d %q", w.Code, set)
	}
	cookie := signedInCookie(t, h)
	get := func(lines ...string) int {
		return ask(h, "GET", "/v1/stats", "", append([]string{"Authorization: ", cookie}, lines...)...).Code
	}
	tests := []struct {
		name   string
		lines  []string
		status int
	}{
		{"plain", nil, 200},
		{"the page itself", []string{"Sec-Fetch-Site: same-origin"}, 200},
		{"typed into the address bar", []string{"Sec-Fetch-Site: none"}, 200},
		{"another port of localhost", []string{"Sec-Fetch-Site: same-site"}, 403},
		{"another site", []string{"Sec-Fetch-Site: cross-site"}, 403},
		{"two answers", []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: same-origin"}, 403},
		{"another origin", []string{"Origin: http://127.0.0.1:8080"}, 403},
		{"null origin", []string{"Origin: null"}, 403},
		{"rebound", []string{"Host: evil.test:8081"}, 421},
		{"rebound to a look-alike", []string{"Host: localhost.evil.test:8081"}, 421},
		{"localhost", []string{"Host: localhost:8081"}, 200},
		{"IPv6", []string{"Host: [::1]:8081"}, 200},
		{"a known host", []string{"Host: umbral.internal"}, 200},
		{"cookie twice", []string{cookie}, 401},
		{"a wrong token beside it", []string{"Authorization: Bearer x"}, 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := get(tt.lines...); got != tt.status {
				t.Errorf("%d, want %d", got, tt.status)
			}
		})
	}
	if w := ask(h, "PURGE", "/x", "", "Authorization: ", cookie, "Sec-Fetch-Site: same-origin", csrfHeader+": 1"); w.Code != 401 {
		t.Errorf("PURGE by cookie: %d", w.Code)
	}
	f.pass(signedInFor)
	if got := get(); got != 401 {
		t.Errorf("after its end: %d", got)
	}
}

func TestChanges_by_cookie_are_proof_against_forgery(t *testing.T) {
	h := New(newFake().options())
	cookie := signedInCookie(t, h)
	tests := []struct {
		name   string
		lines  []string
		status int
	}{
		{"as the page does it", []string{"Sec-Fetch-Site: same-origin", csrfHeader + ": 1"}, 200},
		{"an old browser", []string{"Origin: http://127.0.0.1:8081", csrfHeader + ": 1"}, 200},
		{"no field", []string{"Sec-Fetch-Site: same-origin"}, 403},
		{"no origin", []string{csrfHeader + ": 1"}, 403},
		{"typed", []string{"Sec-Fetch-Site: none", csrfHeader + ": 1"}, 403},
		{"another port", []string{"Sec-Fetch-Site: same-site", csrfHeader + ": 1"}, 403},
		{"another origin", []string{"Origin: http://127.0.0.1:8080", csrfHeader + ": 1"}, 403},
		{"disagreeing", []string{"Origin: http://evil.test", "Sec-Fetch-Site: same-origin", csrfHeader + ": 1"}, 403},
		{"rebound", []string{"Host: evil.test", "Origin: http://evil.test", "Sec-Fetch-Site: same-origin", csrfHeader + ": 1"}, 421},
	}
	for _, call := range []string{"POST /v1/purge", "POST /v1/reload", "DELETE /v1/sessions/s1", "DELETE /v1/sessions"} {
		method, path, _ := strings.Cut(call, " ")
		body := ""
		if path == "/v1/purge" {
			body = `{"all":true}`
		}
		for _, tt := range tests {
			t.Run(call+"/"+tt.name, func(t *testing.T) {
				w := ask(h, method, path, body, append([]string{"Authorization: ", cookie}, tt.lines...)...)
				if w.Code != tt.status {
					t.Errorf("%d %s, want %d", w.Code, w.Body, tt.status)
				}
			})
		}
	}
}

func TestSignIn(t *testing.T) {
	tests := []struct {
		name, body string
		lines      []string
		status     int
	}{
		{"right", "token=" + testToken, []string{"Sec-Fetch-Site: same-origin"}, 303},
		{"wrong", "token=wrong", []string{"Sec-Fetch-Site: same-origin"}, 401},
		{"none", "", []string{"Sec-Fetch-Site: same-origin"}, 401},
		{"another site's form", "token=" + testToken, []string{"Sec-Fetch-Site: cross-site"}, 403},
		{"no origin", "token=" + testToken, nil, 403},
		{"rebound", "token=" + testToken, []string{"Host: evil.test", "Origin: http://evil.test"}, 421},
		{"huge", "token=" + strings.Repeat("x", maxForm), []string{"Sec-Fetch-Site: same-origin"}, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lines := append([]string{"Authorization: ", "Content-Type: application/x-www-form-urlencoded"}, tt.lines...)
			w := ask(New(newFake().options()), "POST", "/login", tt.body, lines...)
			if w.Code != tt.status {
				t.Errorf("%d %s, want %d", w.Code, w.Body, tt.status)
			}
			if got := w.Header().Get("Set-Cookie") != ""; got != (tt.status == 303) {
				t.Errorf("a cookie is set: %v", got)
			}
			if w.Header().Get("WWW-Authenticate") != "" {
				t.Error("a browser would show a prompt of its own")
			}
		})
	}
	w := ask(New(newFake().options()), "POST", "/login?token="+testToken, "", "Authorization: ", "Sec-Fetch-Site: same-origin")
	if w.Code != 401 {
		t.Errorf("a token in the URL: %d", w.Code)
	}
}

func TestSignOut(t *testing.T) {
	h := New(newFake().options())
	cookie := signedInCookie(t, h)
	w := ask(h, "POST", "/logout", "", "Authorization: ", cookie, "Sec-Fetch-Site: same-origin", csrfHeader+": 1")
	if w.Code != 204 || !strings.Contains(w.Header().Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := ask(h, "GET", "/v1/stats", "", "Authorization: ", cookie); w.Code != 401 {
		t.Errorf("after it: %d", w.Code)
	}
}

func TestDesk_keeps_the_newest(t *testing.T) {
	d, now := newDesk(), time.Unix(0, 0)
	var first string
	for i := range maxSignedIn + 1 {
		v := d.open(now.Add(time.Duration(i) * time.Second))
		if i == 0 {
			first = v
		}
	}
	r, _ := http.NewRequest("GET", "/", nil)
	r.AddCookie(&http.Cookie{Name: "c", Value: first})
	if _, ok := d.find(r, "c", now); ok || len(d.sessions) != maxSignedIn {
		t.Errorf("%d sessions, the oldest among them: %v", len(d.sessions), ok)
	}
}

func TestSecure_cookie(t *testing.T) {
	o := newFake().options()
	o.CookieSecure = true
	h := New(o)
	if c := signedInCookie(t, h); !strings.HasPrefix(c, "Cookie: __Host-umbral-admin=") {
		t.Error(c)
	}
}

func TestDashboard(t *testing.T) {
	h := New(newFake().options())
	out := ask(h, "GET", "/", "", "Authorization: ", "Accept: text/html")
	if out.Code != 200 || !strings.Contains(out.Body.String(), `data-view="signin"`) {
		t.Errorf("signed out: %d", out.Code)
	}
	in := ask(h, "GET", "/", "", "Authorization: ", "Accept: text/html", signedInCookie(t, h))
	if in.Code != 200 || !strings.Contains(in.Body.String(), `data-view="app"`) {
		t.Errorf("signed in: %d", in.Code)
	}
	if w := ask(h, "GET", "/", "", "Host: evil.test", "Accept: text/html"); w.Code != 421 {
		t.Errorf("rebound: %d", w.Code)
	}
	checkPolicy(t, in.Header().Get("Content-Security-Policy"), in.Body.String())
}

// checkPolicy holds the page to its own policy: every style and script is one
// that the policy names, and nothing comes from elsewhere.
func checkPolicy(t *testing.T, policy, body string) {
	t.Helper()
	if strings.Contains(policy, "unsafe") || !strings.HasPrefix(policy, "default-src 'none'; ") {
		t.Errorf("policy: %s", policy)
	}
	for tag, directive := range map[string]string{"style": "style-src ", "script": "script-src "} {
		if n := strings.Count(body, "<"+tag); n != 1 {
			t.Errorf("%d of <%s>", n, tag)
		}
		_, rest, _ := strings.Cut(body, "<"+tag+">")
		content, _, _ := strings.Cut(rest, "</"+tag+">")
		if want := directive + "'" + digest(content) + "'"; !strings.Contains(policy, want) {
			t.Errorf("the policy does not allow the page's <%s>", tag)
		}
	}
	for _, bad := range []string{" style=\"", " onclick=", "//cdn", "src=\"http", "href=\"http", "{{", "/*style*/", "/*script*/"} {
		if strings.Contains(body, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
}
