// Package admin is the edge's other listener: the admin API, the probes, the
// metrics and the dashboard. It must never be reachable through the listener
// of the visitors.
//
// It owns no cache and no session. What it acts upon comes as small
// interfaces and functions in [Options]; what is left nil answers 501.
package admin

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"umbral/proxy/store"
)

// Options is what the admin API acts upon. The zero value serves /healthz and
// /readyz and refuses all else. All functions must be safe for concurrent
// use and honour their context.
type Options struct {
	// Token is ADMIN_TOKEN. Empty: everything but the probes and the public
	// keys is refused with 403.
	Token string
	// Edge is this edge's id, Version the binary's; both are only shown.
	Edge, Version string
	// Hosts are names, without port, under which a browser may reach the
	// dashboard, beside localhost and IP addresses. Any other Host is taken
	// for DNS rebinding.
	Hosts []string
	// CookieSecure marks the dashboard's cookie Secure: for an admin
	// listener that browsers reach by https only.
	CookieSecure bool
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Log; nil: silence.
	Log *zap.Logger

	// Ledger is the purge log where it keeps its own audit; Audit then keeps
	// only what is no purge. nil: Purge is used.
	Ledger Ledger
	// Purge appends to the purge log: [store.PurgeLog.Append]. With
	// [store.ErrUnavailable] the purge must hold on this edge at once, and on
	// the others once Redis is back.
	Purge func(ctx context.Context, selectors []store.Selector, wait time.Duration) (store.Receipt, error)
	// Holdings is the memory tier as purging sees it; nil: counts are 0, and
	// refresh knows only the URLs that are named.
	Holdings Holdings
	// NormalURL turns "https://host/path?query" or "/path?query" into the
	// form of [store.Selector.URL], with the query as the route's rule has
	// it. An error's text is shown to the caller. nil: no query rule.
	NormalURL func(raw string) (string, error)
	// UserDigests and SessionDigests turn a uid, as the app announced it, and
	// a session's id, as Sessions lists it, into the digests that stored
	// pages carry: one for each secret and generation that may still be in
	// use. nil: purging by them answers 501.
	UserDigests    func(ctx context.Context, uid string) ([]string, error)
	SessionDigests func(ctx context.Context, id string) ([]string, error)
	// Audit keeps who changed what; nil: the newest 500, in memory.
	Audit Audit
	// Explain says what the edge would do with a request, and why.
	Explain func(ctx context.Context, q ExplainQuery) (Explanation, error)
	// Warm fetches pages ahead of their visitors; also for refresh.
	Warm *Warmer
	// Routes lists the rules in force, in the file's order, the unlisted one
	// last, with what each has served since the start.
	Routes func() []Route
	// Stats are the figures of now. It may ask Redis, within its time-out.
	Stats func(ctx context.Context) Stats
	// Edges lists the edges that are alive, this one included.
	Edges func(ctx context.Context) ([]Edge, error)
	// Reload re-reads the routes file as SIGHUP does and returns its faults;
	// with any, the rules in force are unchanged.
	Reload func(ctx context.Context) []Fault
	// Restart names the sections of the file that have changed since the
	// start and that Reload does not put into force; nil: there are none.
	Restart func() []string
	// Sessions lists and revokes.
	Sessions Sessions
	// Subscribe joins the stream of events. The channel must not fill up the
	// edge: who is too slow misses events. Closed, it ends the stream.
	Subscribe func() (events <-chan Event, cancel func())
	// JWKS is the set of public keys in force, ready for encoding/json.
	JWKS func() any
	// Ready makes the checks of /readyz; it must be quick. nil: always ready.
	Ready func(ctx context.Context) []Check
	// Draining reports that the edge is shutting down.
	Draining func() bool
	// Metrics is the Prometheus handler.
	Metrics http.Handler
}

// API is the admin listener's handler. It is safe for concurrent use.
type API struct {
	Options
	routes  []route
	mux     *http.ServeMux
	gate    *gate
	desk    *desk
	page    page
	history history
	streams atomic.Int32
	closed  chan struct{}
	close   func()
}

// access says who may make a call.
type access uint8

const (
	// guarded calls need the bearer token or the dashboard's cookie.
	guarded access = iota
	// open calls need nothing.
	open
	// screen calls are the dashboard's own: they judge the cookie themselves.
	screen
)

// call answers a request or returns why not: a *[Problem], or an error that
// [problemOf] knows. It has written nothing if it returns an error.
type call func(w http.ResponseWriter, r *http.Request, by caller) error

type route struct {
	pattern string
	access  access
	call    call
}

// New returns the handler of the admin listener.
func New(o Options) *API {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Audit == nil {
		o.Audit = &memoryAudit{}
	}
	if o.NormalURL == nil {
		o.NormalURL = StoredURL
	}
	a := &API{Options: o, mux: http.NewServeMux(), gate: newGate(o.Token), desk: newDesk(), page: newPage(), closed: make(chan struct{})}
	a.close = sync.OnceFunc(func() { close(a.closed) })
	a.routes = []route{
		{"GET /healthz", open, a.healthz},
		{"GET /readyz", open, a.readyz},
		{"GET /v1/jwks", open, a.jwks},

		{"GET /{$}", screen, a.dashboard},
		{"POST /login", screen, a.signIn},
		{"POST /logout", guarded, a.signOut},

		{"POST /v1/purge", guarded, a.purge},
		{"PURGE /", guarded, a.purgeOne},
		{"GET /v1/purges", guarded, a.purges},
		{"GET /v1/explain", guarded, a.explain},
		{"POST /v1/warm", guarded, a.warm},
		{"GET /v1/warm/{id}", guarded, a.warmJob},
		{"GET /v1/routes", guarded, a.listRoutes},
		{"GET /v1/stats", guarded, a.stats},
		{"GET /v1/edges", guarded, a.edges},
		{"POST /v1/reload", guarded, a.reload},
		{"GET /v1/sessions", guarded, a.sessions},
		{"DELETE /v1/sessions", guarded, a.revokeAll},
		{"DELETE /v1/sessions/{id}", guarded, a.revokeSession},
		{"DELETE /v1/users/{id}/sessions", guarded, a.revokeUser},
		{"GET /v1/events", guarded, a.events},
		{"GET /v1/openapi.json", guarded, a.openapi},
		{"GET /metrics", guarded, a.metrics},
	}
	for _, rt := range a.routes {
		if rt.pattern == "PURGE /" {
			continue // before the mux, which would redirect //x to /x
		}
		a.mux.Handle(rt.pattern, a.handle(rt))
	}
	return a
}

// Close ends the streams of events, for which [http.Server.Shutdown] would
// wait: see [http.Server.RegisterOnShutdown]. All else goes on.
func (a *API) Close() { a.close() }

// ServeHTTP implements [http.Handler].
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	if r.Method == "PURGE" {
		a.handle(route{access: guarded, call: a.purgeOne}).ServeHTTP(w, r)
		return
	}
	if _, pattern := a.mux.Handler(r); pattern != "" {
		a.mux.ServeHTTP(w, r) // and not the handler: the mux sets the path's values
		return
	}
	a.handle(route{access: guarded, call: a.unknown}).ServeHTTP(w, r)
}

// handle puts the gate before a call, and turns its error into a problem.
func (a *API) handle(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var by caller
		if rt.access == guarded {
			var err error
			if by, err = a.admit(r); err != nil {
				a.fail(w, r, err)
				return
			}
		}
		if err := rt.call(w, r, by); err != nil {
			a.fail(w, r, err)
		}
	})
}

// unknown answers what no pattern matches: 405 where another method would.
func (a *API) unknown(w http.ResponseWriter, r *http.Request, _ caller) error {
	h, _ := a.mux.Handler(r)
	probe := &headOnly{header: http.Header{}}
	h.ServeHTTP(probe, r)
	if probe.status == http.StatusMethodNotAllowed {
		allow := probe.header.Get("Allow")
		w.Header().Set("Allow", allow)
		return &Problem{Status: http.StatusMethodNotAllowed, Detail: "this address answers " + allow}
	}
	return &Problem{Status: http.StatusNotFound, Detail: "no such call; /v1/openapi.json lists all"}
}

// headOnly keeps an answer's status and header and drops its body.
type headOnly struct {
	header http.Header
	status int
}

func (h *headOnly) Header() http.Header         { return h.header }
func (h *headOnly) Write(p []byte) (int, error) { return len(p), nil }
func (h *headOnly) WriteHeader(status int) {
	if h.status == 0 {
		h.status = status
	}
}

// secure sets what every answer carries; the page's own policy replaces the
// Content-Security-Policy. Referrer-Policy is not no-referrer, with which
// browsers send "Origin: null" for the sign-in form.
func secure(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
}
