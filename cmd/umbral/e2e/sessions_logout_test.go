package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"umbral/proxy/store/storetest"
)

// twoEdges run on one Redis in front of one app.
func twoEdges(t *testing.T, upstream, redisURL, routes string, env ...string) [2]*edge {
	t.Helper()
	var e [2]*edge
	for i := range e {
		e[i] = startEdge(t, upstream, redisURL, routes, env...)
	}
	e[0].knows(2)
	e[1].knows(2)
	return e
}

// knows waits until the edge sees n live edges, itself among them.
func (e *edge) knows(n int) {
	e.t.Helper()
	e.eventually(fmt.Sprint(n, " live edges"), func() bool {
		var got struct{ Edges []struct{ ID string } }
		e.admin("GET", "/v1/edges", nil, &got)
		return len(got.Edges) >= n
	})
}

// onEveryRedis runs test with two edges on each kind of Redis that may be named
// in REDIS_URL; failover ends a master, and returns when another is.
func onEveryRedis(t *testing.T, test func(t *testing.T, app *cookieApp, e [2]*edge, failover func())) {
	t.Run("single", func(t *testing.T) {
		redis := storetest.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
		app := startCookieApp(t)
		test(t, app, twoEdges(t, app.URL, redisURL(redis), sessionRoutes, "REDIS_TIMEOUT=20s"), func() {
			redis.Kill()
			redis.Restart()
		})
	})
	t.Run("sentinel", func(t *testing.T) {
		s := storetest.StartSentinel(t)
		app := startCookieApp(t)
		test(t, app, twoEdges(t, app.URL, s.URL, sessionRoutes, "REDIS_MODE=sentinel"), func() {
			storetest.AwaitReplicas(t, s.Nodes)
			master := s.Master()
			master.Kill()
			within(t, "another master", func() bool { m := s.Master(); return m != nil && m != master })
		})
	})
	t.Run("cluster", func(t *testing.T) {
		c := storetest.StartCluster(t)
		app := startCookieApp(t)
		test(t, app, twoEdges(t, app.URL, c.URL, sessionRoutes, "REDIS_MODE=cluster"), func() {
			for _, n := range c.Nodes[:2] {
				within(t, "every node to be back", c.Replicated)
				storetest.AwaitReplicas(t, c.Nodes)
				n.Kill()
				// Back too soon it would be the master still, with nothing.
				within(t, "replicas to take over", func() bool { return !c.Serves(n) && c.Whole() })
				n.Restart()
			}
		})
	})
}

// SESSIONS.md §9, point 6: whichever way somebody signs out, when the answer
// is there, no edge serves that person's pages, and the cookie is nobody's.
func TestLogoutEndsPagesAndCookieOnEveryEdge(t *testing.T) {
	onEveryRedis(t, func(t *testing.T, _ *cookieApp, e [2]*edge, _ func()) { logoutEndsPagesAndCookieOnEveryEdge(t, e) })
}

func logoutEndsPagesAndCookieOnEveryEdge(t *testing.T, e [2]*edge) {
	for _, way := range []struct{ name, path string }{
		{"the edge's own path", "/.umbral/logout"},
		{"the app takes its cookie away", "/logout"},
		{"the app says anonymous", "/?h=X-Edge-Session-User:anonymous"},
		{"a control header", "/control/?h=X-Edge-Session-Logout:current"},
		{"a control header, everywhere", "/control/?h=X-Edge-Session-Logout:all"},
	} {
		c := e[0].browser()
		c.login("ana")
		cookie := "umbral=" + c.token()
		pages := []string{"/mine/a", "/mine/b?x=1", "/tab/a"}
		for _, edge := range e {
			for range 2 {
				for _, p := range pages {
					if a, err := edge.with(p, cookie); err != nil || a.said(t).field("X-Edge-User") != "ana" {
						t.Fatalf("%s: %v %s", p, err, a.Body)
					}
				}
			}
		}
		a := c.post(way.path, nil)
		if a.StatusCode >= 400 || len(a.setCookies()) != 1 || a.Header.Get("Clear-Site-Data") != `"cache"` {
			t.Errorf("%s: %d %v %v", way.name, a.StatusCode, a.setCookies(), a.Header)
		}
		// At once, and hundreds of times in parallel.
		parallel(t, 200, func(i int) error {
			path := append(pages, "/")[i/2%4]
			a, err := e[i%2].with(path, cookie)
			if err != nil {
				return err
			}
			var got echo
			if err := unmarshal(a, &got); err != nil {
				return err
			}
			if !got.anonymous() {
				return fmt.Errorf("%s: after it edge %d gave %s: %s", way.name, i%2, path, a.Body)
			}
			return nil
		})
		if got := c.get("/").said(t); got.cookie("sessionid") != "" || got.field("X-Edge-Auth") != "anonymous" {
			t.Errorf("%s: the browser goes on as %s", way.name, got.Header)
		}
	}
}

// SESSIONS.md §9, point 6.
func TestNobodyIsSignedOutFromElsewhere(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := startEdge(t, app.URL, redisURL(redis), sessionRoutes, "REDIS_TIMEOUT=20s")
	c := e.browser()
	c.login("ana")
	for _, tt := range []struct {
		method  string
		headers []string
	}{
		{"GET", []string{"Origin: http://" + site}}, {"HEAD", nil}, {"PUT", []string{"Origin: http://" + site}},
		{"OPTIONS", []string{"Origin: http://" + site}}, {"POST", nil}, {"POST", []string{"Origin: http://evil.test"}},
		{"POST", []string{"Origin: null"}}, {"POST", []string{"Origin: http://" + site + ".evil.test"}},
		{"POST", []string{"Origin: http://" + site + ":81"}}, {"POST", []string{"Sec-Fetch-Site: cross-site"}},
		{"POST", []string{"Sec-Fetch-Site: same-site"}}, {"POST", []string{"Sec-Fetch-Site: none"}},
		{"POST", []string{"Origin: http://" + site, "Sec-Fetch-Site: cross-site"}},
		{"POST", []string{"Origin: http://" + site, "Origin: http://evil.test"}},
		{"POST", []string{"Referer: http://" + site + "/"}},
	} {
		a, err := c.do(tt.method, "/.umbral/logout", "", tt.headers...)
		if err != nil || a.StatusCode < 400 && tt.method != "OPTIONS" || len(a.setCookies()) > 0 || a.Header.Get("Clear-Site-Data") != "" {
			t.Errorf("%s %v: %v %d %v", tt.method, tt.headers, err, a.StatusCode, a.setCookies())
		}
	}
	if got := c.get("/").said(t); got.field("X-Edge-User") != "ana" {
		t.Errorf("signed out: %v", got.Header)
	}
	for _, path := range []string{"/.umbral/logout", "/.umbral/logout?x=1"} {
		for _, seen := range app.paths() {
			if seen == path {
				t.Errorf("the app was asked for %s", path)
			}
		}
	}
}

// SESSIONS.md §9, point 7.
func TestRevokedUsersAreOutOnEveryEdge(t *testing.T) {
	onEveryRedis(t, func(t *testing.T, _ *cookieApp, e [2]*edge, _ func()) { revokedUsersAreOutOnEveryEdge(t, e) })
}

func revokedUsersAreOutOnEveryEdge(t *testing.T, e [2]*edge) {
	var cookies []string
	for i := range 3 {
		c := e[i%2].browser()
		c.login("ana")
		cookies = append(cookies, "umbral="+c.token())
	}
	luis := e[0].browser()
	luis.login("luis")
	for _, edge := range e { // every edge holds every record and page
		for _, cookie := range cookies {
			for range 2 {
				edge.with("/mine/", cookie)
				edge.with("/tab/", cookie)
			}
		}
	}
	var done struct {
		Revoked  int
		Complete bool
		Edges    []struct{ Applied bool }
	}
	if code := e[1].admin("DELETE", "/v1/users/ana/sessions", nil, &done); code != 200 || done.Revoked != 3 || !done.Complete || len(done.Edges) != 2 {
		t.Errorf("%d %+v", code, done)
	}
	for i, edge := range e {
		for _, cookie := range cookies {
			for _, path := range []string{"/", "/mine/", "/tab/"} {
				if a, err := edge.with(path, cookie); err != nil || !a.said(t).anonymous() {
					t.Errorf("edge %d, %s: %v %s", i, path, err, a.Body)
				}
			}
		}
	}
	if got := luis.get("/mine/").said(t); got.field("X-Edge-User") != "luis" {
		t.Errorf("luis: %v", got.Header)
	}

	// Sign-ins that race with revocations: whoever is in afterwards is listed,
	// and who is listed signed in after the last mark.
	for round := range 3 {
		browsers := make([]*client, 60)
		for i := range browsers {
			browsers[i] = e[i%2].browser()
		}
		marked := make(chan time.Time, 1)
		go func() {
			var at time.Time
			for range 3 {
				at = time.Now()
				e[round%2].admin("DELETE", "/v1/users/racer/sessions", nil, nil)
			}
			marked <- at
		}()
		parallel(t, len(browsers), func(i int) error {
			_, err := browsers[i].do("POST", "/login?user=racer", "", "Origin: http://"+site)
			return err
		})
		last := <-marked
		var list struct {
			Sessions []struct {
				ID         string
				SignedInAt time.Time `json:"signed_in_at"`
			}
		}
		e[0].admin("GET", "/v1/sessions?user=racer&limit=1000", nil, &list)
		for _, s := range list.Sessions {
			if s.SignedInAt.Before(last.Truncate(time.Millisecond)) {
				t.Errorf("round %d: a session of %s outlived the mark that came after %s", round, s.SignedInAt, last)
			}
		}
		in := 0
		for _, b := range browsers {
			if b.get("/").said(t).field("X-Edge-User") == "racer" {
				in++
			}
		}
		if in != len(list.Sessions) {
			t.Errorf("round %d: %d are in, %d are listed", round, in, len(list.Sessions))
		}
	}
}

// The admin calls behind `umbral sessions`, over two edges.
func TestSessionsAreListedAndRevoked(t *testing.T) {
	onEveryRedis(t, func(t *testing.T, _ *cookieApp, e [2]*edge, _ func()) { sessionsAreListedAndRevoked(t, e) })
}

func sessionsAreListedAndRevoked(t *testing.T, e [2]*edge) {
	users := []string{"ana", "ana", "luis", "a/b c?&"}
	browsers := make([]*client, len(users))
	for i, u := range users {
		browsers[i] = e[i%2].browser()
		browsers[i].login(u)
	}
	opened := e[0].browser()
	opened.get("/opens") // a session of nobody
	in := func() (n []int) {
		for i, b := range browsers {
			if b.get("/").said(t).field("X-Edge-Auth") == "user" {
				n = append(n, i)
			}
		}
		return n
	}
	list := func(query string) (users []string) {
		t.Helper()
		var got struct{ Sessions []struct{ ID, User string } }
		if code := e[1].admin("GET", "/v1/sessions"+query, nil, &got); code != 200 {
			t.Fatalf("list %s: %d", query, code)
		}
		for _, s := range got.Sessions {
			users = append(users, s.User)
			if s.ID == "" || strings.Contains(fmt.Sprint(browsers[0].token(), browsers[1].token()), s.ID) {
				t.Errorf("id %q", s.ID)
			}
		}
		slices.Sort(users)
		return users
	}
	revoke := func(path string) (code, n int, complete bool) {
		t.Helper()
		var got struct {
			Revoked  int
			Complete bool
			Edges    []struct{ Applied bool }
		}
		code = e[0].admin("DELETE", path, nil, &got)
		return code, got.Revoked, got.Complete && len(got.Edges) == 2
	}
	if got := list(""); !slices.Equal(got, []string{"", "a/b c?&", "ana", "ana", "luis"}) {
		t.Errorf("all: %q", got)
	}
	if got := list("?user=ana"); !slices.Equal(got, []string{"ana", "ana"}) {
		t.Errorf("ana's: %q", got)
	}
	id := browsers[0].get("/").said(t).field("X-Edge-Session")
	if code, n, complete := revoke("/v1/sessions/" + id); code != 200 || n != 1 || !complete {
		t.Errorf("by session: %d, %d, %v", code, n, complete)
	}
	if code, _, _ := revoke("/v1/sessions/" + id); code != 404 {
		t.Errorf("by session again: %d", code)
	}
	if got := in(); !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("in are %v", got)
	}
	if code, n, complete := revoke("/v1/users/" + url.PathEscape(users[3]) + "/sessions"); code != 200 || n != 1 || !complete {
		t.Errorf("by user: %d, %d, %v", code, n, complete)
	}
	if got := in(); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("in are %v", got)
	}
	if code, n, complete := revoke("/v1/sessions"); code != 200 || n < 2 || !complete {
		t.Errorf("all: %d, %d, %v", code, n, complete)
	}
	if got := in(); len(got) != 0 || len(list("")) != 0 {
		t.Errorf("in are %v, listed %v", got, list(""))
	}
	// Whoever was revoked may sign in again at once, with the very cookie.
	browsers[0].login("ana")
	if got := in(); !slices.Equal(got, []int{0}) {
		t.Errorf("signed in again: %v", got)
	}
	for _, query := range []string{"?user=" + url.QueryEscape("x\x00"), "?nonsense=1", "?limit=-1"} {
		if code := e[0].admin("GET", "/v1/sessions"+query, nil, nil); code != 400 {
			t.Errorf("GET %s: %d", query, code)
		}
	}
	r, _ := http.NewRequest("DELETE", e[0].Admin+"/v1/sessions", nil)
	resp, err := http.DefaultClient.Do(r)
	if err != nil || resp.StatusCode != 401 {
		t.Errorf("without the token: %v", err)
	}
	resp.Body.Close()
}

// A revoked session's websocket and event stream are cut.
func TestStreamsOfARevokedSessionAreCut(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	app.set(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: one\n\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case "/ws":
			conn, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\ndata: one\n")
			rw.Flush()
			_, _ = io.Copy(io.Discard, rw)
		default:
			app.serve(w, r)
		}
	})
	e := twoEdges(t, app.URL, redisURL(redis), sessionRoutes)
	open := func(edge *edge, path, cookie string) (closed chan struct{}, body io.ReadCloser) {
		r, _ := http.NewRequest("GET", edge.URL+path, nil)
		r.Host = site
		r.Header.Set("Cookie", cookie)
		if path == "/ws" {
			r.Header.Set("Connection", "Upgrade")
			r.Header.Set("Upgrade", "websocket")
		}
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(resp.Body)
		if line, err := in.ReadString('\n'); line != "data: one\n" {
			t.Fatalf("%s: %q %v", path, line, err)
		}
		closed = make(chan struct{})
		go func() {
			_, _ = io.Copy(io.Discard, in)
			close(closed)
		}()
		return closed, resp.Body
	}
	ends := map[string]func(c *client, session string){
		"revoked by user":       func(*client, string) { e[0].admin("DELETE", "/v1/users/ana/sessions", nil, nil) },
		"revoked by session":    func(_ *client, id string) { e[0].admin("DELETE", "/v1/sessions/"+id, nil, nil) },
		"everybody revoked":     func(*client, string) { e[0].admin("DELETE", "/v1/sessions", nil, nil) },
		"signed out":            func(c *client, _ string) { c.post("/.umbral/logout", nil) },
		"signed out by the app": func(c *client, _ string) { c.post("/logout", nil) },
	}
	for how, end := range ends {
		ana, luis := e[0].browser(), e[0].browser()
		ana.login("ana")
		luis.login("luis")
		var cut []chan struct{}
		for _, edge := range e {
			for _, path := range []string{"/events", "/ws"} {
				c, body := open(edge, path, "umbral="+ana.token())
				defer body.Close()
				cut = append(cut, c)
			}
		}
		stays, body := open(e[1], "/events", "umbral="+luis.token())
		defer body.Close()
		end(ana, ana.get("/").said(t).field("X-Edge-Session"))
		late := time.After(5 * time.Second) // the promise itself
		for i, c := range cut {
			select {
			case <-c:
			case <-late:
				t.Errorf("%s: stream %d is still open", how, i)
			}
		}
		if how == "everybody revoked" {
			<-stays
			continue
		}
		select {
		case <-stays:
			t.Errorf("%s: somebody else's stream was cut", how)
		default:
		}
	}
}

// A Cluster's node that dies may take what Redis knows of a user with it and
// leave their sessions, which are on other nodes: a purge of the user still
// reaches the pages of those.
func TestAPurgeOfAUserOutlivesWhatRedisKnowsOfThem(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := twoEdges(t, app.URL, redisURL(redis), sessionRoutes)
	c := e[0].browser()
	c.login("ana")
	cookie := "umbral=" + c.token()
	for range 2 {
		for _, edge := range e {
			if _, err := edge.with("/mine/a", cookie); err != nil {
				t.Fatal(err)
			}
		}
	}
	keys, ok := redis.Do("KEYS", "*:edge:u:*").([]any)
	if !ok || len(keys) == 0 {
		t.Fatalf("no user in Redis: %v", keys)
	}
	redis.Do(append([]any{"DEL"}, keys...)...)
	before := app.Asked.Load()
	if a, err := e[1].with("/mine/a", cookie); err != nil || !a.Hit() || app.Asked.Load() != before {
		t.Fatalf("the page is not stored: %v %s", err, a.Umbral())
	}
	e[0].purge(map[string]any{"users": []string{"ana"}})
	for i, edge := range e {
		a, err := edge.with("/mine/a", cookie)
		if err != nil || i == 0 && a.Hit() || app.Asked.Load() == before {
			t.Errorf("edge %d serves a page of before the purge: %v %s", i, err, a.Umbral())
		}
	}
}
