package proxy

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestOriginEjectsAndTakesBack(t *testing.T) {
	now := time.Unix(1e9, 0)
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	pass := func(d time.Duration) { mu.Lock(); now = now.Add(d); mu.Unlock() }

	good := newApp(t, func(w http.ResponseWriter, r *http.Request) {})
	dead := deadURL(t)
	og := newTestOrigin(t, OriginOptions{URLs: []string{dead, good.URL}, Now: clock})
	bad := (*og.upstreams.Load())[0]
	(*og.upstreams.Load())[1].inFlight.Add(1)
	for range 10 {
		if status, _, err := ask(t, og, outgoing("GET", "")); status != 200 {
			t.Fatal(err)
		}
	}
	if n := bad.requests.Load(); n != failuresToEject {
		t.Errorf("asked %d times", n)
	}
	if s := og.Upstreams()[0]; s.InService || !s.Ejected.Equal(clock().Add(ejectFirst)) {
		t.Errorf("%+v", s)
	}
	pass(ejectFirst)
	ask(t, og, outgoing("GET", ""))
	if s := og.Upstreams()[0]; bad.requests.Load() != failuresToEject+1 || !s.Ejected.Equal(clock().Add(2*ejectFirst)) {
		t.Errorf("one failure more did not eject again, for longer: %+v", s)
	}
	pass(2 * ejectFirst)
	l, err := net.Listen("tcp", strings.TrimPrefix(dead, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	back := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {})}
	go back.Serve(l)
	defer back.Close()
	ask(t, og, outgoing("GET", ""))
	if s := og.Upstreams()[0]; !s.InService || bad.health.failures.Load() != 0 {
		t.Errorf("%+v", s)
	}
}

func TestOriginNeverEjectsTheOnlyOne(t *testing.T) {
	og := newTestOrigin(t, OriginOptions{URLs: []string{deadURL(t)}})
	for range failuresToEject + 2 {
		if _, _, err := ask(t, og, outgoing("GET", "")); !errors.Is(err, ErrUnreachable) {
			t.Fatal(err)
		}
	}
	if s := og.Upstreams()[0]; !s.InService || s.Healthy || s.Failures != failuresToEject+2 {
		t.Errorf("%+v", s)
	}
}

// The only upstream is always asked, but not always well: it is said to fail
// once enough requests or checks have, until one that proves the contrary.
func TestOriginTellsOfTheOnlyOneThatFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var hangs atomic.Bool
	app := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if hangs.Load() {
			<-r.Context().Done()
		}
	})}
	go app.Serve(l)
	core, logs := observer.New(zap.InfoLevel)
	og := newTestOrigin(t, OriginOptions{URLs: []string{"http://" + l.Addr().String()}, ResponseHeaderTimeout: 20 * time.Millisecond, Logger: zap.New(core)})
	healthy := func(want bool, when string) {
		t.Helper()
		if s := og.Upstreams()[0]; s.Healthy != want || !s.InService {
			t.Errorf("%s: %+v", when, s)
		}
	}
	ask(t, og, outgoing("GET", ""))
	healthy(true, "at first")
	hangs.Store(true)
	for range failuresToEject {
		ask(t, og, outgoing("GET", ""))
	}
	healthy(false, "without answers")
	og.checkAll(t.Context())
	healthy(false, "a connection is no answer")
	hangs.Store(false)
	ask(t, og, outgoing("GET", ""))
	healthy(true, "after an answer")
	app.Close()
	for range failuresToEject + 2 {
		ask(t, og, outgoing("GET", ""))
	}
	for range checksToFail {
		og.checkAll(t.Context())
	}
	healthy(false, "without connections")
	if l, err = net.Listen("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	og.checkAll(t.Context())
	healthy(true, "after a connection")
	l.Close()
	for range checksToFail {
		og.checkAll(t.Context())
	}
	healthy(false, "as the checks say")
	if l, err = net.Listen("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	app = &http.Server{Handler: http.NotFoundHandler()}
	defer app.Close()
	go app.Serve(l)
	ask(t, og, outgoing("GET", ""))
	healthy(true, "after an answer, which is more than a check asks for")
	for said, times := range map[string]int{"the only upstream fails": 2, "upstream is back": 3} {
		if n := logs.FilterMessageSnippet(said).Len(); n != times {
			t.Errorf("%q was said %d times", said, n)
		}
	}
}

func TestOriginChecksHealth(t *testing.T) {
	var sick atomic.Bool
	a := newApp(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" && sick.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	b := newApp(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			w.WriteHeader(http.StatusBadRequest) // Django, of a Host that it does not know
		}
	})
	og := newTestOrigin(t, OriginOptions{URLs: []string{a.URL, b.URL}, HealthPath: "/health"})
	sick.Store(true)
	for range checksToFail {
		if !og.Upstreams()[0].InService {
			t.Error("out of service too early")
		}
		og.checkAll(t.Context())
	}
	if s := og.Upstreams(); s[0].InService || !s[1].InService {
		t.Errorf("%+v", s)
	}
	before := a.n.Load()
	for range 5 {
		ask(t, og, outgoing("GET", ""))
	}
	if a.n.Load() != before {
		t.Error("a sick upstream was asked")
	}
	sick.Store(false)
	og.checkAll(t.Context())
	if !og.Upstreams()[0].InService {
		t.Error("not taken back")
	}
	if err := og.Probe(t.Context()); err != nil {
		t.Error(err)
	}
}
