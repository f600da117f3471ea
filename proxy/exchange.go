package proxy

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"umbral/cachepolicy"
	"umbral/proxy/store"
	"umbral/sessions"
)

// Exchange is the one record of a request in flight: what the chain has
// learned so far, and what access will say of it. It belongs to the goroutine
// that serves the request; a background fetch gets a copy of what it needs.
type Exchange struct {
	// Start is when the request's header section had been read.
	Start time.Time
	// ID is X-Request-Id: a trusted proxy's, else made here.
	ID string
	R  *http.Request

	// What the front door found out.
	Client      netip.Addr // the visitor's address, through trusted proxies
	Secure      bool       // the visitor's scheme is https (SESSIONS.md §8)
	TrustedPeer bool       // the connection comes from TRUSTED_PROXIES
	Ambiguous   bool       // two programs could read the path differently
	Upgrade     bool       // a websocket handshake

	// Route is the rule that matches, never nil once past the front door.
	Route *Route
	// Limited is the route whose rate limit holds, where that is not Route.
	Limited *Route
	// Visitor is who asks, never nil once past sessions.
	Visitor *sessions.Visitor
	// Ask is the request as the policy sees it.
	Ask cachepolicy.Request
	// Status is what Cache-Status, log, metrics, explain and dashboard say.
	Status cachepolicy.Status
	// Tier says where a hit came from.
	Tier store.Tier

	// met: Client and TrustedPeer are the connection's already.
	met bool
	// pos is where the purge log stood before anything was looked up, and
	// before the visitor's jar was.
	pos store.Position
	// redisBy is when this request has waited for Redis long enough, however
	// many answers it needs; redisLeft is what was left after the newest look.
	redisBy   time.Time
	redisLeft time.Duration
	// plan is what fetch is to do with the request that goes up.
	plan plan
	rec  *Recorder
	// interim is what ReverseProxy answers on.
	interim interim
	// inner: a fragment, which the page around it assembles.
	inner bool
	// cancel ends the request that went up, where the session may end first.
	cancel context.CancelFunc
}

// limited is the route whose rate limit holds.
func (x *Exchange) limited() *Route {
	if x.Limited != nil {
		return x.Limited
	}
	return x.Route
}

type exchangeKey struct{}

// withExchange attaches x to the request that goes through ReverseProxy.
func withExchange(r *http.Request, x *Exchange) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
}

// askApp sends the exchange's request through ReverseProxy.
func (p *Proxy) askApp(w http.ResponseWriter, x *Exchange) {
	r := withExchange(x.R, x)
	if x.Visitor.Done() != nil {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		x.cancel, r = cancel, r.WithContext(ctx)
	}
	x.interim = newInterim(w, r)
	p.up.ServeHTTP(&x.interim, r)
}

// exchangeOf returns what withExchange attached.
func exchangeOf(r *http.Request) *Exchange {
	x, _ := r.Context().Value(exchangeKey{}).(*Exchange)
	return x
}
