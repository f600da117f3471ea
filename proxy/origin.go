package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// How asking the app can fail. The cause is wrapped for the log; no visitor
// sees it.
var (
	// ErrUnreachable: connection or I/O failure before a header section came.
	ErrUnreachable = errors.New("proxy: app unreachable")
	// ErrTimeout: no connection, no header section or no content in time.
	ErrTimeout = errors.New("proxy: app timed out")
	// ErrBadAnswer: the app broke the protocol.
	ErrBadAnswer = errors.New("proxy: bad answer from the app")
	// ErrOverloaded: as many requests are with the app as may be.
	ErrOverloaded = errors.New("proxy: too many requests at the app")
)

const (
	maxAnswerHeader = 64 << 10 // bytes
	idleFor         = 90 * time.Second
)

// OriginOptions sets up an [Origin]; zero values have sane defaults.
type OriginOptions struct {
	// URLs are the upstreams: http, https, or unix:///path of a socket.
	URLs []string
	// ConnectTimeout is 5 s if zero, TLS handshake not included.
	ConnectTimeout time.Duration
	// ResponseHeaderTimeout is 60 s if zero.
	ResponseHeaderTimeout time.Duration
	// BodyStall is the longest silence within a response's content, 60 s if
	// zero. Event streams may be silent.
	BodyStall time.Duration
	// MaxInFlight bounds the requests at the app, 1024 if zero.
	MaxInFlight int
	// MaxIdle is how many idle connections are kept to each upstream, 256 if
	// zero.
	MaxIdle int
	// HealthPath is asked of each upstream every HealthEvery (5 s if zero); ""
	// asks for no more than a connection.
	HealthPath  string
	HealthEvery time.Duration
	// TLS is for https upstreams; nil: the system's roots.
	TLS *tls.Config
	// Logger is told of each change of an upstream's state; nil: nobody is.
	Logger *zap.Logger
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Origin asks the app: it picks an upstream, fills in the request's URL, and
// refuses answers that break the protocol. It is safe for concurrent use.
type Origin struct {
	o         OriginOptions
	upstreams atomic.Pointer[[]*upstream]
	inFlight  atomic.Int64
	counts    originCounts

	mu     sync.Mutex // orders SetUpstreams and Close
	stop   context.CancelFunc
	closed chan struct{}
}

// originCounts feeds the metrics.
type originCounts struct {
	requests, retried                           atomic.Uint64
	unreachable, timeout, badAnswer, overloaded atomic.Uint64
	took                                        histogram
}

// NewOrigin returns an Origin and starts its health checks; Close ends them.
func NewOrigin(o OriginOptions) (*Origin, error) {
	setDefault(&o.ConnectTimeout, 5*time.Second)
	setDefault(&o.ResponseHeaderTimeout, 60*time.Second)
	setDefault(&o.BodyStall, 60*time.Second)
	setDefault(&o.MaxInFlight, 1024)
	setDefault(&o.MaxIdle, 256)
	setDefault(&o.HealthEvery, 5*time.Second)
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	og := &Origin{o: o, closed: make(chan struct{})}
	if err := og.SetUpstreams(o.URLs); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	og.stop = cancel
	go og.watch(ctx)
	return og, nil
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// SetUpstreams replaces the upstreams. Those that stay keep their state and
// connections; those that go end what is in flight and are asked no more.
func (og *Origin) SetUpstreams(urls []string) error {
	og.mu.Lock()
	defer og.mu.Unlock()
	var before, after []*upstream
	if p := og.upstreams.Load(); p != nil {
		before = *p
	}
	for _, raw := range urls {
		raw = strings.TrimSpace(raw)
		if slices.ContainsFunc(after, func(u *upstream) bool { return u.url == raw }) {
			return fmt.Errorf("upstream %q is named twice", raw)
		}
		if i := slices.IndexFunc(before, func(u *upstream) bool { return u.url == raw }); i >= 0 {
			after = append(after, before[i])
			continue
		}
		u, err := og.newUpstream(raw)
		if err != nil {
			return err
		}
		after = append(after, u)
	}
	if len(after) == 0 {
		return errors.New("no upstream is named")
	}
	og.upstreams.Store(&after)
	for _, u := range before {
		if !slices.Contains(after, u) {
			u.gone.Store(true)
			u.closeIdle()
		}
	}
	return nil
}

// Close stops the health checks and closes idle connections. Requests in
// flight go on.
func (og *Origin) Close() error {
	og.mu.Lock()
	defer og.mu.Unlock()
	og.stop()
	<-og.closed
	for _, u := range *og.upstreams.Load() {
		u.closeIdle()
	}
	return nil
}

// RoundTrip implements http.RoundTripper. The request's URL needs no scheme
// or host, and Host goes up as it is. Errors are one of the four above, or
// wrap the context's. Every response's body must be closed.
func (og *Origin) RoundTrip(r *http.Request) (*http.Response, error) { return og.roundTrip(r, nil) }

// roundTrip asks any upstream but those in not, unless there is no other.
func (og *Origin) roundTrip(r *http.Request, not []*upstream) (*http.Response, error) {
	if og.inFlight.Add(1) > int64(og.o.MaxInFlight) {
		og.inFlight.Add(-1)
		og.counts.overloaded.Add(1)
		closeBody(r)
		return nil, ErrOverloaded
	}
	u := og.pick(not)
	if u == nil {
		u = og.pick(nil)
	}
	held := og.hold(r)
	resp, err := og.ask(u, r, held)
	for tried := []*upstream{u}; err != nil; tried = append(tried, u) {
		if u = og.retry(tried, r, held, err); u == nil {
			break
		}
		og.counts.retried.Add(1)
		resp, err = og.ask(u, r, held)
	}
	held.end()
	if err != nil {
		og.inFlight.Add(-1)
		return nil, og.count(r, err)
	}
	og.track(resp, u, not)
	return resp, nil
}

// ask asks one upstream.
func (og *Origin) ask(u *upstream, r *http.Request, held *heldBody) (*http.Response, error) {
	og.counts.requests.Add(1)
	u.requests.Add(1)
	u.inFlight.Add(1)
	began := time.Now()
	resp, err := u.roundTrip(r, held)
	if err == nil {
		og.counts.took.observe(time.Since(began))
		if err = judgeAnswer(r, resp); err == nil {
			u.succeeded(og)
			if len(resp.TransferEncoding) > 0 {
				// Trailers are dropped: net/http fills in those of the original,
				// which nobody has any more.
				final := *resp
				final.Trailer = nil
				resp = &final
			}
			return resp, nil
		}
		// Its connection is out of step: Close ends it where content is left,
		// and where there is none it lies idle already.
		resp.Body.Close()
		u.closeIdle()
	}
	u.inFlight.Add(-1)
	err = classify(r.Context(), err)
	if errors.Is(err, ErrUnreachable) || errors.Is(err, ErrTimeout) {
		u.failed.Add(1)
		u.failedOnce(og, err)
	}
	return nil, err
}

// maxTries bounds how many upstreams one request is asked of.
const maxTries = 4

// retry names the upstream that may be asked instead of those tried, the last
// of which failed with err, nil if none: where nothing of the request had been
// written, or where asking twice does what asking once does and there is no
// content (RFC 9110 §9.2.2). A slow app is not asked again: it would only be
// slower.
func (og *Origin) retry(tried []*upstream, r *http.Request, held *heldBody, err error) *upstream {
	unsent := errors.Is(err, errDial)
	switch {
	case r.Context().Err() != nil || len(tried) >= maxTries:
		return nil
	case !unsent && !errors.Is(err, ErrUnreachable):
		return nil
	case !unsent && (hasBody(r) || !idempotent(r.Method)):
		return nil
	case hasBody(r) && (held == nil || held.touched()):
		return nil
	}
	return og.pick(tried)
}

func idempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

func hasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }

func closeBody(r *http.Request) {
	if r.Body != nil {
		r.Body.Close()
	}
}

// pick returns the upstream in service with the fewest requests in flight,
// looking from a random one on; those in not are left out. Where none is in
// service all are: a guess is better than a certain 502. It is nil only where
// none is left.
func (og *Origin) pick(not []*upstream) *upstream {
	all := *og.upstreams.Load()
	if len(all) == 1 && len(not) == 0 {
		return all[0]
	}
	now := og.o.Now()
	var best, anyone *upstream
	start := rand.IntN(len(all))
	for i := range all {
		u := all[(start+i)%len(all)]
		if slices.Contains(not, u) {
			continue
		}
		if anyone == nil || u.inFlight.Load() < anyone.inFlight.Load() {
			anyone = u
		}
		if u.health.inService(now) && (best == nil || u.inFlight.Load() < best.inFlight.Load()) {
			best = u
		}
	}
	if best == nil {
		return anyone
	}
	return best
}
