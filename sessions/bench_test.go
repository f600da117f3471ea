package sessions

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// aRequest does what the edge does with a request that goes to the app, but
// for the app: who asks, what goes up, what comes back.
func aRequest(t testing.TB, term *Terminator, cookie string) func() {
	answer := &http.Response{Header: http.Header{"Content-Type": {"text/html"}}}
	up := httptest.NewRequest("GET", "http://app.test/panel/", nil)
	ctx := t.Context()
	return func() {
		r := &http.Request{Method: "GET", URL: up.URL, Host: "app.test", Header: http.Header{}}
		if cookie != "" {
			r.Header["Cookie"] = []string{cookie}
		}
		v := term.Visit(ctx, r)
		if err := v.Resolve(ctx); err != nil {
			t.Fatal(err)
		}
		v.Identity()
		v.Prepare(r, AccessFull, nil)
		if _, err := v.Own(ctx, netip.MustParseAddr("192.0.2.1")).Absorb(ctx, r, answer, false); err != nil {
			t.Fatal(err)
		}
		v.Used(time.Now())
		v.Finish(answer.Header)
	}
}

// signedInAt makes a session that this edge holds, and gives its cookie.
func signedInAt(t testing.TB, s *server, held bool) (*Terminator, string) {
	e := newEdge(t, s, &app{}, func(o *Options) {
		o.Identity.Source = SourceHeader
		if o.LocalRecords = 100; !held {
			o.LocalRecords = -1
		}
	})
	e.term.Start(context.Background())
	b := e.browser(t)
	b.do("GET", "/form")
	b.do("POST", "/login?user=42")
	cookie := "umbral=" + b.cookies["umbral"]
	if held {
		eventually(t, 30*time.Second, "the record is held", func() bool {
			b.send("GET", "/")
			return e.term.Stats().Cached > 0
		})
	}
	return e.term, cookie
}

// A signed-in request whose record this edge holds makes at most 12
// allocations more than one without a session, and asks Redis nothing;
// without the record it makes one round trip.
func TestWhatASessionCosts(t *testing.T) {
	s := startRedis(t)
	term, cookie := signedInAt(t, s, true)
	session, none := aRequest(t, term, cookie), aRequest(t, term, "")
	session()
	before := s.commands()
	const rounds = 200
	more := testing.AllocsPerRun(rounds, session) - testing.AllocsPerRun(rounds, none)
	t.Logf("%.0f allocations more than without a session", more)
	if more > 12 {
		t.Errorf("%.0f allocations more than without a session", more)
	}
	// Tracking's own pings go over a connection that is not counted here.
	if n := s.commands() - before; n > 0 {
		t.Errorf("%d commands for %d requests", n, 2*rounds)
	}

	cold, cookie := signedInAt(t, s, false)
	one := aRequest(t, cold, cookie)
	var trips trips
	s.client.AddHook(&trips)
	for range 10 {
		one()
	}
	if n := trips.Load(); n != 10 {
		t.Errorf("%d round trips for 10 requests without a local record", n)
	}
}

// trips counts round trips: a pipeline is one.
type trips struct{ atomic.Int64 }

func (n *trips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (n *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		n.Add(1)
		return next(ctx, cmd)
	}
}

func (n *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		n.Add(1)
		return next(ctx, cmds)
	}
}

func BenchmarkRequest(b *testing.B) {
	s := startRedis(b)
	held, cookie := signedInAt(b, s, true)
	cold, other := signedInAt(b, s, false)
	for _, bench := range []struct {
		name, cookie string
		term         *Terminator
	}{
		{"no session", "", held}, {"record held", cookie, held}, {"record in Redis", other, cold},
	} {
		b.Run(bench.name, func(b *testing.B) {
			one := aRequest(b, bench.term, bench.cookie)
			one()
			b.ReportAllocs()
			for b.Loop() {
				one()
			}
		})
	}
}
