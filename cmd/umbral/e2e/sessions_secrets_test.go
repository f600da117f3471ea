package e2e

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"umbral/proxy/store/storetest"
)

// everythingIn is all that a Redis holds, keys and values of every kind, as
// text in which a secret would be found.
func everythingIn(t *testing.T, r *storetest.Redis) string {
	t.Helper()
	c := r.Client()
	ctx := context.Background()
	var all strings.Builder
	for _, key := range keysOf(t, r) {
		fmt.Fprintln(&all, key)
		switch c.Type(ctx, key).Val() {
		case "string":
			all.WriteString(c.Get(ctx, key).Val())
		case "hash":
			for f, v := range c.HGetAll(ctx, key).Val() {
				fmt.Fprintln(&all, f, v)
			}
		case "zset":
			fmt.Fprintln(&all, c.ZRange(ctx, key, 0, -1).Val())
		case "set":
			fmt.Fprintln(&all, c.SMembers(ctx, key).Val())
		case "list":
			fmt.Fprintln(&all, c.LRange(ctx, key, 0, -1).Val())
		case "stream":
			fmt.Fprintln(&all, c.XRange(ctx, key, "-", "+").Val())
		}
		all.WriteString(c.Dump(ctx, key).Val())
	}
	return all.String()
}

// SESSIONS.md §9, point 15.
func TestADumpOfRedisShowsNothing(t *testing.T) {
	dir := t.TempDir()
	redis := storetest.StartRedis(t, "--appendonly", "yes", "--dir", dir)
	app := startCookieApp(t)
	e := twoEdges(t, app.URL, redisURL(redis), strings.Replace(sessionRoutes, "sessions:",
		"  - {match: POST /limited/, rate_limit: {rate: 100/m, by: user}}\nsessions:", 1))
	const uid = "uid-4711-of-ana"
	secrets := map[string]string{"uid": uid, "EDGE_SECRETS": edgeSecret, "ADMIN_TOKEN": adminToken}
	for i := range 3 {
		c := e[i%2].browser()
		c.get("/form")
		secrets[fmt.Sprint("sealed token ", i)] = c.token()
		c.get("/opens")
		secrets[fmt.Sprint("anonymous token ", i)] = c.token()
		c.login(uid)
		secrets[fmt.Sprint("token ", i)] = c.token()
		got := c.get("/").said(t)
		secrets[fmt.Sprint("sessionid ", i)] = got.cookie("sessionid")
		secrets[fmt.Sprint("csrftoken ", i)] = got.cookie("csrftoken")
		secrets[fmt.Sprint("JWT ", i)] = got.field("X-Edge-Identity")
		c.get("/?set=private%3Dthe-private-cookie%3B+Path%3D/")
		c.post("/control/?h=X-Edge-Session-Set:note%3D%22the-private-datum%22", nil)
		c.get("/mine/" + fmt.Sprint(i))
		c.get("/tab/" + fmt.Sprint(i))
		c.post("/limited/x", nil)
		if i == 2 {
			c.post("/.umbral/logout", nil)
		}
	}
	secrets["cookie"], secrets["datum"] = "the-private-cookie", "the-private-datum"
	secrets["a name in the jar"] = "private="
	e[0].admin("DELETE", "/v1/users/"+uid+"/sessions", nil, nil)
	e[0].purge(map[string]any{"users": []string{uid}})
	c := e[0].browser()
	c.login(uid)
	c.get("/mine/x")
	// Pages too short to be compressed: a public one can be read in Redis, and
	// so would a personal one that was not sealed.
	app.set(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "the page "+r.URL.Path) })
	for _, path := range []string{"/public/anybody", "/mine/a-person", "/tab/a-session"} {
		c.get(path)
	}
	secrets["a page of a user"], secrets["a page of a session"] = "the page /mine/a-person", "the page /tab/a-session"
	var all string
	e[0].eventually("the pages in Redis", func() bool {
		all = everythingIn(t, redis)
		return strings.Contains(all, "the page /public/anybody") && strings.Count(all, "certificados:edge:c:") >= 9
	})
	aof := ""
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			b, _ := os.ReadFile(path)
			aof += string(b)
		}
		return nil
	})
	if !strings.Contains(aof, ":edge:s:") {
		t.Fatal("the append-only file holds no session")
	}
	for where, text := range map[string]string{"Redis": all, "the append-only file": aof} {
		for name, secret := range secrets {
			for form, s := range map[string]string{"as it is": secret, "in hex": hex.EncodeToString([]byte(secret))} {
				if secret != "" && strings.Contains(text, s) {
					at := strings.Index(text, s)
					t.Errorf("%s shows the %s %s: %.80q", where, name, form, text[max(0, at-60):at])
				}
			}
		}
	}
}

// SESSIONS.md §9, point 15: fields of one record do not open in another.
func TestFieldsCannotBeMovedBetweenRecords(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := startEdge(t, app.URL, redisURL(redis), sessionRoutes)
	ana, mallory := e.browser(), e.browser()
	ana.login("ana")
	mallory.login("mallory")
	from, to := ana.recordOf(t), mallory.recordOf(t)
	c := redis.Client()
	fields := c.HGetAll(t.Context(), from).Val()
	own := c.HGetAll(t.Context(), to).Val()
	if len(fields) < 3 {
		t.Fatalf("a record of %d fields", len(fields))
	}
	secret := ana.get("/").said(t).cookie("sessionid")
	never := func(what string) {
		t.Helper()
		e.eventually(what+": the change is seen", func() bool {
			a, err := e.with("/", "umbral="+mallory.token())
			if err != nil || a.StatusCode != 200 {
				t.Fatalf("%s: %v %d", what, err, a.StatusCode)
			}
			got := a.said(t)
			if got.field("X-Edge-User") == "ana" || got.cookie("sessionid") == secret {
				t.Fatalf("%s: mallory is %s", what, a.Body)
			}
			return got.cookie("sessionid") == "" || got.field("X-Edge-User") == ""
		})
	}
	for name, value := range fields { // ana's fields in mallory's record, name by name
		redis.Do("HSET", to, name, value)
	}
	for name := range own { // and under the names of mallory's own
		for other, value := range fields {
			if name != "m" && other[:1] == name[:1] {
				redis.Do("HSET", to, name, value)
			}
		}
	}
	never("copied fields")
	redis.Do("DEL", to)
	redis.Do("COPY", from, to)
	never("a copied record")
	redis.Do("DEL", to)
	redis.Do("HSET", to, "m", "garbage", "c12345678", "1:"+strings.Repeat("x", 60))
	never("garbage")
	for _, kind := range [][]any{{"SET", to, "m" + strings.Repeat("x", 80)}, {"RPUSH", to, "a"}, {"ZADD", to, 1, "a"}} {
		redis.Do("DEL", to)
		redis.Do(kind...)
		never(fmt.Sprint("a ", kind[0]))
	}
	if got := ana.get("/").said(t); got.field("X-Edge-User") != "ana" {
		t.Errorf("ana: %v", got.Header)
	}
}

// SESSIONS.md §9, point 15; §1: EDGE_SECRETS=file: is hot. A new first secret
// signs anew what comes, moves the record with it, and then the old one can go.
func TestSecretsAreReplacedUnderWay(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	file := filepath.Join(t.TempDir(), "secrets")
	const second = "a-second-secret-of-more-than-32-bytes-in-length"
	write := func(lines ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(edgeSecret)
	var e [2]*edge
	for i := range e {
		e[i] = startEdge(t, app.URL, redisURL(redis), sessionRoutes, "EDGE_SECRETS=file:"+file, "REDIS_TIMEOUT=20s")
	}
	in, sealed, away, many := e[0].browser(), e[0].browser(), e[0].browser(), e[0].browser()
	in.login("ana")
	away.login("away")
	many.login("many")
	sealed.get("/form")
	in.get("/mine/")
	tokens := map[*client]string{in: in.token(), sealed: sealed.token(), many: many.token()}
	session := in.get("/").said(t).cookie("sessionid")

	write(second, edgeSecret)
	for _, edge := range e {
		edge.logs.waitFor(t, "has been read again", edge.exited)
	}
	// Many requests at once find the same new token.
	got := make(chan string, 200)
	parallel(t, 200, func(i int) error {
		a, err := e[i%2].with("/", "umbral="+tokens[many])
		if err != nil {
			return err
		}
		var said echo
		if err := unmarshal(a, &said); err != nil {
			return err
		}
		if said.field("X-Edge-User") != "many" {
			return fmt.Errorf("out: %s", a.Body)
		}
		for _, line := range a.setCookies() {
			value, _, _ := strings.Cut(line, ";")
			got <- value
		}
		return nil
	})
	close(got)
	moved := map[string]int{}
	for value := range got {
		moved[value]++
	}
	for value := range moved { // signed at another second, the token may be spelled anew
		if a, err := e[1].with("/", value); err != nil || a.said(t).field("X-Edge-User") != "many" {
			t.Errorf("a moved cookie is nobody's: %v %s", err, a.Body)
		}
	}
	if len(moved) == 0 {
		t.Error("nobody was given a new cookie")
	}
	for _, c := range []*client{in, sealed} {
		a := c.get("/")
		if len(a.setCookies()) != 1 || c.token() == tokens[c] {
			t.Errorf("not signed anew: %v", a.setCookies())
		}
		if again := c.get("/"); len(again.setCookies()) > 0 {
			t.Errorf("signed anew twice: %v", again.setCookies())
		}
	}
	if got := in.get("/").said(t); got.field("X-Edge-User") != "ana" || got.cookie("sessionid") != session {
		t.Errorf("ana after the new secret: %v", got.Header)
	}

	write(second)
	e[0].eventually("the old secret is gone", func() bool {
		a, err := e[0].with("/", "umbral="+away.token())
		return err == nil && a.StatusCode == 200 && a.said(t).anonymous()
	})
	for name, cookie := range map[string]string{"session": tokens[in], "sealed": tokens[sealed], "of many": tokens[many]} {
		if a, err := e[0].with("/", "umbral="+cookie); err != nil || a.StatusCode != 200 || !a.said(t).anonymous() {
			t.Errorf("%s under the removed secret: %v %d", name, err, a.StatusCode)
		}
	}
	if got := in.get("/").said(t); got.field("X-Edge-User") != "ana" {
		t.Errorf("ana, moved before: %v", got.Header)
	}
	if got := sealed.get("/").said(t); got.cookie("csrftoken") == "" {
		t.Errorf("sealed, moved before: %v", got.Cookie)
	}
	// A short secret changes nothing.
	write("too-short")
	e[0].logs.waitFor(t, "EDGE_SECRETS", e[0].exited)
	if got := in.get("/").said(t); got.field("X-Edge-User") != "ana" {
		t.Errorf("after a bad secret: %v", got.Header)
	}
	for _, edge := range e {
		for name, secret := range map[string]string{"first": edgeSecret, "second": second, "bad": "too-short"} {
			if strings.Contains(edge.logs.String(), secret) {
				t.Errorf("the log shows the %s secret", name)
			}
		}
	}
}

// A reload of the section sessions holds for the sessions that there are.
func TestTheSectionSessionsIsReloaded(t *testing.T) {
	redis := storetest.StartRedis(t)
	app := startCookieApp(t)
	e := startEdge(t, app.URL, redisURL(redis), sessionRoutes)
	c := e.browser()
	c.login("ana")
	c.get("/?set=shown%3D1%3B+Path%3D/")
	reload := func(section string) int {
		t.Helper()
		if err := os.WriteFile(e.Routes, []byte(strings.Replace(sessionRoutes, "sessions:\n", "sessions:\n"+section, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		return e.admin("POST", "/v1/reload", nil, nil)
	}
	if code := reload("  limits: {cookie_header: 64}\n  app_cookies: {expose: [shown]}\n"); code != 200 {
		t.Fatalf("reload: %d", code)
	}
	got := c.get("/?set=shown%3D2%3B+Path%3D/")
	if !strings.Contains(fmt.Sprint(got.setCookies()), "shown=2") {
		t.Errorf("expose after the reload: %v", got.setCookies())
	}
	if said := c.get("/").said(t); said.field("X-Edge-User") != "ana" || len(strings.Join(said.Cookie, "")) > 64 {
		t.Errorf("cookie_header after the reload: %v", said.Cookie)
	}
	if code := reload("  csrf: nonsense\n"); code != 422 {
		t.Errorf("a bad section: %d", code)
	}
	if code := reload("  csrf: shared\n"); code != 200 {
		t.Errorf("reload: %d", code)
	}
	if a, _ := c.do("POST", "/x", "x", "Origin: http://evil.test"); a.StatusCode != 403 {
		t.Errorf("csrf: shared after the reload: %d", a.StatusCode)
	}
}
