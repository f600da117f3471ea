package proxy

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"umbral/cachepolicy"
	"umbral/proxy/store"
)

func jsonCore(w io.Writer) zapcore.Core {
	return zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(w), zapcore.InfoLevel)
}

// answeredHit is an exchange as it looks once a hit has been served.
func answeredHit() *Exchange {
	x := &Exchange{Start: time.Now(), ID: "id1", R: plainGet(), Client: netip.MustParseAddr("192.0.2.1"), Tier: store.TierMemory, Route: &Route{Policy: &cachepolicy.Policy{}}}
	x.Route.Rule.Pattern = "/certificado/{id}"
	x.R.Header.Set("Authorization", "Bearer verysecret")
	x.R.Header.Set("Cookie", "__Host-umbral=verysecret")
	x.Ask.Identity.Session = "0123456789abcdefghij"
	x.Status = cachepolicy.Status{Hit: true, HasTTL: true, TTL: time.Minute}
	return x
}

func TestAccessLogLine(t *testing.T) {
	var out bytes.Buffer
	a := NewAccess(AccessOptions{Log: jsonCore(&out)})
	x := answeredHit()
	rec := a.Begin(httptest.NewRecorder(), x)
	io.WriteString(rec, "hello")
	a.End(rec, x)
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%q: %v", out.String(), err)
	}
	for name, want := range map[string]any{
		"msg": "request", "method": "GET", "host": "example.com", "path": "/certificado/7?page=2", "status": 200.0, "bytes": 5.0,
		"verdict": "hit", "tier": "memory", "route": "/certificado/{id}", "id": "id1", "client": "192.0.2.1", "session": "0123456789ab",
	} {
		if got[name] != want {
			t.Errorf("%s: %v, want %v", name, got[name], want)
		}
	}
	if strings.Contains(out.String(), "verysecret") {
		t.Errorf("a secret is in the log: %s", out.String())
	}
}

// The fast core writes what zap's encoder would.
func TestAccessCoreWritesAsZapDoes(t *testing.T) {
	form := zap.NewProductionEncoderConfig()
	form.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	var ours, theirs bytes.Buffer
	fast := NewAccessCore(zapcore.AddSync(&ours))
	slow := zapcore.NewCore(zapcore.NewJSONEncoder(form), zapcore.AddSync(&theirs), zapcore.InfoLevel)
	for _, path := range []string{"/", "/\"\\\b\n\r\t\x00\x7f\xff<>&\u2028é\xc3", "/a\xed\xa0\x80b"} {
		for _, took := range []time.Duration{0, 1, 999, 12345678, 1010 * time.Microsecond, -1500 * time.Microsecond, time.Hour} {
			for _, x := range []*Exchange{answeredHit(), {R: plainGet()}} {
				x.R.RequestURI, x.ID = path, path
				x.Start = time.Unix(1700000000, 123456789)
				if x.Route == nil {
					x.Status.Detail = cachepolicy.RequestRefused
				}
				l := &line{x: x, route: path, code: 200, bytes: 5, took: took, upstream: took}
				entry := zapcore.Entry{Level: zapcore.InfoLevel, Time: x.Start, LoggerName: "access", Message: "request"}
				ours.Reset()
				theirs.Reset()
				fast.Write(entry, []zapcore.Field{zap.Inline(l)})
				slow.Write(entry, []zapcore.Field{zap.Inline(l)})
				if ours.String() != theirs.String() {
					t.Errorf("\n%s%s", ours.String(), theirs.String())
				}
			}
		}
	}
	ours.Reset()
	fast.Write(zapcore.Entry{Message: "other"}, []zapcore.Field{zap.Int("n", 1)})
	if !strings.Contains(ours.String(), `"msg":"other","n":1`) {
		t.Errorf("%q", ours.String())
	}
}

// A line cannot be forged from within a request.
func TestAccessLogEscapes(t *testing.T) {
	var out bytes.Buffer
	a := NewAccess(AccessOptions{Log: jsonCore(&out)})
	x := answeredHit()
	x.R.RequestURI = "/\n{\"msg\":\"forged\"}\x00\xff"
	a.End(a.Begin(httptest.NewRecorder(), x), x)
	if n := bytes.Count(out.Bytes(), []byte("\n")); n != 1 || !json.Valid(out.Bytes()) {
		t.Errorf("%d lines: %q", n, out.String())
	}
}

func TestAccessLogLevel(t *testing.T) {
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(io.Discard), zapcore.WarnLevel)
	if a := NewAccess(AccessOptions{Log: core}); a.log != nil {
		t.Error("lines are made that nobody writes")
	}
}

func TestAccessEventsAndSilence(t *testing.T) {
	var events Events
	a := NewAccess(AccessOptions{Events: &events})
	s, err := events.Subscribe(1)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		x := answeredHit()
		a.End(a.Begin(httptest.NewRecorder(), x), x)
	}
	ev := (<-s.C)
	if r := ev.Data.(RequestEvent); ev.Kind != EventRequest || r.Verdict != "hit" || r.Path != "/certificado/7" || r.Client != "192.0.2.1" {
		t.Errorf("%+v", ev)
	}
	if s.Dropped() != 2 {
		t.Errorf("%d dropped", s.Dropped())
	}
	s.Close()
	s.Close()
	if events.Listening() {
		t.Error("somebody still listens")
	}
	for range subscribersMost {
		if _, err := events.Subscribe(0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := events.Subscribe(0); err != ErrTooManySubscribers {
		t.Error(err)
	}
}

func TestEventsUnderWay(t *testing.T) {
	var events Events
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				s, err := events.Subscribe(4)
				if err != nil {
					t.Error(err)
					return
				}
				events.Publish(EventState, time.Now(), nil)
				<-s.C
				s.Close()
			}
		})
	}
	all.Wait()
}

// The sink writes out within a second, and what is left when it is stopped.
func TestLogSinkFlushesByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var out bytes.Buffer
		sink := NewLogSink(zapcore.AddSync(writerFunc(func(p []byte) (int, error) { mu.Lock(); defer mu.Unlock(); return out.Write(p) })))
		length := func() int { mu.Lock(); defer mu.Unlock(); return out.Len() }
		sink.Write([]byte("one\n"))
		if length() != 0 {
			t.Error("each line is a system call")
		}
		time.Sleep(1100 * time.Millisecond) // the bubble's clock
		synctest.Wait()
		if length() != 4 {
			t.Error("not flushed")
		}
		sink.Write([]byte("two\n"))
		sink.Stop()
		if length() != 8 {
			t.Error("the rest is lost")
		}
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestRecorder(t *testing.T) {
	a := NewAccess(AccessOptions{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &Exchange{R: r, Start: time.Now()}
		rec := a.Begin(w, x)
		defer a.End(rec, x)
		rec.WriteHeader(http.StatusEarlyHints)
		if rec.Status() != 0 {
			t.Error("1xx is taken for the answer")
		}
		rec.WriteHeader(http.StatusAccepted)
		io.Copy(rec, strings.NewReader("hello"))
		rec.Flush()
		if rec.Status() != 202 || rec.bytes != 5 {
			t.Errorf("%d, %d bytes", rec.Status(), rec.bytes)
		}
		if err := http.NewResponseController(rec).SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Error(err)
		}
		if r.URL.Path == "/hijack" {
			c, _, err := rec.Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			c.Close()
		}
	}))
	defer s.Close()
	resp, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 202 || string(b) != "hello" {
		t.Errorf("%d %q", resp.StatusCode, b)
	}
	if resp, err := http.Get(s.URL + "/hijack"); err == nil {
		resp.Body.Close()
	}
}

func TestVerdictOf(t *testing.T) {
	for _, tt := range []struct {
		name string
		s    cachepolicy.Status
		code int
		want verdict
	}{
		{"hit", cachepolicy.Status{Hit: true, HasTTL: true, TTL: 1}, 200, verdictHit},
		{"stale-while-revalidate", cachepolicy.Status{Hit: true, HasTTL: true, TTL: -1}, 200, verdictStale},
		{"stale-if-error", cachepolicy.Status{Fwd: cachepolicy.FwdStale, Detail: cachepolicy.AppError, FwdStatus: 500}, 200, verdictStale},
		{"validated", cachepolicy.Status{Fwd: cachepolicy.FwdStale, FwdStatus: 304}, 200, verdictRevalidated},
		{"stale, then fetched", cachepolicy.Status{Fwd: cachepolicy.FwdStale}, 200, verdictMiss},
		{"miss", cachepolicy.Status{Fwd: cachepolicy.FwdURIMiss, Stored: true}, 200, verdictMiss},
		{"post", cachepolicy.Status{Fwd: cachepolicy.FwdMethod}, 200, verdictBypass},
		{"off", cachepolicy.Status{Fwd: cachepolicy.FwdBypass}, 200, verdictBypass},
		{"app down", cachepolicy.Status{Fwd: cachepolicy.FwdURIMiss, Detail: cachepolicy.AppUnreachable}, 502, verdictError},
		{"app down, too stale", cachepolicy.Status{Fwd: cachepolicy.FwdStale, Detail: cachepolicy.AppUnreachable}, 502, verdictError},
		{"limited", cachepolicy.Status{Detail: cachepolicy.RateLimited}, 429, verdictRefused},
		{"logout", cachepolicy.Status{Detail: cachepolicy.EdgeAnswer}, 303, verdictEdge},
	} {
		if got := verdictOf(&tt.s, tt.code); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestMetrics(t *testing.T) {
	m := NewMetrics()
	a := NewAccess(AccessOptions{Metrics: m})
	og := newTestOrigin(t, OriginOptions{URLs: []string{deadURL(t)}})
	if err := m.Register(og); err != nil {
		t.Fatal(err)
	}
	if err := m.Gauge("sessions_active", "Sessions.", func() float64 { return 7 }); err != nil {
		t.Fatal(err)
	}
	ask(t, og, outgoing("GET", ""))
	for range 2 {
		x := answeredHit()
		rec := a.Begin(httptest.NewRecorder(), x)
		io.WriteString(rec, "hello")
		a.End(rec, x)
	}
	x := answeredHit()
	x.R.Method = "BREW"
	x.Route, x.Tier = nil, store.TierNone
	x.Status = cachepolicy.Status{Detail: cachepolicy.RequestRefused}
	rec := a.Begin(httptest.NewRecorder(), x)
	rec.WriteHeader(599)
	a.End(rec, x)
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range []string{
		`umbral_requests_total{code="200",route="/certificado/{id}",verdict="hit"} 2`,
		`umbral_requests_total{code="5xx",route="-",verdict="refused"} 1`,
		`umbral_response_bytes_total{route="/certificado/{id}",verdict="hit"} 10`,
		`umbral_request_duration_seconds_count{route="/certificado/{id}",verdict="hit"} 2`,
		`umbral_request_methods_total{method="other"} 1`,
		`umbral_request_reasons_total{reason="request-refused"} 1`,
		`umbral_tier_hits_total{tier="memory"} 2`,
		`umbral_requests_in_flight 0`,
		`umbral_upstream_requests_total 1`,
		`umbral_upstream_errors_total{reason="app-unreachable"} 1`,
		`umbral_upstream_requests_in_flight 0`,
		`umbral_sessions_active 7`,
	} {
		if !strings.Contains(w.Body.String(), line+"\n") {
			t.Errorf("%s is missing", line)
		}
	}
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := promlint.NewWithMetricFamilies(families).Lint(); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
	stats, total := m.RouteStats()
	i := slices.IndexFunc(stats, func(s RouteStat) bool { return s.Route == "/certificado/{id}" })
	if s := stats[i]; s.Requests != 2 || s.Hits != 2 || s.Bytes != 10 || s.P50 <= 0 || s.P99 < s.P50 {
		t.Errorf("%+v", s)
	}
	if total.Requests != 3 || total.Hits != 2 || total.P50 <= 0 {
		t.Errorf("all together: %+v", total)
	}
}

// Whatever visitors send, the number of series stays bounded.
func TestMetricsAreBounded(t *testing.T) {
	m := NewMetrics()
	x := answeredHit()
	for i := range routesMost + 500 {
		m.observe(x, observation{route: strings.Repeat("r", i%50) + string(rune('a'+i%26)) + time.Duration(i).String(), code: i, verdict: verdict(i % int(numVerdicts))})
	}
	if n := len(*m.routes.Load()); n > routesMost+1 {
		t.Errorf("%d routes", n)
	}
	for _, code := range []int{-1, 0, 1, 99, 100, 299, 599, 600, 1 << 30} {
		if i := codeIndex(code); i < 0 || i >= numCodes {
			t.Errorf("%d has index %d", code, i)
		}
	}
}

func TestQuantile(t *testing.T) {
	var h histogram
	for range 99 {
		h.observe(3 * time.Millisecond)
	}
	h.observe(2 * time.Second)
	var b [len(histogramBounds) + 1]uint64
	for i := range b {
		b[i] = h.buckets[i].Load()
	}
	if p50, p999 := quantile(b[:], .5), quantile(b[:], .999); p50 < 2.5 || p50 > 5 || p999 < 1000 || p999 > 2500 {
		t.Errorf("p50 %v, p99.9 %v", p50, p999)
	}
	if quantile(make([]uint64, len(b)), .5) != 0 {
		t.Error("a quantile of nothing")
	}
}

type nullWriter struct{ h http.Header }

func (w nullWriter) Header() http.Header         { return w.h }
func (w nullWriter) WriteHeader(int)             {}
func (w nullWriter) Write(p []byte) (int, error) { return len(p), nil }

func accessRound(a *Access, w http.ResponseWriter, x *Exchange, body []byte) {
	rec := a.Begin(w, x)
	rec.Write(body)
	a.End(rec, x)
}

func TestAccessAllocatesNothing(t *testing.T) {
	a := NewAccess(AccessOptions{Metrics: NewMetrics(), Events: &Events{}, Log: NewAccessCore(zapcore.AddSync(io.Discard))})
	x, body := answeredHit(), make([]byte, 1024)
	var w http.ResponseWriter = nullWriter{http.Header{}}
	accessRound(a, w, x, body)
	// The race detector makes pools forget now and then, and a collection does.
	if n := testing.AllocsPerRun(1000, func() { accessRound(a, w, x, body) }); n > 2 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAccess(b *testing.B) {
	for name, o := range map[string]AccessOptions{
		"off":               {},
		"metrics":           {Metrics: NewMetrics(), Events: &Events{}},
		"metrics, fast log": {Metrics: NewMetrics(), Events: &Events{}, Log: NewAccessCore(NewLogSink(zapcore.AddSync(io.Discard)))},
		"metrics, log":      {Metrics: NewMetrics(), Events: &Events{}, Log: jsonCore(NewLogSink(zapcore.AddSync(io.Discard)))},
	} {
		b.Run(name, func(b *testing.B) {
			a, x, body := NewAccess(o), answeredHit(), make([]byte, 1024)
			var w http.ResponseWriter = nullWriter{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				accessRound(a, w, x, body)
			}
		})
	}
}
