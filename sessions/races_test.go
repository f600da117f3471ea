package sessions

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// eventually waits for something that happens behind the requests.
func eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.After(within)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s: not within %v", what, within)
		}
	}
}

// started starts the edge's watcher and waits until it hears Redis.
func (e *edge) started(t testing.TB) *edge {
	t.Helper()
	e.term.Start(context.Background())
	eventually(t, 30*time.Second, "tracking", func() bool { return e.term.Stats().Tracking })
	return e
}

// hold makes the app wait with its answers on path until let go; came is
// closed when the first request is there.
func (a *app) hold(path string) (came chan struct{}, letGo func()) {
	came, gate := make(chan struct{}), make(chan struct{})
	a.gate.Store(path, gate)
	a.here.Store(path, came)
	return came, sync.OnceFunc(func() {
		close(gate)
		a.gate.Delete(path)
	})
}

func signedIn(t testing.TB, e *edge, user string) *browser {
	t.Helper()
	b := e.browser(t)
	b.do("GET", "/form")
	b.do("POST", "/login?user="+user)
	if a := b.do("GET", "/"); a.value("auth") == "anonymous" {
		t.Fatalf("not signed in: %s", a.body)
	}
	return b
}

func TestParallelRequests(t *testing.T) {
	s := startRedis(t)
	a := &app{}
	// Two edges on one Redis, both caching records.
	e := newEdge(t, s, a, nil).started(t)
	f := newEdge(t, s, a, nil).started(t)

	t.Run("each sets a cookie and all are in the jar", func(t *testing.T) {
		b := signedIn(t, e, "1")
		var all sync.WaitGroup
		for i := range 50 {
			all.Add(1)
			go func() {
				defer all.Done()
				c := &browser{t: t, edge: e, cookies: b.cookies}
				if i%2 == 1 {
					c.edge = f
				}
				if r := c.send("GET", fmt.Sprintf("/?set=c%d=v%d", i, i)); r.StatusCode != 200 || len(r.set) != 0 {
					t.Errorf("%d %v", r.StatusCode, r.set)
				}
			}()
		}
		all.Wait()
		for _, edge := range []*edge{e, f} {
			missing := ""
			// The other edge hears of the last write by push.
			eventually(t, 30*time.Second, "all cookies on each edge", func() bool {
				line := (&browser{t: t, edge: edge, cookies: b.cookies}).send("GET", "/").value("cookie") + ";"
				missing = ""
				for i := range 50 {
					if want := fmt.Sprintf("c%d=v%d;", i, i); !strings.Contains(line, want) {
						missing += want
					}
				}
				return missing == ""
			})
		}
	})

	t.Run("a slow answer does not overwrite a newer value", func(t *testing.T) {
		b := signedIn(t, e, "1")
		came, letGo := a.hold("/slow")
		done := make(chan *answer)
		go func() { done <- b.send("GET", "/slow?set=x=old") }()
		<-came
		b.do("GET", "/?set=x=new")
		letGo()
		<-done
		if line := b.do("GET", "/").value("cookie"); !strings.Contains(line, "x=new") {
			t.Errorf("the jar sends %q", line)
		}
		t.Run("nor one that was set, deleted and set again", func(t *testing.T) {
			b.do("GET", "/?set=y=1")
			came, letGo := a.hold("/slow")
			go func() { done <- b.send("GET", "/slow?set=y=old") }()
			<-came
			b.do("GET", "/?set=y=%3B+Max-Age%3D0")
			letGo()
			<-done
			if line := b.do("GET", "/").value("cookie"); strings.Contains(line, "y=") {
				t.Errorf("deleted, and back: %q", line)
			}
		})
	})

	t.Run("a request in flight over a sign-out revives nothing", func(t *testing.T) {
		b := signedIn(t, e, "1")
		came, letGo := a.hold("/slow")
		done := make(chan *answer)
		go func() { done <- b.send("GET", "/slow?set=x=1&set=sessionid=zombie") }()
		<-came
		old := b.cookies["umbral"]
		b.do("GET", "/logout")
		letGo()
		if r := <-done; len(r.set) != 0 {
			t.Errorf("the late answer set %v", r.set)
		}
		b.cookies["umbral"] = old
		if r := b.do("GET", "/"); !r.anonymous() {
			t.Errorf("revived: %s", r.body)
		}
	})

	t.Run("a slow request from before the sign-in leaves the user in", func(t *testing.T) {
		for name, prepare := range map[string]func(*browser){
			"sealed":  func(b *browser) { b.do("GET", "/form") },
			"session": func(b *browser) { b.do("GET", "/?set=sessionid=anon1&set=cart=1") },
		} {
			b := e.browser(t)
			prepare(b)
			came, letGo := a.hold("/slow")
			done := make(chan *answer)
			go func() { done <- b.send("GET", "/slow?set=csrftoken=late&set=sessionid=%3B+Max-Age%3D0") }()
			<-came
			b.do("POST", "/login?user=9")
			letGo()
			if r := <-done; len(r.set) != 0 {
				t.Errorf("%s: the late answer set %v", name, r.set)
			}
			if r := b.do("GET", "/"); !strings.Contains(r.value("cookie"), "sessionid=sess") {
				t.Errorf("%s: signed out by a late answer: %s", name, r.body)
			}
		}
	})

	t.Run("hundreds write while one signs out", func(t *testing.T) {
		b := signedIn(t, e, "1")
		var all sync.WaitGroup
		for i := range 200 {
			all.Add(1)
			go func() {
				defer all.Done()
				c := &browser{t: t, edge: e, cookies: map[string]string{"umbral": b.cookies["umbral"]}}
				if i%2 == 1 {
					c.edge = f
				}
				path := fmt.Sprintf("/?set=k%d=1", i%40)
				if i == 100 {
					path = "/logout"
				}
				if r := c.send("GET", path); r.StatusCode != 200 {
					t.Errorf("%d", r.StatusCode)
				}
			}()
		}
		all.Wait()
		for _, edge := range []*edge{e, f} {
			eventually(t, 30*time.Second, "signed out on each edge", func() bool {
				c := &browser{t: t, edge: edge, cookies: b.cookies}
				return c.send("GET", "/").anonymous()
			})
		}
		if keys := s.client.Keys(context.Background(), "test:edge:s:*").Val(); len(keys) > 0 {
			for _, k := range keys {
				if typ := s.client.Type(context.Background(), k).Val(); typ == "hash" && k == "test:edge:s:"+b.id() {
					t.Errorf("%s is a record again", k)
				}
			}
		}
	})

	t.Run("two sign-ins at once leave one session that works", func(t *testing.T) {
		b := e.browser(t)
		b.do("GET", "/?set=sessionid=cart&set=cart=1")
		var all sync.WaitGroup
		sets := make([][]string, 20)
		for i := range sets {
			all.Add(1)
			go func() {
				defer all.Done()
				for _, c := range b.send("POST", "/login").set {
					sets[i] = append(sets[i], c.Value)
				}
			}()
		}
		all.Wait()
		given := 0
		for _, s := range sets {
			for _, v := range s {
				given++
				c := &browser{t: t, edge: e, cookies: map[string]string{"umbral": v}}
				if c.send("GET", "/").anonymous() {
					t.Error("a cookie that was given out does not work")
				}
			}
		}
		if given != 1 {
			t.Errorf("%d cookies given out", given)
		}
	})
}

// id is the name of the record of the browser's cookie.
func (b *browser) id() string {
	s := b.edge.term.first()
	var tok token
	if _, ok := s.openSession(b.edge.term.opt().CookieName, b.cookies[b.edge.term.opt().CookieName], &tok); !ok {
		return ""
	}
	return s.id(&tok).String()
}
