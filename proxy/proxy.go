// Package proxy is the edge's way of a request: one pass through a chain,
// outermost first, each link one file:
//
//	access → front door → sessions → rate limit → cache
//	   cache: a hit → respond
//	   cache: else  → ReverseProxy → fetch → collapse → origin → judge → capture → store
//
// A hit never goes through ReverseProxy; a miss always does, for it owns
// hop-by-hop fields, upgrades, 1xx answers and flushing. A plain hit in memory
// does not even go through net/http: see [Express].
package proxy

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/http/httputil"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"umbral/cachepolicy"
	"umbral/proxy/store"
	"umbral/sessions"
)

// handler is a link of the chain. It must answer on w.
type handler func(w http.ResponseWriter, x *Exchange)

// Leases make one fetch out of those of several edges.
type Leases interface {
	// Acquire tries to become the only fetcher of key, for ttl at most.
	Acquire(ctx context.Context, key cachepolicy.Key, ttl time.Duration) (l *store.Lease, held bool, err error)
	// Wait waits for the holder's word, or for ctx.
	Wait(ctx context.Context, key cachepolicy.Key) (store.Outcome, error)
}

// Options set up a Proxy. All fields without a default named are required.
type Options struct {
	Store    store.Store
	Log      store.PurgeLog
	Leases   Leases
	Sessions *sessions.Terminator
	// Origin asks the app; its errors are those of errors.go.
	Origin  http.RoundTripper
	Front   *Front
	Access  *Access
	Limiter *Limiter
	Logger  *zap.Logger
	// CollapseDeadline is the longest that a request waits for another's
	// fetch; 5 s if zero.
	CollapseDeadline time.Duration
	// Begun is closed when the store has begun to work, or will not soon: pages
	// that come before wait for it, within RedisTimeout. Nil: it has begun.
	Begun <-chan struct{}
	// RedisTimeout bounds how long one request waits for Redis before the app
	// is asked, all its commands together; no bound if zero. Each command has
	// the bound of whoever sends it.
	RedisTimeout time.Duration
	// EncodedBytes bounds the copies in other codings kept in memory; those
	// beyond it are made for one answer each.
	EncodedBytes int64
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Proxy is the edge's handler. It is safe for concurrent use.
type Proxy struct {
	store    store.Store
	log      store.PurgeLog
	leases   Leases
	begun    <-chan struct{}
	sessions *sessions.Terminator
	origin   http.RoundTripper
	front    *Front
	access   *Access
	limiter  *Limiter
	logger   *zap.Logger

	rules     atomic.Pointer[Rules]
	up        *httputil.ReverseProxy
	chain     handler
	flights   *flights
	refused   *refusals
	now       func() time.Time
	deadline  time.Duration
	redisTime time.Duration

	indexing    sync.Mutex // held from a look at an index until it is replaced
	trouble     once
	looped      once
	encoded     atomic.Int64
	encodedMost int64
	unkeptNow   chan struct{} // holds one for each that is being made for one answer
}

// Rules are the routes in force. They are replaced as a whole.
type Rules struct {
	routes *cachepolicy.Routes
	byID   []*Route
}

// NewRules pairs each route's policy with what else holds on it. Limits are
// indexed like the rules that routes was made from, nil for none; methods are
// let in everywhere, beyond the usual ones.
func NewRules(routes *cachepolicy.Routes, limits []*Limit, methods []string) *Rules {
	rs := &Rules{routes: routes}
	for i, p := range routes.All() {
		r := &Route{Policy: p, Methods: methods}
		if i > 0 && i-1 < len(limits) {
			r.Limit = limits[i-1]
		}
		rs.byID = append(rs.byID, r)
	}
	return rs
}

// Match returns the route of a request, never nil.
func (rs *Rules) Match(method, host, path string) *Route {
	return rs.byID[rs.routes.Match(method, host, path).ID()]
}

// Routes lists the routes in force, the unlisted one first.
func (rs *Rules) Routes() []*Route { return rs.byID }

// New returns a Proxy that serves by rules.
func New(o Options, rules *Rules) *Proxy {
	p := &Proxy{
		store: o.Store, log: o.Log, leases: o.Leases, begun: o.Begun, sessions: o.Sessions, origin: o.Origin,
		front: o.Front, access: o.Access, limiter: o.Limiter, logger: o.Logger,
		flights: newFlights(), refused: newRefusals(),
		now: o.Now, deadline: o.CollapseDeadline, encodedMost: o.EncodedBytes,
		unkeptNow: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
	if p.now == nil {
		p.now = time.Now
	}
	if p.deadline == 0 {
		p.deadline = 5 * time.Second
	}
	// A tenth more, so that one command that is never answered runs into the
	// store's own time-out first, which knows what that means.
	p.redisTime = o.RedisTimeout + o.RedisTimeout/10
	if p.redisTime == 0 {
		p.redisTime = time.Hour
	}
	p.rules.Store(rules)
	p.up = &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		Transport:      transport{p},
		ModifyResponse: p.modify,
		ErrorHandler:   p.answerFor,
		BufferPool:     newBufferPool(),
		ErrorLog:       zap.NewStdLog(zap.NewNop()),
	}
	p.chain = p.recorded(p.admitted(p.limited(p.cached)))
	return p
}

// SetRules replaces the rules; requests in flight end under the old ones.
func (p *Proxy) SetRules(rules *Rules) { p.rules.Store(rules) }

// Rules returns the rules in force.
func (p *Proxy) Rules() *Rules { return p.rules.Load() }

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := p.now()
	p.chain(w, &Exchange{Start: now, R: r, redisBy: now.Add(p.redisTime), redisLeft: p.redisTime})
}

// recorded lets access see every answer, whatever becomes of the request. Where
// there is none the connection is cut: net/http would say 200 by itself.
func (p *Proxy) recorded(next handler) handler {
	return func(w http.ResponseWriter, x *Exchange) {
		rec := p.access.Begin(w, x)
		x.rec = rec
		defer p.access.End(rec, x)
		next(rec, x)
		if rec.Status() == 0 {
			panic(http.ErrAbortHandler)
		}
	}
}

// admitted is the front door: it refuses what is hostile or odd, finds the
// route and who asks.
func (p *Proxy) admitted(next handler) handler {
	return func(w http.ResponseWriter, x *Exchange) {
		no := p.front.Admit(x)
		p.front.Guard(w, x)
		if no != nil {
			if no.Reason == cachepolicy.Loop && p.looped.begin() {
				p.logger.Error("a request has come back to this edge: an upstream in UPSTREAM_URL leads to it")
			}
			p.deny(w, x, no)
			return
		}
		r := x.R
		x.Route = p.Rules().Match(r.Method, x.Ask.Host, x.Ask.Path)
		if no := p.front.AllowMethod(x); no != nil {
			p.deny(w, x, no)
			return
		}
		x.pos = p.log.Position()
		x.Visitor = p.sessions.Visit(r.Context(), r)
		if !p.sessions.CheckCSRF(r, x.Visitor) {
			// Under csrf: shared the token proves nothing: the origin must.
			p.deny(w, x, &Refusal{Status: http.StatusForbidden, Reason: cachepolicy.RequestRefused})
			return
		}
		if x.Ask.Path == sessions.LogoutPath {
			x.Status.Detail = cachepolicy.EdgeAnswer
			label(w.Header(), x)
			p.sessions.ServeLogout(w, r, x.Visitor)
			return
		}
		next(w, x)
	}
}

// limited holds a route's rate limit.
func (p *Proxy) limited(next handler) handler {
	return func(w http.ResponseWriter, x *Exchange) {
		if err := p.limiter.Enter(); err != nil {
			p.fail(w, x, err)
			return
		}
		defer p.limiter.Leave()
		if x.Ambiguous {
			// The app may know a limited address by this spelling, too.
			if r := p.Rules().Match(x.R.Method, x.Ask.Host, cachepolicy.LoosePath(x.Ask.Path)); r.Limit != nil {
				x.Limited = r
			}
		}
		if limit := x.limited().Limit; limit != nil {
			ctx, cancel := context.WithDeadline(x.R.Context(), x.redisBy)
			if limit.By != ByIP && x.Visitor.Resolve(ctx) == nil {
				x.Ask.Identity = x.Visitor.Identity()
			}
			a := p.limiter.Allow(ctx, x)
			cancel()
			x.Ask.Identity = cachepolicy.Identity{}
			a.Fields(w.Header())
			if no := a.Refusal(); no != nil {
				p.deny(w, x, no)
				return
			}
		}
		next(w, x)
	}
}

// fail answers for an error; what it says goes to the log alone.
func (p *Proxy) fail(w http.ResponseWriter, x *Exchange, err error) {
	if b, ok := x.R.Body.(*guardedBody); ok && errors.Is(err, context.Canceled) {
		// Where content cannot be read net/http ends the request, and only then
		// tells whoever reads it why.
		err = cmp.Or(b.fault(), err)
	}
	p.deny(w, x, RefusalFor(err))
}

// deny answers with the edge's own plain page.
func (p *Proxy) deny(w http.ResponseWriter, x *Exchange, no *Refusal) {
	x.Status.Hit, x.Status.Stored, x.Status.HasTTL = false, false, false
	if no.Reason != cachepolicy.None {
		x.Status.Detail = no.Reason
	}
	p.finish(w.Header(), x)
	no.Write(w, x.R)
}

// rewrite makes the request that goes up: without the conditions of a visitor
// where the answer may be stored, with the visitor's identity and jar as the
// plan says. Whatever the visitor's Connection field named has gone before,
// so that ours stay (golang/go#50580).
func (p *Proxy) rewrite(pr *httputil.ProxyRequest) {
	x := exchangeOf(pr.In)
	pr.Out.Host = pr.In.Host
	p.outgoing(pr.Out, x)
}

func (p *Proxy) outgoing(out *http.Request, x *Exchange) {
	h := out.Header
	if out.URL.EscapedPath() != x.Ask.Path {
		// net/url would spell it in its own way, with "%2F" for one as "/".
		out.URL.Opaque = x.Ask.Path
	}
	out.URL.RawQuery = x.Ask.Query // ReverseProxy would re-encode it
	if x.plan.mode != pass {
		// What is not in the key must not make the answer: "?utm_a=1;x=2" is
		// one parameter here and two to some apps.
		out.URL.RawQuery, out.URL.ForceQuery = x.Route.NormalQuery(x.Ask.Query), false
		if e := x.plan.found.entry; x.Route.Rule.TTL != cachepolicy.AppTTL || e != nil && e.Response.Part == nil {
			// Only under the pure RFC may an answer be a part.
			delete(h, "Range")
			delete(h, "If-Range")
		}
		if !x.plan.asAsked || x.Route.Rule.ESI { // what the visitor has is assembled, and none of the app's
			dropConditions(h)
		}
		delete(h, "Expect")
		delete(h, "Max-Forwards") // means nothing to GET (RFC 9110 §7.6.2)
		delete(h, "Content-Type") // of no content
		delete(h, "Content-Encoding")
		if !x.Ask.Trusted {
			delete(h, "Cache-Control")
			delete(h, "Pragma")
		}
		h["Accept-Encoding"] = identityOnly
		if !x.Route.AsksPlain() {
			// The edge compresses nothing personal (BREACH); the app may.
			h["Accept-Encoding"] = []string{cachepolicy.UpstreamAcceptEncoding(&x.Ask)}
		}
	}
	if x.Route.Rule.ESI && !x.Upgrade {
		askForPage(out)
	}
	p.front.SetForwarded(h, x)
	x.Visitor.Prepare(out, x.plan.access, x.Route.Rule.VaryCookies)
}

// identityOnly: a public page is kept plain, and coded by the edge.
var identityOnly = []string{"identity"}

// dropConditions removes the conditions of RFC 9110 §13.1, If-Range aside.
func dropConditions(h http.Header) {
	delete(h, "If-None-Match")
	delete(h, "If-Modified-Since")
	delete(h, "If-Match")
	delete(h, "If-Unmodified-Since")
}

// modify puts our fields on an answer that passes through.
func (p *Proxy) modify(resp *http.Response) error {
	x := exchangeOf(resp.Request)
	p.finish(resp.Header, x)
	p.cutWhenEnded(resp, x)
	return nil
}

// cutWhenEnded ends upgraded connections and event streams with the session
// that they belong to.
func (p *Proxy) cutWhenEnded(resp *http.Response, x *Exchange) {
	done := x.Visitor.Done()
	if done == nil || resp.ContentLength >= 0 && resp.StatusCode != http.StatusSwitchingProtocols {
		return
	}
	ctx, body := x.R.Context(), resp.Body
	go func() {
		select {
		case <-done:
			x.cancel()
			body.Close() // a fetch's answer does not end with the request
		case <-ctx.Done():
		}
	}()
}

// answerFor is ReverseProxy's ErrorHandler: it serves what the fetch left in
// the store, or says in plain words that there is nothing.
func (p *Proxy) answerFor(w http.ResponseWriter, r *http.Request, err error) {
	x := exchangeOf(r)
	if s, ok := err.(settled); ok {
		age := s.entry.Response.Age(p.now())
		if s.news && age < time.Second {
			age = noAge
		}
		p.respond(w, x, s.entry, age)
		return
	}
	p.fail(w, x, err)
}

// bufferPool is ReverseProxy's: 32 KiB each.
type bufferPool struct{ sync.Pool }

func newBufferPool() *bufferPool {
	return &bufferPool{sync.Pool{New: func() any { return new([32 << 10]byte) }}}
}

func (b *bufferPool) Get() []byte  { return b.Pool.Get().(*[32 << 10]byte)[:] }
func (b *bufferPool) Put(p []byte) { b.Pool.Put((*[32 << 10]byte)(p)) }

// once reports a state for the first time in each minute, so that a log line
// tells of a state and not of every request in it.
type once struct{ last atomic.Int64 }

func (o *once) begin() bool {
	now := time.Now().Unix()
	last := o.last.Load()
	return now-last >= 60 && o.last.CompareAndSwap(last, now)
}
