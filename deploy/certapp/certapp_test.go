package certapp

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gopkg.in/yaml.v3"
)

// visitor is a browser: it keeps cookies, and does not follow redirects.
type visitor struct {
	t    *testing.T
	base string
	*http.Client
}

func newSite(t *testing.T, opts Options) (*App, func() visitor) {
	t.Helper()
	if opts.ListDelay == 0 {
		opts.ListDelay = -1
	}
	app := New(opts)
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	return app, func() visitor {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		return visitor{t, server.URL, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	}
}

func (v visitor) send(method, path string, form url.Values, header ...string) (*http.Response, string) {
	v.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequest(method, v.base+path, body)
	if err != nil {
		v.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := v.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return resp, string(text)
}

func (v visitor) get(path string) (*http.Response, string) { return v.send("GET", path, nil) }

var csrfField = regexp.MustCompile(`name="csrfmiddlewaretoken" value="([^"]+)"`)

// submit loads the form at path and posts it with the given fields.
func (v visitor) submit(path string, fields url.Values) (*http.Response, string) {
	v.t.Helper()
	_, form := v.get(path)
	found := csrfField.FindStringSubmatch(form)
	if found == nil {
		v.t.Fatalf("no form at %s:\n%s", path, form)
	}
	fields.Set("csrfmiddlewaretoken", found[1])
	action, _, _ := strings.Cut(path, "?")
	return v.send("POST", action, fields)
}

func (v visitor) signIn(login, password string) *http.Response {
	resp, _ := v.submit("/accounts/login/", url.Values{"username": {login}, "password": {password}})
	return resp
}

func cookieOf(resp *http.Response, name string) *http.Cookie {
	for _, c := range resp.Cookies() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

func TestPublicPagesLookAtNoCookie(t *testing.T) {
	app, visit := newSite(t, Options{})
	ana := visit()
	ana.signIn("ana", "girasol-7")
	ana.submit("/certificado/7/editar", url.Values{"holder": {"X"}, "course": {"Y"}, "hours": {"1"}}) // leaves a message waiting
	stamp := regexp.MustCompile(`(?s)<p class="stamp">.*?</p>`)
	pages := []string{"/", "/certificados/", "/certificados/?page=3", "/certificado/7", "/certificado/7/descargar", "/verificar/", "/verificar/" + code(7), "/fragmentos/actividad", "/robots.txt", "/sitemap.xml", app.assets.url("site.css")}
	for _, path := range pages {
		mine, mineBody := ana.get(path)
		theirs, theirBody := visit().get(path)
		if mine.StatusCode != 200 || theirs.StatusCode != 200 {
			t.Errorf("%s: status %d and %d, want 200", path, mine.StatusCode, theirs.StatusCode)
		}
		if len(mine.Cookies())+len(theirs.Cookies()) > 0 {
			t.Errorf("%s sets a cookie: %v %v", path, mine.Cookies(), theirs.Cookies())
		}
		if stamp.ReplaceAllString(mineBody, "") != stamp.ReplaceAllString(theirBody, "") {
			t.Errorf("%s differs between a signed-in person and a stranger", path)
		}
	}
}

func TestSignIn(t *testing.T) {
	_, visit := newSite(t, Options{SessionLifetime: time.Hour})
	ana, luis := visit(), visit()

	resp, _ := ana.get("/panel/")
	if got := resp.Header.Get("Location"); resp.StatusCode != 302 || got != "/accounts/login/?next=%2Fpanel%2F" {
		t.Fatalf("a stranger at the panel: %d %q", resp.StatusCode, got)
	}
	before, _ := ana.get("/accounts/login/")
	resp = ana.signIn("ana", "girasol-7")
	if got := resp.Header.Get("Location"); resp.StatusCode != 302 || got != "/panel/" {
		t.Fatalf("sign-in: %d to %q", resp.StatusCode, got)
	}
	if got := resp.Header.Get("X-Edge-Session-User"); got != "1" {
		t.Errorf("X-Edge-Session-User %q, want 1", got)
	}
	session, token := cookieOf(resp, "sessionid"), cookieOf(resp, "csrftoken")
	if session == nil || !session.HttpOnly || session.MaxAge != 3600 || session.Path != "/" || session.SameSite != http.SameSiteLaxMode {
		t.Errorf("sessionid %v lacks an attribute", session)
	}
	if token == nil || token.HttpOnly || token.Value == cookieOf(before, "csrftoken").Value {
		t.Errorf("csrftoken %v was not rotated at sign-in, or is hidden from scripts", token)
	}
	luis.signIn("luis", "lavanda-9")
	for name, v := range map[string]visitor{"Ana García": ana, "Luis Ortega": luis} {
		resp, panel := v.get("/panel/")
		if !strings.Contains(panel, "Hello, <span id=\"who\">"+name) {
			t.Errorf("%s is not greeted by name", name)
		}
		if len(resp.Cookies()) > 0 || resp.Header.Get("Vary") != "Cookie" || resp.Header.Get("Cache-Control") != "private" {
			t.Errorf("panel: cookies %v, Vary %q, Cache-Control %q", resp.Cookies(), resp.Header.Get("Vary"), resp.Header.Get("Cache-Control"))
		}
		var who struct{ Name string }
		if _, body := v.get("/whoami/"); json.Unmarshal([]byte(body), &who) != nil || who.Name != name {
			t.Errorf("whoami of %s: %s", name, body)
		}
	}
	if resp := visit().signIn("ana", "lavanda-9"); resp.StatusCode != 200 || cookieOf(resp, "sessionid") != nil || resp.Header.Get("X-Edge-Session-User") != "" {
		t.Errorf("a wrong password: %d %v", resp.StatusCode, resp.Header)
	}
}

func TestSignInEndsThePriorSession(t *testing.T) {
	_, visit := newSite(t, Options{})
	ana := visit()
	old := cookieOf(ana.signIn("ana", "girasol-7"), "sessionid").Value
	ana.signIn("luis", "lavanda-9")
	if _, body := visit().send("GET", "/whoami/", nil, "Cookie", "sessionid="+old); !strings.Contains(body, `"id":null`) {
		t.Errorf("the session from before the sign-in still answers: %s", body)
	}
}

func TestSignOut(t *testing.T) {
	_, visit := newSite(t, Options{})
	ana := visit()
	session := cookieOf(ana.signIn("ana", "girasol-7"), "sessionid").Value
	resp, _ := ana.submit("/accounts/logout/", url.Values{})
	if c := cookieOf(resp, "sessionid"); c == nil || c.MaxAge >= 0 || resp.Header.Get("X-Edge-Session-User") != "anonymous" {
		t.Errorf("sign-out: %v", resp.Header)
	}
	if _, body := visit().send("GET", "/whoami/", nil, "Cookie", "sessionid="+session); !strings.Contains(body, `"id":null`) {
		t.Errorf("a replayed session answers %s", body)
	}
}

func TestSessionEndsAtItsDeadline(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := newSessions(time.Hour)
	id := s.start(People()[0], now)
	if _, ok := s.find(id, now.Add(time.Hour-1)); !ok {
		t.Error("gone before its deadline")
	}
	if _, ok := s.find(id, now.Add(time.Hour)); ok {
		t.Error("still there at its deadline")
	}
	for range maxSessions + 10 {
		s.start(People()[0], now)
	}
	if len(s.byID) != maxSessions {
		t.Errorf("%d sessions held, want %d at most", len(s.byID), maxSessions)
	}
}

func TestPostNeedsTheToken(t *testing.T) {
	_, visit := newSite(t, Options{})
	for _, path := range []string{"/accounts/login/", "/accounts/logout/", "/certificado/7/editar"} {
		v := visit()
		v.signIn("ana", "girasol-7")
		for name, fields := range map[string]url.Values{"no token": {}, "empty": {"csrfmiddlewaretoken": {""}}, "other": {"csrfmiddlewaretoken": {strings.Repeat("A", 26)}}} {
			if resp, _ := v.send("POST", path, fields); resp.StatusCode != 403 {
				t.Errorf("%s with %s: %d, want 403", path, name, resp.StatusCode)
			}
		}
		if _, body := v.get("/whoami/"); !strings.Contains(body, "Ana") {
			t.Errorf("%s: a refused POST changed the session", path)
		}
	}
	v := visit()
	if resp, _ := v.send("POST", "/accounts/login/", url.Values{"csrfmiddlewaretoken": {""}, "username": {"ana"}, "password": {"girasol-7"}}, "Cookie", "csrftoken="); resp.StatusCode != 403 {
		t.Errorf("empty cookie and empty field: %d, want 403", resp.StatusCode)
	}
}

func TestEditPurgesAndEscapes(t *testing.T) {
	_, visit := newSite(t, Options{})
	ana := visit()
	ana.signIn("ana", "girasol-7")
	resp, _ := ana.submit("/certificado/7/editar", url.Values{"holder": {`<script>"x"`}, "course": {"Bees & Co"}, "hours": {"12"}})
	if got := resp.Header.Get("Cache-Group-Invalidation"); resp.StatusCode != 303 || got != `"certificado:7", "certificados"` {
		t.Errorf("edit: %d, Cache-Group-Invalidation %s", resp.StatusCode, got)
	}
	if cookieOf(resp, "messages") == nil {
		t.Error("the edit leaves no message")
	}
	resp, page := ana.get("/panel/")
	if c := cookieOf(resp, "messages"); !strings.Contains(page, "Certificate 7 was changed.") || c == nil || c.MaxAge >= 0 {
		t.Errorf("the panel does not show and drop the message: %v", c)
	}
	if _, again := ana.get("/panel/"); strings.Contains(again, "was changed.") {
		t.Error("the message shows twice")
	}
	resp, page = visit().get("/certificado/7")
	if strings.Contains(page, "<script>") || !strings.Contains(page, "&lt;script&gt;") || !strings.Contains(page, "Bees &amp; Co") {
		t.Errorf("the page does not show the change, escaped:\n%s", page)
	}
	if got := resp.Header.Get("Cache-Tag"); got != "certificado:7" {
		t.Errorf("Cache-Tag %q", got)
	}
	if resp, _ := visit().get("/certificados/"); resp.Header.Get("Cache-Groups") != `"certificados"` {
		t.Errorf("Cache-Groups of the list: %q", resp.Header.Get("Cache-Groups"))
	}
	bad := url.Values{"holder": {""}, "course": {"C"}, "hours": {"0"}}
	if resp, _ := ana.submit("/certificado/7/editar", bad); resp.StatusCode != 422 || resp.Header.Get("Cache-Group-Invalidation") != "" {
		t.Errorf("a faulty form: %d, invalidation %q", resp.StatusCode, resp.Header.Get("Cache-Group-Invalidation"))
	}
	if resp, _ := visit().send("POST", "/certificado/7/editar", url.Values{}); resp.StatusCode != 302 {
		t.Errorf("a stranger's edit: %d, want 302 to sign-in", resp.StatusCode)
	}
}

func TestVerify(t *testing.T) {
	_, visit := newSite(t, Options{})
	for path, want := range map[string]int{
		"/verificar/" + code(7): 200, "/verificar/" + strings.ToLower(code(7)): 301, "/verificar/NONE": 404,
		"/verificar/?codigo=" + strings.ToLower(code(7)): 303, "/certificado/0": 404, "/certificado/07": 404, "/certificado/x": 404,
		"/certificados/?page=4": 404, "/nothing": 404, "/static/site.css": 404, "/certificados": 307,
	} {
		if resp, _ := visit().get(path); resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
	if _, page := visit().get("/verificar/%3Cscript%3E"); strings.Contains(page, "<script>") || strings.Contains(page, "<SCRIPT>") {
		t.Error("the code is shown unescaped")
	}
}

func TestDownload(t *testing.T) {
	_, visit := newSite(t, Options{})
	v := visit()
	full, body := v.get("/certificado/7/descargar")
	if len(body) < 300<<10 || !strings.HasPrefix(body, "%PDF-1.4\n") || full.Header.Get("Content-Disposition") != `attachment; filename="certificado-7.pdf"` || full.Header.Get("Last-Modified") == "" {
		t.Errorf("%d bytes, %v", len(body), full.Header)
	}
	resp, part := v.send("GET", "/certificado/7/descargar", nil, "Range", "bytes=1000-1999")
	if resp.StatusCode != 206 || part != body[1000:2000] {
		t.Errorf("a range: %d, %d bytes", resp.StatusCode, len(part))
	}
	if resp, _ := v.send("GET", "/certificado/7/descargar", nil, "If-None-Match", full.Header.Get("ETag")); resp.StatusCode != 304 {
		t.Errorf("revalidation: %d", resp.StatusCode)
	}
}

func TestEventsFlushAndEnd(t *testing.T) {
	app, visit := newSite(t, Options{EventInterval: time.Millisecond})
	v := visit()
	resp, err := v.Get(v.base + "/eventos")
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("Content-Type %q", got)
	}
	visit().get("/")
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if strings.Contains(lines.Text(), `"renders":1`) {
			break
		}
	}
	if app.Renders() != 1 {
		t.Errorf("%d renders, want 1: the stream itself is none", app.Renders())
	}
	resp.Body.Close() // the server's Close waits for the handler: it hangs unless the stream ends
}

func TestListIsSlowAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := New(Options{})
		begin := time.Now()
		w := httptest.NewRecorder()
		app.ServeHTTP(w, httptest.NewRequest("GET", "/certificados/", nil))
		if took := time.Since(begin); took != 400*time.Millisecond || w.Header().Get("X-App-Renders") != "1" {
			t.Errorf("took %v, render %s", took, w.Header().Get("X-App-Renders"))
		}
		if !strings.Contains(w.Body.String(), "in <b>400 ms</b> · render <b>#1</b>") {
			t.Error("the footer does not tell what the page cost")
		}
	})
}

func TestLocalPath(t *testing.T) {
	for next, want := range map[string]string{
		"/certificado/7/editar": "/certificado/7/editar", "/a?b=c": "/a?b=c",
		"": "/panel/", "//evil": "/panel/", `/\evil`: "/panel/", "https://evil/": "/panel/", "javascript:1": "/panel/", "/\t/evil": "/panel/", "x": "/panel/",
	} {
		if got := localPath(next); got != want {
			t.Errorf("localPath(%q) = %q, want %q", next, got, want)
		}
	}
}

func TestSealsDiffer(t *testing.T) {
	seen := map[string]int{}
	for _, c := range newRegister().all() {
		s := string(seal(c.Code))
		if s != string(seal(c.Code)) {
			t.Fatalf("the seal of %d is not stable", c.ID)
		}
		if other, ok := seen[s]; ok {
			t.Errorf("%d and %d have one seal", c.ID, other)
		}
		seen[s] = c.ID
		if strings.Contains(s, "style=") || strings.Contains(s, "NaN") {
			t.Errorf("the seal of %d has a style attribute or no number", c.ID)
		}
	}
}

func TestParallelUse(t *testing.T) {
	_, visit := newSite(t, Options{})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			v := visit()
			v.signIn("ana", "girasol-7")
			for range 5 {
				v.submit("/certificado/3/editar", url.Values{"holder": {"H"}, "course": {"C"}, "hours": {"3"}})
				v.get("/panel/")
				v.get("/certificados/")
			}
		})
	}
	all.Wait()
}

func TestRoutesIsYAML(t *testing.T) {
	var rules struct {
		Version int
		Routes  []struct{ Match string }
	}
	if err := yaml.Unmarshal(Routes, &rules); err != nil || rules.Version != 1 {
		t.Fatalf("version %d, %v", rules.Version, err)
	}
	mux := http.NewServeMux()
	for _, route := range rules.Routes {
		mux.HandleFunc(route.Match, http.NotFound) // panics on a bad or conflicting pattern
	}
}
