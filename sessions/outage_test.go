package sessions

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"umbral/proxy/store"
)

// visitor is a resolved visitor who sends these Cookie lines.
func visitor(t testing.TB, term *Terminator, lines ...string) *Visitor {
	t.Helper()
	req, _ := http.NewRequest("GET", "http://app.test/", nil)
	req.Header["Cookie"] = lines
	v := term.Visit(t.Context(), req)
	if err := v.Resolve(t.Context()); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRedisGone(t *testing.T) {
	for name, how := range map[string]struct{ out, back func(*server) }{
		"killed": {func(s *server) { s.stop() }, func(s *server) { s.start() }},
		"paused": {
			func(s *server) { _ = s.cmd.Process.Signal(syscall.SIGSTOP) },
			func(s *server) { _ = s.cmd.Process.Signal(syscall.SIGCONT) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := startRedis(t)
			e := newEdge(t, s, &app{}, nil).started(t)
			warm, cold, sealed := signedIn(t, e, "1"), signedIn(t, e, "2"), e.browser(t)
			sealed.do("GET", "/form")
			eventually(t, 30*time.Second, "cached", func() bool {
				warm.do("GET", "/")
				cold.do("GET", "/")
				return e.term.Stats().Cached > 1
			})
			e.term.local.drop(mustID(t, cold.id()))
			how.out(s)
			began := time.Now()
			a := cold.send("GET", "/")
			if a.StatusCode != 503 || a.Header.Get("Retry-After") == "" || len(a.set) != 0 {
				t.Errorf("without a local record: %d %v", a.StatusCode, a.set)
			}
			if d := time.Since(began); d > 3*redisTimeout {
				t.Errorf("it took %v", d)
			}
			if a := warm.send("GET", "/"); a.StatusCode != 200 || a.anonymous() {
				t.Errorf("with a local record: %d %s", a.StatusCode, a.body)
			}
			if a := warm.send("GET", "/?set=x=1"); a.StatusCode != 503 || len(a.set) != 0 {
				t.Errorf("a change that cannot be written: %d %v", a.StatusCode, a.set)
			}
			if a := warm.send("POST", "/login"); a.StatusCode != 503 || len(a.set) != 0 {
				t.Errorf("a sign-in that cannot be written: %d %v", a.StatusCode, a.set)
			}
			if a := sealed.send("POST", "/login"); a.StatusCode != 503 || len(a.set) != 0 {
				t.Errorf("a first sign-in that cannot be written: %d %v", a.StatusCode, a.set)
			}
			if a := sealed.send("GET", "/"); a.StatusCode != 200 || a.value("cookie") == "" {
				t.Errorf("sealed: %d %s", a.StatusCode, a.body)
			}
			if a := sealed.do("GET", "/form"); a.StatusCode != 200 || len(a.set) != 1 {
				t.Errorf("a form for somebody anonymous: %d %v", a.StatusCode, a.set)
			}
			eventually(t, 30*time.Second, "loss of the pushes noticed", func() bool { return !e.term.Stats().Tracking })
			eventually(t, 30*time.Second, "nobody waits any more", func() bool {
				began := time.Now()
				cold.send("GET", "/")
				return time.Since(began) < redisTimeout/4
			})
			e.clock.advance(6 * time.Second)
			if a := warm.send("GET", "/"); a.StatusCode != 503 || len(a.set) != 0 {
				t.Errorf("after offline_grace: %d %v", a.StatusCode, a.set)
			}
			how.back(s)
			eventually(t, 30*time.Second, "Redis found again", func() bool { return e.term.Stats().Tracking })
			a = cold.send("GET", "/")
			if name == "paused" && (a.StatusCode != 200 || a.anonymous()) {
				t.Errorf("the same cookie afterwards: %d %s", a.StatusCode, a.body)
			}
			if name == "killed" && (a.StatusCode != 200 || !a.anonymous()) { // this one keeps nothing
				t.Errorf("afterwards: %d %s", a.StatusCode, a.body)
			}
			signedIn(t, e, "3")
		})
	}
}

// TestARequestWaitsForRedisOnce, whatever it would ask, and however often the
// client connects and tries: these are the clients of serve.
func TestARequestWaitsForRedisOnce(t *testing.T) {
	s := startRedis(t)
	edge := func(o func(*Options)) *edge {
		client, err := store.Connect(store.Address{URL: "redis://" + s.addr, Timeout: redisTimeout})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		return newEdge(t, s, &app{}, func(opt *Options) {
			opt.Client, opt.Timeout = client, redisTimeout
			o(opt)
		})
	}
	forgetful := edge(func(o *Options) { o.LocalRecords = -1 })
	knowing := edge(func(o *Options) { o.Alone = true })
	fresh := edge(func(*Options) {}) // without a connection yet
	unknown, known, sealed := signedIn(t, forgetful, "1"), signedIn(t, knowing, "2"), knowing.browser(t)
	sealed.do("GET", "/form")
	known.do("GET", "/")
	_ = s.cmd.Process.Signal(syscall.SIGSTOP)
	defer func() { _ = s.cmd.Process.Signal(syscall.SIGCONT) }()
	for what, ask := range map[string]func() *answer{
		"a page":                         func() *answer { return unknown.send("GET", "/") },
		"a cookie":                       func() *answer { return known.send("GET", "/?set=x=1") },
		"a sign-in over another":         func() *answer { return known.send("POST", "/login?user=3") },
		"a sign-in over a sealed cookie": func() *answer { return sealed.send("POST", "/login?user=3") },
		"a first sign-in":                func() *answer { return fresh.browser(t).send("POST", "/login") },
		"a sign-out":                     func() *answer { return known.send("GET", "/logout") },
		"a sign-out everywhere":          func() *answer { return known.send("GET", "/control/?h="+HeaderSessionLogout+":all") },
	} {
		began := time.Now()
		if a := ask(); a.StatusCode != 503 || len(a.set) > 0 {
			t.Errorf("%s: %d %v", what, a.StatusCode, a.set)
		}
		if d := time.Since(began); d > redisTimeout*3/2 {
			t.Errorf("%s takes %v", what, d)
		}
	}
}

func mustID(t testing.TB, s string) id {
	t.Helper()
	i, ok := parseID(s)
	if !ok {
		t.Fatalf("%q is no id", s)
	}
	return i
}

func TestRedisThatAnswersErrors(t *testing.T) {
	s := startRedis(t)
	e := newEdge(t, s, &app{}, nil)
	b := signedIn(t, e, "1")
	ctx := context.Background()
	s.client.ConfigSet(ctx, "maxmemory", "1")
	s.client.ConfigSet(ctx, "maxmemory-policy", "noeviction")
	if a := b.send("GET", "/"); a.StatusCode != 200 || a.anonymous() {
		t.Errorf("full: %d %s", a.StatusCode, a.body)
	}
	if a := b.send("POST", "/login"); a.StatusCode != 503 || len(a.set) != 0 {
		t.Errorf("a sign-in while Redis is full: %d %v", a.StatusCode, a.set)
	}
	s.client.ConfigSet(ctx, "maxmemory", "0")
	if a := b.send("GET", "/"); a.StatusCode != 200 || a.anonymous() {
		t.Errorf("afterwards: %d %s", a.StatusCode, a.body)
	}
	key := "test:edge:s:" + b.id()
	for what, break_ := range map[string]func(){
		"a list":             func() { s.client.Del(ctx, key); s.client.RPush(ctx, key, "x") },
		"no meta data":       func() { s.client.Del(ctx, key); s.client.HSet(ctx, key, "v", "1") },
		"nonsense":           func() { s.client.Del(ctx, key); s.client.HSet(ctx, key, "v", "1", "m", "1:zz", "c", "", "cx", "y") },
		"no version":         func() { s.client.Del(ctx, key); s.client.HSet(ctx, key, "m", "1:zz") },
		"a broken tombstone": func() { s.client.Del(ctx, key); s.client.Set(ctx, key, "m123", 0) },
	} {
		break_()
		if a := b.send("GET", "/?set=a=1"); a.StatusCode != 200 || a.value("auth") != "anonymous" {
			t.Errorf("%s: %d %s", what, a.StatusCode, a.body)
		}
	}
	if !errors.Is(e.term.unavailable(errDown), ErrUnavailable) {
		t.Error("unavailable")
	}
}

// TestTrackingThatFailsHalfWayIsTriedAgain: the pushes can be heard, but the
// marks cannot be read. The edge waited for the end of a connection that was
// fine, and served nobody who was signed in until it was restarted.
func TestTrackingThatFailsHalfWayIsTriedAgain(t *testing.T) {
	s := startRedis(t)
	marks := "test:edge:nb:marks"
	s.client.Set(context.Background(), marks, "no hash", 0)
	term := newTerminator(t, s, nil)
	term.Start(context.Background())
	t.Cleanup(func() { _ = term.Close() })
	connections := func() int64 {
		list, _ := s.client.ClientList(context.Background()).Result()
		return int64(strings.Count(list, "cmd=client|tracking"))
	}
	eventually(t, 30*time.Second, "a connection that tracks", func() bool { return connections() > 0 || term.link.tracking.Load() })
	s.client.Del(context.Background(), marks)
	eventually(t, 30*time.Second, "tracking", term.link.tracking.Load)
}
