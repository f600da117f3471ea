package sessions

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

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
				cold.do("GET", "/") // a touch drops what was there
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

// An answer to a request that went up without the jar, for that could not be
// read, says nothing of the session: the cookie is left alone (SESSIONS.md §4).
func TestAnAnswerToAVisitorWhoseRecordCannotBeRead(t *testing.T) {
	s := startRedis(t)
	e := newEdge(t, s, &app{}, nil)
	b := signedIn(t, e, "1")
	for _, tt := range []struct {
		name    string
		fields  []string
		changed bool
		err     error
	}{
		{"nothing", nil, false, nil},
		{"a cookie that could be sealed", []string{"Set-Cookie: csrftoken=x; Path=/"}, true, nil},
		{"a cookie that could not", []string{"Set-Cookie: cart=1; Path=/"}, true, nil},
		{"a cookie taken away", []string{"Set-Cookie: sessionid=; Max-Age=0; Path=/"}, true, nil},
		{"nobody is signed in", []string{HeaderSessionUser + ": anonymous"}, true, nil},
		{"a sign-in", []string{"Set-Cookie: sessionid=x; Path=/"}, true, ErrUnavailable},
		{"a user", []string{HeaderSessionUser + ": 7"}, true, ErrUnavailable},
		{"a sign-out", []string{HeaderSessionLogout + ": all"}, true, ErrUnavailable},
		{"a datum", []string{HeaderSessionSet + `: a="b"`}, true, ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, _ := http.NewRequest("GET", "http://app.test/", nil)
			req.Header.Set("Cookie", "umbral="+b.cookies["umbral"])
			v := e.term.Visit(t.Context(), req)
			over, cancel := context.WithCancel(t.Context())
			cancel()
			if err := v.Resolve(over); !errors.Is(err, ErrUnavailable) || !v.Unresolved() {
				t.Fatalf("%v %v", err, v.Unresolved())
			}
			if err := v.Resolve(t.Context()); !errors.Is(err, ErrUnavailable) {
				t.Errorf("asked for twice in one request: %v", err)
			}
			resp := &http.Response{StatusCode: 200, Header: http.Header{}, Request: req}
			for _, f := range tt.fields {
				name, value, _ := strings.Cut(f, ": ")
				resp.Header.Add(name, value)
			}
			changed, err := v.Absorb(t.Context(), req, resp, true)
			if changed != tt.changed || !errors.Is(err, tt.err) || len(resp.Header) > 0 {
				t.Errorf("%v %v %v", changed, err, resp.Header)
			}
			if v.Finish(resp.Header); len(resp.Header) > 0 {
				t.Errorf("the browser is told %v", resp.Header)
			}
		})
	}
	if a := b.do("GET", "/"); a.anonymous() {
		t.Errorf("signed out: %s", a.body)
	}
}

// asked counts the records that Redis is asked for.
type asked struct{ atomic.Int64 }

func (a *asked) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (a *asked) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (a *asked) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() == "hgetall" {
			a.Add(1)
		}
		return next(ctx, cmds)
	}
}

// A silent Redis is not waited for on behalf of whoever may be served without
// it: the pushes that are heard no more have told already that it is silent.
func TestARecordInGraceIsServedAtOnce(t *testing.T) {
	s := startRedis(t)
	var reads asked
	s.client.AddHook(&reads)
	e := newEdge(t, s, &app{}, nil).started(t)
	bs := make([]*browser, 20)
	for i := range bs {
		bs[i] = signedIn(t, e, "1")
	}
	eventually(t, 30*time.Second, "all in memory", func() bool {
		for _, b := range bs {
			b.do("GET", "/")
		}
		return e.term.Stats().Cached == len(bs)
	})
	_ = s.cmd.Process.Signal(syscall.SIGSTOP)
	eventually(t, 30*time.Second, "loss of the pushes noticed", func() bool { return !e.term.Stats().Tracking })
	reads.Store(0)
	var all sync.WaitGroup
	for _, b := range bs {
		all.Go(func() {
			if a := b.send("GET", "/"); a.StatusCode != 200 || a.anonymous() {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
		})
	}
	all.Wait()
	if n := reads.Load(); n > 0 {
		t.Errorf("Redis was asked for %d records", n)
	}
	_ = s.cmd.Process.Signal(syscall.SIGCONT)
	eventually(t, 30*time.Second, "Redis found again", func() bool { return e.term.Stats().Tracking })
	bs[0].send("GET", "/")
	if reads.Load() == 0 {
		t.Error("what was in memory outlived the loss of the pushes")
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
		if d := time.Since(began); d > 3*redisTimeout {
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

// Two silences that the connection which tracks has slept through leave no edge
// down: it asks again by itself, since nobody else does.
func TestAnEdgeFindsRedisAgainByItself(t *testing.T) {
	for name, alone := range map[string]bool{"tracking": false, "alone": true} {
		t.Run(name, func(t *testing.T) {
			s := startRedis(t)
			e := newEdge(t, s, &app{}, func(o *Options) { o.Alone = alone })
			if alone {
				e.term.Start(t.Context())
				eventually(t, 30*time.Second, "the start", e.term.link.watched.Load)
			} else {
				e.started(t)
			}
			e.term.link.silences.Store(2)
			eventually(t, 30*time.Second, "Redis to be asked again", func() bool { return !e.term.isDown() })
		})
	}
	e := newEdge(t, startRedis(t), &app{}, nil)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for range 3 {
		if _, err := e.term.tomb(over, id{}); err == nil {
			t.Error("an answer to nobody")
		}
	}
	if n := e.term.link.silences.Load(); n != 0 {
		t.Errorf("%d silences of a Redis that was not asked", n)
	}
}
