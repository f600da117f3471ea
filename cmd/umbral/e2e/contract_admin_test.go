package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"umbral/proxy/store/storetest"
)

// description is the edge's own OpenAPI document.
type description struct {
	t        *testing.T
	edge     *edge
	paths    map[string]map[string]json.RawMessage
	compiler *jsonschema.Compiler
}

func describe(t *testing.T, e *edge) *description {
	t.Helper()
	a := e.raw("GET", "/v1/openapi.json", "", bearer)
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("openapi: %d %s", a.StatusCode, a.Header.Get("Content-Type"))
	}
	d := &description{t: t, edge: e, compiler: jsonschema.NewCompiler()}
	d.compiler.AssertFormat()
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(a.Body), &doc); err != nil || !strings.HasPrefix(doc.OpenAPI, "3.1.") {
		t.Fatalf("openapi %q: %v", doc.OpenAPI, err)
	}
	d.paths = doc.Paths
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(a.Body))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.compiler.AddResource("openapi.json", value); err != nil {
		t.Fatal(err)
	}
	return d
}

// call makes a call with the token, and holds the answer against the
// description: the status is listed there, and the body fits its schema.
func (d *description) call(method, template, path, body string, want int, headers ...string) string {
	d.t.Helper()
	if !slices.ContainsFunc(headers, func(h string) bool { return strings.HasPrefix(h, "Authorization") }) {
		headers = append(headers, bearer)
	}
	if body != "" {
		headers = append(headers, "Content-Type: application/json")
	}
	a := d.edge.raw(method, path, body, headers...)
	what := fmt.Sprintf("%s %s %s", method, path, body)
	if a.StatusCode != want {
		d.t.Errorf("%s: %d, want %d: %s", what, a.StatusCode, want, a.Body)
		return a.Body
	}
	if a.Header.Get("Cache-Control") == "" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
		d.t.Errorf("%s: header %v", what, a.Header)
	}
	kind := "application/json"
	if want >= 400 {
		kind = "application/problem+json"
		d.problem(what, a)
	}
	op := strings.ToLower(method)
	if method == "PURGE" {
		op = "x-purge"
	}
	var known struct {
		Responses map[string]struct {
			Ref     string `json:"$ref"`
			Content map[string]any
		}
	}
	if err := json.Unmarshal(d.paths[template][op], &known); err != nil {
		d.t.Fatalf("%s is not described: %v", what, err)
	}
	response, ok := known.Responses[fmt.Sprint(want)]
	if !ok {
		d.t.Errorf("%s: %d is not described", what, want)
		return a.Body
	}
	at := "#/paths/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(template) + "/" + op + "/responses/" + fmt.Sprint(want)
	if response.Ref != "" {
		at = response.Ref
	}
	if got := a.Header.Get("Content-Type"); got != kind {
		d.t.Errorf("%s: Content-Type %q", what, got)
	}
	// A pointer's braces are no part of a URL.
	at = strings.NewReplacer("{", "%7B", "}", "%7D").Replace(at)
	schema, err := d.compiler.Compile("openapi.json" + at + "/content/" + strings.ReplaceAll(kind, "/", "~1") + "/schema")
	if err != nil {
		d.t.Fatalf("%s: %v", what, err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(a.Body))
	if err != nil {
		d.t.Fatalf("%s: %v in %s", what, err, a.Body)
	}
	if err := schema.Validate(value); err != nil {
		d.t.Errorf("%s: %v\n%s", what, err, a.Body)
	}
	return a.Body
}

// problem holds a refusal against RFC 9457 §3.
func (d *description) problem(what string, a answer) {
	d.t.Helper()
	var p struct {
		Type, Title, Detail string
		Status              int
	}
	if err := json.Unmarshal([]byte(a.Body), &p); err != nil || a.Header.Get("Content-Type") != "application/problem+json" ||
		p.Status != a.StatusCode || p.Title != http.StatusText(a.StatusCode) || p.Type != "about:blank" || p.Detail == "" {
		d.t.Errorf("%s: no problem details: %s %s", what, a.Header.Get("Content-Type"), a.Body)
	}
}

// TestEveryCallAnswersAsItIsDescribed makes each call of CONTRACT.md §6, well
// and badly.
func TestEveryCallAnswersAsItIsDescribed(t *testing.T) {
	redis := storetest.StartRedis(t)
	e := startEdge(t, contractApp(t).URL, redisURL(redis), contractRoutes)
	d := describe(t, e)
	v := e.visitor()
	v.get("/page/7")
	e.signIn("ana")
	e.signIn("ana").get("/mine/x")

	receipt := d.call("POST", "/v1/purge", "/v1/purge", `{"urls":[],"prefixes":[],"tags":["page:7"],"users":["ana"],"sessions":[],"all":false,"soft":false,"dry_run":false,"refresh":false,"wait":"2s"}`, 200)
	if !regexp.MustCompile(`^\{"id":"[^"]+","at":"[^"]+Z","selectors":\[\{"tag":"page:7"\},\{"user":"ana"\}\],"edges":\[\{"id":"[^"]+","applied":true,"ms":[\d.]+\}\],"complete":true,"matched":\{"memory":2\}\}\n$`).MatchString(receipt) {
		t.Errorf("receipt %s", receipt)
	}
	dry := d.call("POST", "/v1/purge", "/v1/purge", `{"all":true,"dry_run":true}`, 200)
	if !strings.Contains(dry, `"id":"",`) || !strings.Contains(dry, `"dry_run":true`) {
		t.Errorf("dry run %s", dry)
	}
	for _, body := range []string{
		`{`, `{}`, `[]`, `null`, `"x"`, `{"tag":["x"]}`, `{"tags":"x"}`, `{"tags":[]}`, `{"tags":[""]}`, `{"urls":["ftp://x/"]}`, `{"urls":["page"]}`,
		`{"urls":["page/x"]}`, `{"tags":["x"],"wait":2}`, `{"tags":["x"],"wait":"soon"}`, `{"tags":["x"],"wait":"-1s"}`, `{"tags":["x"],"tags":["y"]}`, `{"tags":["x"]} x`,
		`{"all":"yes"}`, `{"prefixes":["/page/*"]}`,
	} {
		d.call("POST", "/v1/purge", "/v1/purge", body, 400)
	}
	if got := d.call("POST", "/v1/purge", "/v1/purge", `{"users":["nobody"],"wait":""}`, 200); !strings.Contains(got, `"selectors":[{"user":"nobody"}]`) || !strings.Contains(got, `"matched":{"memory":0}`) {
		t.Errorf("purge of who is not known: %s", got)
	}
	d.call("GET", "/v1/explain", "/v1/explain?url=/page/7&method=&user=&header=", "", 200)
	d.call("PURGE", "/{path}", "/page/7", "", 200, "Host: "+site)
	d.call("GET", "/v1/purges", "/v1/purges", "", 200)
	d.call("GET", "/v1/purges", "/v1/purges?limit=0", "", 400)
	d.call("GET", "/v1/explain", "/v1/explain?url=http://site.test/page/7&method=HEAD&user=ana&header=Accept-Language:%20es&header=X:y", "", 200)
	for _, q := range []string{"", "?url=", "?url=x", "?url=/a&url=/b", "?url=/a&method=G%20T", "?url=/a%25zz", "?url=/a&header=x", "?uri=/a"} {
		d.call("GET", "/v1/explain", "/v1/explain"+q, "", 400)
	}
	var job struct{ ID, State string }
	_ = json.Unmarshal([]byte(d.call("POST", "/v1/warm", "/v1/warm", `{"urls":["http://site.test/page/1","/page/2"]}`, 202)), &job)
	e.eventually("the job is done", func() bool {
		_ = json.Unmarshal([]byte(d.call("GET", "/v1/warm/{id}", "/v1/warm/"+job.ID, "", 200)), &job)
		return job.State == "done"
	})
	d.call("GET", "/v1/warm/{id}", "/v1/warm/w99", "", 404)
	for _, body := range []string{`{}`, `{"urls":[]}`, `{"urls":["x"]}`, `{"urls":["/a"],"sitemap":"/b"}`, `{"urls":["/a"],"concurrency":1000}`} {
		d.call("POST", "/v1/warm", "/v1/warm", body, 400)
	}
	d.call("GET", "/v1/routes", "/v1/routes", "", 200)
	d.call("GET", "/v1/stats", "/v1/stats", "", 200)
	d.call("GET", "/v1/stats", "/v1/stats?history=15m", "", 200)
	d.call("GET", "/v1/stats", "/v1/stats?history=x", "", 400)
	d.call("GET", "/v1/edges", "/v1/edges", "", 200)
	d.call("POST", "/v1/reload", "/v1/reload", "", 200)
	var list struct{ Sessions []struct{ ID string } }
	_ = json.Unmarshal([]byte(d.call("GET", "/v1/sessions", "/v1/sessions?user=ana", "", 200)), &list)
	d.call("GET", "/v1/sessions", "/v1/sessions", "", 200)
	d.call("GET", "/v1/sessions", "/v1/sessions?limit=x", "", 400)
	if len(list.Sessions) != 2 {
		t.Fatalf("sessions: %v", list)
	}
	if got := d.call("DELETE", "/v1/sessions/{id}", "/v1/sessions/"+list.Sessions[0].ID, "", 200); !strings.HasPrefix(got, `{"revoked":1,"complete":true,"edges":[{"id":"`) {
		t.Errorf("revoke: %s", got)
	}
	d.call("DELETE", "/v1/sessions/{id}", "/v1/sessions/"+list.Sessions[0].ID, "", 404)
	if got := d.call("DELETE", "/v1/users/{id}/sessions", "/v1/users/ana/sessions", "", 200); !strings.HasPrefix(got, `{"revoked":1,"complete":true,"edges":[{"id":"`) {
		t.Errorf("revoke: %s", got)
	}
	d.call("GET", "/healthz", "/healthz", "", 200, "Authorization: ")
	d.call("GET", "/readyz", "/readyz", "", 200, "Authorization: ")
	d.call("GET", "/readyz", "/readyz?verbose", "", 200)
	d.call("GET", "/readyz", "/readyz?verbose", "", 401, "Authorization: ")

	// The audit tells what was done, newest first, and by whom.
	var audit struct {
		Purges []struct {
			At, Who, From, Action string
			Selectors             []map[string]any
		}
	}
	_ = json.Unmarshal([]byte(d.call("GET", "/v1/purges", "/v1/purges?limit=2", "", 200)), &audit)
	if len(audit.Purges) != 2 || audit.Purges[0].Who != "token" || !strings.HasPrefix(audit.Purges[0].From, "127.0.0.1:") || audit.Purges[0].Action != "revoke" || fmt.Sprint(audit.Purges[0].Selectors) != "[map[user:ana]]" {
		t.Errorf("audit: %+v", audit)
	}

	// Unknown, and not in this way.
	for _, path := range []string{"/v1/nothing", "/v1/", "/nothing", "/v2/purge"} {
		a := e.raw("GET", path, "", bearer)
		if d.problem(path, a); a.StatusCode != 404 {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
	for call, allow := range map[string]string{"GET /v1/purge": "POST", "DELETE /v1/stats": "GET, HEAD", "PUT /v1/sessions": "DELETE, GET, HEAD", "POST /healthz": "GET, HEAD", "POST /metrics": "GET, HEAD"} {
		method, path, _ := strings.Cut(call, " ")
		a := e.raw(method, path, "", bearer)
		if d.problem(call, a); a.StatusCode != 405 || a.Header.Get("Allow") != allow {
			t.Errorf("%s: %d, Allow %q", call, a.StatusCode, a.Header.Get("Allow"))
		}
	}
	if a := e.raw("POST", "/v1/purge", "all", bearer, "Content-Type: text/plain"); a.StatusCode != 415 {
		t.Errorf("plain text: %d", a.StatusCode)
	}
}

// TestTheTokenIsWanted: by every call but the probes and the public keys,
// with and without one that is set.
func TestTheTokenIsWanted(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := contractApp(t)
	with := startEdge(t, app.URL, redisURL(redis), contractRoutes)
	without := startEdge(t, app.URL, redisURL(redis), contractRoutes, "ADMIN_TOKEN=")
	d := describe(t, with)
	open := []string{"get /healthz", "get /readyz", "get /v1/jwks"}
	for path, item := range d.paths {
		for op := range item {
			call := op + " " + path
			method := strings.ToUpper(strings.TrimPrefix(op, "x-"))
			if op == "parameters" || path == "/" || path == "/login" || slices.Contains(open, call) {
				continue
			}
			target := strings.NewReplacer("{id}", "1", "{path}", "page/7").Replace(path)
			none := with.raw(method, target, "")
			if d.problem(call, none); none.StatusCode != 401 || !strings.HasPrefix(none.Header.Get("Www-Authenticate"), "Bearer") {
				t.Errorf("%s without a token: %d %v", call, none.StatusCode, none.Header)
			}
			for _, header := range []string{"Authorization: Bearer wrong", "Authorization: Basic " + adminToken, "Authorization: " + adminToken, "Cookie: umbral-admin=" + adminToken} {
				if a := with.raw(method, target, "", header); a.StatusCode != 401 {
					t.Errorf("%s with %s: %d", call, header, a.StatusCode)
				}
			}
			unset := without.raw(method, target, "", bearer)
			if d.problem(call, unset); unset.StatusCode != 403 || !strings.Contains(unset.Body, "ADMIN_TOKEN") {
				t.Errorf("%s where no token is set: %d %s", call, unset.StatusCode, unset.Body)
			}
		}
	}
	for _, call := range open {
		for _, e := range []*edge{with, without} {
			if a := e.raw("GET", strings.TrimPrefix(call, "get "), ""); a.StatusCode != 200 {
				t.Errorf("%s: %d", call, a.StatusCode)
			}
		}
	}
	if a := without.raw("GET", "/", "", "Accept: text/html"); a.StatusCode != 403 || !strings.Contains(a.Body, "ADMIN_TOKEN is not set") {
		t.Errorf("the dashboard where no token is set: %d", a.StatusCode)
	}
	// Nothing of it on the public listener.
	app.set(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) })
	for path := range d.paths {
		target := strings.NewReplacer("{id}", "1", "{path}", "page/7").Replace(path)
		for _, method := range []string{"GET", "POST", "DELETE", "PURGE"} {
			a, err := with.visitor().do(method, target, "", bearer)
			if err != nil {
				t.Fatal(err)
			}
			if a.StatusCode != http.StatusTeapot && a.StatusCode != 405 && a.StatusCode != 501 {
				t.Errorf("%s %s on the public listener: %d %s", method, target, a.StatusCode, a.Body)
			}
		}
	}
}

// TestGuessingIsBounded: after ten wrong tokens the address is not even told
// that one is right.
func TestGuessingIsBounded(t *testing.T) {
	redis := storetest.StartRedis(t)
	e := startEdge(t, contractApp(t).URL, redisURL(redis), contractRoutes)
	for i := range 10 {
		if a := e.raw("GET", "/v1/stats", "", fmt.Sprintf("Authorization: Bearer guess-number-%d-of-them-all", i)); a.StatusCode != 401 {
			t.Fatalf("guess %d: %d", i, a.StatusCode)
		}
	}
	for _, token := range []string{"one-guess-too-many-0123456789", adminToken} {
		if a := e.raw("GET", "/v1/stats", "", "Authorization: Bearer "+token); a.StatusCode != 429 || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %v", token, a.StatusCode, a.Header)
		}
	}
	if strings.Contains(e.logs.String(), "guess-number") {
		t.Error("the log shows what was guessed")
	}
}

// TestPURGEIsOneURL: as Varnish's and Squid's users type it.
func TestPURGEIsOneURL(t *testing.T) {
	redis := storetest.StartRedis(t)
	e := startEdge(t, contractApp(t).URL, redisURL(redis), contractRoutes)
	v := e.visitor()
	for _, host := range []string{site, strings.TrimPrefix(e.Admin, "http://")} { // the latter: on every host
		for _, target := range []string{"/page/7", "/page/7?utm_source=y", "/page/7?b=2&a=1"} {
			page := strings.Replace(target, "b=2&a=1", "a=1&b=2", 1)
			v.get(page)
			v.get("/page/8")
			if !v.get(page).Hit() || !v.get("/page/8").Hit() {
				t.Fatalf("%s is not stored", page)
			}
			a := e.raw("PURGE", target, "", bearer, "Host: "+host)
			if a.StatusCode != 200 || !strings.Contains(a.Body, `"selectors":[{"url":"`) {
				t.Errorf("PURGE %s on %s: %d %s", target, host, a.StatusCode, a.Body)
			}
			if v.get(page).Hit() || !v.get("/page/8").Hit() {
				t.Errorf("PURGE %s on %s: the page stays, or another goes", target, host)
			}
		}
	}
	v.get("/page/7")
	if e.raw("PURGE", "/page/7", "", bearer, "Host: other.test"); !v.get("/page/7").Hit() {
		t.Error("PURGE of another site's page")
	}
}

// TestEventsAreServerSent: in the form of the standard, of each kind.
func TestEventsAreServerSent(t *testing.T) {
	redis := storetest.StartRedis(t)
	e := startEdge(t, contractApp(t).URL, redisURL(redis), contractRoutes, "REDIS_TIMEOUT=200ms")
	r, _ := http.NewRequestWithContext(t.Context(), "GET", e.Admin+"/v1/events", nil)
	r.Header.Set("Authorization", "Bearer "+adminToken)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || got != "text/event-stream" {
		t.Fatalf("%d %s", resp.StatusCode, got)
	}
	l, ended := &logs{more: make(chan struct{})}, make(chan struct{})
	go func() {
		for in := bufio.NewScanner(resp.Body); in.Scan(); {
			l.add(in.Text())
		}
		close(ended)
	}()
	l.waitFor(t, ": umbral", ended)
	v := e.visitor()
	v.get("/page/7?secret=x")
	e.purge(map[string]any{"tags": []string{"pages"}})
	e.admin("POST", "/v1/reload", nil, nil)
	line := l.waitFor(t, `"path":"/page/7"`, ended)
	var event struct {
		Time                                           time.Time
		ID, Method, Host, Path, Verdict, Reason, Route string
		Status                                         int
		Bytes                                          int64
		MS                                             float64
	}
	data, ok := strings.CutPrefix(line, "data: ")
	if err := json.Unmarshal([]byte(data), &event); !ok || err != nil || event.Time.IsZero() || event.Method != "GET" || event.Host != site || event.Status != 200 || event.Verdict != "miss" || event.Reason != "nothing-stored" || event.Route != "/page/{id}" || event.Bytes == 0 || event.ID == "" {
		t.Errorf("request: %s", line)
	}
	l.waitFor(t, "event: purge", ended)
	l.waitFor(t, "event: reload", ended)
	redis.Stop()
	for i := 0; i < 2000 && !strings.Contains(l.String(), "event: state"); i++ {
		v.get(fmt.Sprintf("/page/%d", i))
	}
	l.waitFor(t, "event: state", ended)
	if strings.Contains(l.String(), "secret") {
		t.Error("a query is shown")
	}
	e.stop()
	<-ended
}

// TestDashboardSignsIn: with the token, into a cookie of its own, and changes
// are proof against another page's forgery.
func TestDashboardSignsIn(t *testing.T) {
	redis := storetest.StartRedis(t)
	e := startEdge(t, contractApp(t).URL, redisURL(redis), contractRoutes)
	origin := "Origin: " + e.Admin
	page := e.raw("GET", "/", "", "Accept: text/html")
	if page.StatusCode != 200 || !strings.Contains(page.Body, `action="/login"`) || !strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") {
		t.Fatalf("sign-in page: %d", page.StatusCode)
	}
	policy := page.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "script-src 'sha256-"} {
		if !strings.Contains(policy, want) || strings.Contains(policy, "unsafe") {
			t.Errorf("policy %q lacks %q", policy, want)
		}
	}
	form := "Content-Type: application/x-www-form-urlencoded"
	for _, refused := range [][]string{{"token=wrong", origin}, {"token=" + adminToken, "Origin: http://evil.test"}, {"token=" + adminToken, "Sec-Fetch-Site: cross-site"}} {
		if a := e.raw("POST", "/login", refused[0], form, refused[1]); a.StatusCode < 400 || a.Header.Get("Set-Cookie") != "" {
			t.Errorf("%v: %d %s", refused, a.StatusCode, a.Header.Get("Set-Cookie"))
		}
	}
	in := e.raw("POST", "/login", "token="+adminToken, form, origin)
	set := in.Header.Get("Set-Cookie")
	if in.StatusCode != 303 || !strings.Contains(set, "; HttpOnly") || !strings.Contains(set, "; SameSite=Strict") || strings.Contains(set, adminToken) {
		t.Fatalf("signed in: %d %q", in.StatusCode, set)
	}
	value, _, _ := strings.Cut(set, ";")
	cookie := "Cookie: " + value
	if a := e.raw("GET", "/", "", cookie); a.StatusCode != 200 || !strings.Contains(a.Body, `data-view="app"`) {
		t.Errorf("dashboard: %d", a.StatusCode)
	}
	if a := e.raw("GET", "/v1/stats", "", cookie); a.StatusCode != 200 {
		t.Errorf("stats by cookie: %d", a.StatusCode)
	}
	purge := func(headers ...string) int {
		return e.raw("POST", "/v1/purge", `{"tags":["x"]}`, append(headers, "Content-Type: application/json", cookie)...).StatusCode
	}
	if got := purge(origin, "Umbral-Csrf: 1"); got != 200 {
		t.Errorf("a change by the page itself: %d", got)
	}
	for _, headers := range [][]string{{}, {origin}, {"Umbral-Csrf: 1"}, {"Origin: http://evil.test", "Umbral-Csrf: 1"}, {"Sec-Fetch-Site: same-site", "Umbral-Csrf: 1"}, {origin, "Umbral-Csrf: 1", "Host: evil.test"}} {
		if got := purge(headers...); got < 400 {
			t.Errorf("a change with %v: %d", headers, got)
		}
	}
	if a := e.raw("POST", "/logout", "", cookie, origin, "Umbral-Csrf: 1"); a.StatusCode != 204 {
		t.Errorf("sign out: %d", a.StatusCode)
	}
	if a := e.raw("GET", "/v1/stats", "", cookie); a.StatusCode != 401 {
		t.Errorf("after signing out: %d", a.StatusCode)
	}
	if bytes.Contains([]byte(e.logs.String()), []byte(adminToken)) {
		t.Error("the log shows the token")
	}
}
