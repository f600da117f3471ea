package e2e

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"umbral/proxy/store/storetest"
)

// sessionRoutes are what most tests of sessions run under: what is not listed
// is the app's, with the visitor's jar.
const sessionRoutes = `
version: 1
routes:
  - {match: /public/, ttl: 1h}
  - {match: /mine/, ttl: 1h, vary: user}
  - {match: /tab/, ttl: 1h, vary: session}
  - {match: /control/, cache: off, control: on}
  - {match: /control-mine/, ttl: 1h, vary: user, control: on}
sessions:
  identity: {source: header}
`

// cookieApp is an app in Django's manner: sign-in, sign-out and forms under
// any prefix, and pages that tell what came up. The query says what else an
// answer does:
//
//	set=LINE     a Set-Cookie field   h=NAME:VALUE  another field
//	big=N        N cookies of 1 KB
//	wait=NAME    the answer waits until the test opens the gate NAME
type cookieApp struct {
	*app
	n     atomic.Int64
	mu    sync.Mutex
	gates map[string]*gate
}

// gate holds answers back.
type gate struct{ arrived, open chan struct{} }

func startCookieApp(t testing.TB) *cookieApp {
	a := &cookieApp{gates: map[string]*gate{}}
	a.app = startApp(t, a.serve)
	return a
}

// gate makes a gate; arrived gets one value for each request that waits.
func (a *cookieApp) gate(name string) *gate {
	g := &gate{arrived: make(chan struct{}, 4096), open: make(chan struct{})}
	a.mu.Lock()
	a.gates[name] = g
	a.mu.Unlock()
	return g
}

// echo is what the app was sent, as its pages tell it.
type echo struct {
	N       int64               `json:"n"`
	Method  string              `json:"method"`
	Cookie  []string            `json:"cookie"`
	Header  map[string][]string `json:"header"`
	Trailer map[string][]string `json:"trailer"`
	Body    string              `json:"body"`
}

func (a *cookieApp) serve(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	body, _ := io.ReadAll(r.Body)
	if name := q.Get("wait"); name != "" {
		a.mu.Lock()
		g := a.gates[name]
		a.mu.Unlock()
		g.arrived <- struct{}{}
		select {
		case <-g.open:
		case <-r.Context().Done():
			return
		}
	}
	n := a.n.Add(1)
	set := func(line string) { w.Header().Add("Set-Cookie", line) }
	switch {
	case strings.HasSuffix(r.URL.Path, "/form"):
		set(fmt.Sprintf("csrftoken=csrf-secret-%d; Max-Age=31449600; Path=/; SameSite=Lax", n))
	case strings.HasSuffix(r.URL.Path, "/login") && r.Method == "POST":
		age := q.Get("age")
		if age == "" {
			age = "1209600"
		}
		set(fmt.Sprintf("sessionid=session-secret-%d; HttpOnly; Max-Age=%s; Path=/; SameSite=Lax", n, age))
		set(fmt.Sprintf("csrftoken=csrf-secret-%d; Max-Age=31449600; Path=/; SameSite=Lax", n))
		form, _ := url.ParseQuery(string(body))
		if u := cmp.Or(form.Get("user"), q.Get("user")); u != "" {
			w.Header().Set("X-Edge-Session-User", u)
		}
	case strings.HasSuffix(r.URL.Path, "/logout"):
		set(`sessionid=""; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; SameSite=Lax`)
	case strings.HasSuffix(r.URL.Path, "/opens") && !strings.Contains(r.Header.Get("Cookie"), "sessionid="):
		set(fmt.Sprintf("sessionid=opened-secret-%d; HttpOnly; Max-Age=1209600; Path=/; SameSite=Lax", n))
	}
	for _, line := range q["set"] {
		set(line)
	}
	big, _ := strconv.Atoi(q.Get("big"))
	for i := range big {
		set(fmt.Sprintf("big%02d=%s; Path=/", i, strings.Repeat("x", 1024-len("big00"))))
	}
	for _, line := range q["h"] {
		name, value, _ := strings.Cut(line, ":")
		w.Header().Add(name, value)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(echo{n, r.Method, r.Header["Cookie"], r.Header, r.Trailer, string(body)})
}

// said decodes what the app told it was sent.
func (a answer) said(t testing.TB) echo {
	t.Helper()
	var e echo
	if err := json.Unmarshal([]byte(a.Body), &e); err != nil {
		t.Fatalf("%d %s: no page of the app: %q", a.StatusCode, a.Umbral(), a.Body)
	}
	return e
}

// cookie is the value of one cookie that the app was sent, "" for none.
func (e echo) cookie(name string) string {
	for _, line := range e.Cookie {
		for pair := range strings.SplitSeq(line, "; ") {
			if v, ok := strings.CutPrefix(pair, name+"="); ok {
				return v
			}
		}
	}
	return ""
}

func (e echo) field(name string) string {
	return strings.Join(e.Header[http.CanonicalHeaderKey(name)], " & ")
}

// anonymous: the app saw no cookie and no identity.
func (e echo) anonymous() bool {
	return len(e.Cookie) == 0 && e.field("X-Edge-Auth") == "anonymous" &&
		e.field("X-Edge-User")+e.field("X-Edge-Session")+e.field("X-Edge-Identity") == ""
}

// setCookies are the Set-Cookie fields of an answer.
func (a answer) setCookies() []string { return a.Header.Values("Set-Cookie") }

// login signs a browser in at the cookie app as user.
func (c *client) login(user string) answer {
	c.t.Helper()
	a := c.post("/login", url.Values{"user": {user}})
	if a.StatusCode != 200 || len(a.setCookies()) != 1 {
		c.t.Fatalf("sign-in: %d %v", a.StatusCode, a.setCookies())
	}
	return a
}

// token is the value of the edge's cookie in the browser, "" for none.
func (c *client) token() string {
	for _, k := range c.cookies() {
		if k.Name == "umbral" {
			return k.Value
		}
	}
	return ""
}

// with asks as a browser that sends exactly these Cookie lines.
func (e *edge) with(path string, lines ...string) (answer, error) {
	headers := make([]string, len(lines))
	for i, line := range lines {
		headers[i] = "Cookie: " + line
	}
	e.once.Do(func() { e.plain = e.visitor() })
	return e.plain.do("GET", path, "", headers...)
}

// bytes sends bytes as they are and reads one answer.
func (e *edge) bytes(t testing.TB, request string) (answer, error) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(e.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, request); err != nil {
		return answer{}, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp, string(body)}, err
}

// parallel runs f n times at once and fails the test on the first error.
func parallel(t testing.TB, n int, f func(i int) error) {
	t.Helper()
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- f(i) }()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

// monitor records what Redis is asked, from outside (MONITOR).
type monitor struct {
	t     testing.TB
	redis *storetest.Redis
	lines chan string
	n     int
	seen  []string // every line so far
}

func watchRedis(t testing.TB, r *storetest.Redis) *monitor {
	t.Helper()
	c, err := net.Dial("tcp", r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	m := &monitor{t: t, redis: r, lines: make(chan string, 1<<20)}
	in := bufio.NewReader(c)
	fmt.Fprint(c, "MONITOR\r\n")
	if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "+OK") {
		t.Fatalf("monitor: %q %v", line, err)
	}
	go func() {
		defer close(m.lines)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			m.lines <- line
		}
	}()
	return m
}

// sessions are the commands on session keys since the last call, those that
// scripts make left out.
func (m *monitor) sessions() (commands []string) {
	m.t.Helper()
	m.n++
	mark := fmt.Sprintf("mark-%d", m.n)
	m.redis.Do("ECHO", mark)
	late := time.After(patience)
	for {
		select {
		case line := <-m.lines:
			if strings.Contains(line, mark) {
				return commands
			}
			m.seen = append(m.seen, line)
			for _, key := range []string{":edge:s:", ":edge:u:", ":edge:anon"} {
				if strings.Contains(line, key) && !strings.Contains(line, " lua] ") && !strings.Contains(line, `"TRACKING"`) {
					commands = append(commands, strings.TrimSpace(line))
					break
				}
			}
		case <-late:
			m.t.Fatal("MONITOR says nothing")
		}
	}
}

// sessionKeys are the keys of session records.
func sessionKeys(t *testing.T, r *storetest.Redis) (records []string) {
	for _, key := range keysOf(t, r) {
		if strings.Contains(key, ":edge:s:") {
			records = append(records, key)
		}
	}
	return records
}

// adminText is what the admin API answers, as it is.
func (e *edge) adminText(path string) string {
	e.t.Helper()
	r, _ := http.NewRequest("GET", e.Admin+path, nil)
	r.Header.Set("Authorization", "Bearer "+adminToken)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return string(b)
}

// stopAfter ends the edge once f has run, so that its log is whole.
func (e *edge) stopAfter(f func()) {
	e.t.Helper()
	f()
	if code := e.stop(); code != 0 {
		e.t.Errorf("the edge ended with %d", code)
	}
}

// unmarshal is said for goroutines, which may not end a test.
func unmarshal(a answer, into *echo) error {
	if err := json.Unmarshal([]byte(a.Body), into); err != nil {
		return fmt.Errorf("%d %s: no page of the app: %q", a.StatusCode, a.Umbral(), a.Body)
	}
	return nil
}

// paths are the request targets that the app has seen.
func (a *app) paths() (all []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.seen {
		all = append(all, r.URL.RequestURI())
	}
	return all
}
