package proxy

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"umbral/cachepolicy"
)

// limited is a request by addr on a route with a limit.
func limitedBy(limit *Limit, addr string) *Exchange {
	x := &Exchange{Route: &Route{Policy: &cachepolicy.Policy{}, Limit: limit}, Client: netip.MustParseAddr(addr)}
	x.Route.Rule.Pattern = "POST /login/"
	return x
}

// fakeClock is a clock that only moves when told to.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func newFakeClock() *fakeClock { return &fakeClock{now: time.Unix(1e9, 0)} }

func (c *fakeClock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }
func (c *fakeClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestLimiterHere(t *testing.T) {
	clock := newFakeClock()
	l := NewLimiter(LimiterOptions{Prefix: "t", Now: clock.Now})
	limit := &Limit{Rate: 3, Per: time.Minute}
	x := limitedBy(limit, "192.0.2.1")
	for i := range 3 {
		if a := l.Allow(t.Context(), x); a.Denied || a.Remaining != 2-i {
			t.Fatalf("%d: %+v", i, a)
		}
	}
	a := l.Allow(t.Context(), x)
	if !a.Denied || a.Retry != 20*time.Second || a.Reset != time.Minute {
		t.Fatalf("%+v", a)
	}
	h := http.Header{}
	a.Fields(h)
	if h["Ratelimit-Policy"][0] != `"ip";q=3;w=60` || h["Ratelimit"][0] != `"ip";r=0;t=60` {
		t.Errorf("%v", h)
	}
	if no := a.Refusal(); no.Status != 429 || no.Reason != cachepolicy.RateLimited || no.RetryAfter != 20*time.Second {
		t.Errorf("%+v", no)
	}
	if a := l.Allow(t.Context(), limitedBy(limit, "192.0.2.2")); a.Denied {
		t.Error("one address pays for another")
	}
	clock.pass(20 * time.Second)
	if a := l.Allow(t.Context(), x); a.Denied || a.Remaining != 0 {
		t.Errorf("%+v", a)
	}
	if a := l.Allow(t.Context(), x); !a.Denied {
		t.Errorf("%+v", a)
	}
	clock.pass(time.Hour)
	if a := l.Allow(t.Context(), x); a.Remaining != 2 {
		t.Errorf("%+v", a)
	}
	if a := l.Allow(t.Context(), limitedBy(nil, "192.0.2.1")); a.Denied || a.Refusal() != nil {
		t.Errorf("a route without a limit: %+v", a)
	}
}

func TestLimiterSubjects(t *testing.T) {
	l := NewLimiter(LimiterOptions{Secret: []byte("s")})
	limit := func(by LimitBy) *Limit { return &Limit{Rate: 1, Per: time.Minute, By: by} }
	of := func(by LimitBy, addr, session, user string) [16]byte {
		x := limitedBy(limit(by), addr)
		x.Ask.Identity = cachepolicy.Identity{Session: session, User: user}
		return l.subject(x, x.Route.Limit)
	}
	for name, pair := range map[string][2][16]byte{
		"one /64":                     {of(ByIP, "2001:db8::1", "", ""), of(ByIP, "2001:db8::ffff", "", "")},
		"one user, two sessions":      {of(ByUser, "192.0.2.1", "a", "u"), of(ByUser, "192.0.2.2", "b", "u")},
		"no user: the session":        {of(ByUser, "192.0.2.1", "a", ""), of(ByUser, "192.0.2.2", "a", "")},
		"no session: the address":     {of(BySession, "192.0.2.1", "", ""), of(ByIP, "192.0.2.1", "", "")},
		"by address, whoever asks it": {of(ByIP, "192.0.2.1", "a", "u"), of(ByIP, "192.0.2.1", "b", "v")},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: counted apart", name)
		}
	}
	for name, pair := range map[string][2][16]byte{
		"two /64s":              {of(ByIP, "2001:db8::1", "", ""), of(ByIP, "2001:db8:0:1::1", "", "")},
		"two IPv4 addresses":    {of(ByIP, "192.0.2.1", "", ""), of(ByIP, "192.0.2.2", "", "")},
		"a user, a session":     {of(ByUser, "192.0.2.1", "a", "a"), of(BySession, "192.0.2.1", "a", "a")},
		"a session, an address": {of(BySession, "192.0.2.1", "192.0.2.1/32", ""), of(ByIP, "192.0.2.1", "", "")},
	} {
		if pair[0] == pair[1] {
			t.Errorf("%s: counted together", name)
		}
	}
}

func TestLimiterMemoryIsBounded(t *testing.T) {
	var b buckets
	limit := &Limit{Rate: 1, Per: time.Hour}
	now := time.Unix(1e9, 0)
	for i := range 3 * bucketsMost {
		b.allow([16]byte{byte(i), byte(i >> 8), byte(i >> 16)}, limit, now)
	}
	if n := len(b.now) + len(b.old); n > 2*bucketsMost {
		t.Errorf("%d subjects are remembered", n)
	}
	last := 3*bucketsMost - 1
	if a := b.allow([16]byte{byte(last), byte(last >> 8), byte(last >> 16)}, limit, now); !a.Denied {
		t.Error("the newest is forgotten")
	}
}

// startRedis starts a real redis-server on a free port.
func startRedis(t *testing.T) (addr string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	l.Close()
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "eady to accept connections") {
	}
	var once sync.Once
	stop = func() { once.Do(func() { cmd.Process.Kill(); cmd.Wait() }) }
	t.Cleanup(stop)
	return addr, stop
}

func TestLimiterOverRedis(t *testing.T) {
	addr, stop := startRedis(t)
	clock := newFakeClock()
	client := func() *redis.Client {
		c := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true, MaxRetries: -1})
		t.Cleanup(func() { c.Close() })
		return c
	}
	limit := &Limit{Rate: 5, Per: time.Hour, By: ByIP}
	edge := func() *Limiter {
		return NewLimiter(LimiterOptions{Redis: client(), Prefix: "site", Secret: []byte("s"), Timeout: 2 * time.Second, Now: clock.Now})
	}
	a, b := edge(), edge()
	allowed := 0
	for i := range 10 {
		l := []*Limiter{a, b}[i%2]
		if got := l.Allow(t.Context(), limitedBy(limit, "192.0.2.1")); !got.Denied {
			allowed++
		} else if got.Retry <= 0 || got.Reset <= 0 || got.Remaining != 0 {
			t.Errorf("%+v", got)
		}
	}
	if allowed != 5 {
		t.Errorf("two edges allowed %d of 5", allowed)
	}
	keys, err := client().Keys(context.Background(), "*").Result()
	if err != nil || len(keys) != 1 || !strings.HasPrefix(keys[0], "site:edge:rl:") || strings.Contains(keys[0], "192") {
		t.Errorf("%q %v", keys, err)
	}

	stop()
	allowed = 0
	for range 10 {
		if !a.Allow(t.Context(), limitedBy(limit, "192.0.2.1")).Denied {
			allowed++
		}
	}
	if allowed != 5 {
		t.Errorf("without Redis %d of 5 are allowed", allowed)
	}
	if a.downUntil.Load() == 0 {
		t.Error("a dead Redis is asked each time")
	}
}

// A Redis that takes connections and says nothing holds nobody longer than the
// time-out, and only the first.
func TestLimiterWithSilentRedis(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := redis.NewClient(&redis.Options{Addr: l.Addr().String(), ContextTimeoutEnabled: true, MaxRetries: -1})
	defer c.Close()
	clock := newFakeClock()
	lim := NewLimiter(LimiterOptions{Redis: c, Prefix: "t", Timeout: 20 * time.Millisecond, Now: clock.Now})
	began := time.Now()
	for range 50 {
		lim.Allow(t.Context(), limitedBy(&Limit{Rate: 100, Per: time.Minute}, "192.0.2.1"))
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("50 requests took %s", took)
	}
}

func TestGate(t *testing.T) {
	g := Gate{Most: 2}
	if errors.Join(g.Enter(), g.Enter()) != nil || g.Enter() != ErrOverloadedEdge || g.InFlight() != 2 {
		t.Error("the third came in")
	}
	g.Leave()
	if g.Enter() != nil {
		t.Error("nobody comes in any more")
	}
}

func BenchmarkAllowHere(b *testing.B) {
	l := NewLimiter(LimiterOptions{})
	x := limitedBy(&Limit{Rate: 1000000, Per: time.Second}, "192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		l.Allow(b.Context(), x)
	}
}
