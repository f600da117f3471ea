package proxy

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"

	"umbral/cachepolicy"
	"umbral/proxy/store"
	"umbral/sessions"
)

// wholeFirst is the largest declared body, in bytes, that is read completely
// before the visitor who caused the fetch is answered: the app has made it
// already, and the answer can then carry the edge's own validator and coding
// like any hit. Larger ones, and those of undeclared length, stream.
const wholeFirst = 1 << 20

// settled is what RoundTrip returns as an error where the answer comes from
// the store: ReverseProxy hands it to its ErrorHandler, which responds from
// entry as for any hit.
type settled struct{ answer }

func (settled) Error() string { return "answered from the store" }

// answer is the outcome of a fetch: one of entry, resp and err.
type answer struct {
	entry  *store.Entry
	resp   *http.Response
	err    error
	status cachepolicy.Status
	// news: entry is what the app has just said, or confirmed.
	news bool
}

// transport is the RoundTripper under ReverseProxy.
type transport struct{ p *Proxy }

// RoundTrip asks the app as the exchange's plan says.
func (t transport) RoundTrip(out *http.Request) (*http.Response, error) {
	x := exchangeOf(out)
	if x.plan.mode == pass || out.Method == http.MethodHead {
		return t.p.direct(x, out)
	}
	f := t.p.newFetch(x, out)
	began := t.p.now()
	var a answer
	if f.alone {
		f.run()
		a = f.only
	} else {
		go f.run()
		select {
		case a = <-f.ready:
		case <-out.Context().Done():
			f.abandon()
			return nil, out.Context().Err()
		}
	}
	x.rec.Upstream = t.p.now().Sub(began)
	x.Status = a.status
	switch {
	case a.entry != nil:
		return nil, settled{a}
	case a.err != nil:
		return nil, a.err
	}
	return a.resp, nil
}

// fetch is one request to the app on behalf of the store. It runs in a
// goroutine of its own, so that neither a slow visitor nor one who goes away
// holds up what others wait for.
type fetch struct {
	p       *Proxy
	route   *Route
	ask     cachepolicy.Request
	visitor *sessions.Visitor
	plan    plan
	control bool
	pos     store.Position
	status  cachepolicy.Status

	req     *http.Request
	cancel  context.CancelFunc
	ready   chan answer // one answer, buffered; nil where alone
	only    answer      // where alone
	given   bool
	until   time.Time // nobody is waited for any longer
	redisBy time.Time
	held    *store.Lease // nil where another edge may fetch the same
	// sharedToken: the answer holds the CSRF token of csrf: shared.
	sharedToken bool
	// completes: the request was made to ask for the rest of a stored part,
	// which the visitor knows nothing of.
	completes bool
	// alone: nobody but the visitor wants the answer, which in all
	// likelihood cannot be stored. It is fetched in their own goroutine and
	// ends with them.
	alone bool
}

// newFetch takes over what the fetch needs of the exchange, which the visitor
// may leave at any time.
func (p *Proxy) newFetch(x *Exchange, out *http.Request) *fetch {
	f := &fetch{
		p: p, route: x.Route, ask: x.Ask, visitor: x.Visitor, plan: x.plan,
		control: x.controlled(), pos: x.pos, status: x.Status,
		until: x.Start.Add(p.deadline), redisBy: x.redisBy, alone: x.plan.asAsked,
	}
	if f.alone {
		f.req, f.cancel = out, func() {}
		return f
	}
	f.ready = make(chan answer, 1)
	var ctx context.Context
	ctx, f.cancel = context.WithCancel(context.WithoutCancel(out.Context()))
	f.req = out.WithContext(ctx)
	return f
}

// abandon says that nobody waits for this fetch's answer. One that others may
// use goes on.
func (f *fetch) abandon() {
	if f.plan.mode != lead {
		f.cancel()
	}
	go func() { // the answer may come yet, with a body to close
		if a := <-f.ready; a.resp != nil {
			a.resp.Body.Close()
		}
	}()
}

// give hands the answer over.
func (f *fetch) give(a answer) {
	a.status = f.status
	f.given = true
	if f.alone {
		f.only = a
		return
	}
	f.ready <- a
}

// landed lets followers look again, here and on other edges, once what they
// will find is stored.
func (f *fetch) landed() {
	if f.held != nil {
		f.held.Release(true)
	}
	f.scatter(landed)
}

// unstorable lets followers go in parallel, here and on other edges: there
// will be nothing to find.
func (f *fetch) unstorable() {
	if f.held != nil {
		f.held.Release(false)
	}
	f.scatter(scattered)
}

// ended lets go whoever still waits: there is nothing for them, this once.
func (f *fetch) ended() {
	if f.held != nil {
		f.held.Abandon()
	}
	f.scatter(scattered)
}

func (f *fetch) scatter(how outcome) {
	if f.plan.flight != nil {
		f.plan.flight.end(how)
	}
}

func (f *fetch) run() {
	defer f.ended()
	defer f.recovered()
	ctx := f.req.Context()
	if f.plan.mode == lead && f.pos.Epoch != 0 { // else nothing will be stored that others could wait for
		f.lease(ctx)
	}
	switch {
	case f.given:
		f.landed()
		f.cancel()
	case f.perform(ctx):
		f.landed()
	}
}

// recovered turns a panic, which here would end the edge and not just the
// request, into an answer.
func (f *fetch) recovered() {
	if fault := recover(); fault != nil {
		f.p.logger.Error("a fetch panicked", zap.Any("panic", fault), zap.Stack("stack"))
		f.cancel()
		if !f.given {
			f.give(answer{err: ErrBadAnswer})
		}
	}
}

// perform asks the app once, or twice where the first answer says that it must
// be asked differently, and reports whether something was stored.
func (f *fetch) perform(ctx context.Context) bool {
	f.begin()
	f.condition()
	origin := f.p.origin
	for {
		began := f.p.now()
		resp, err := origin.RoundTrip(f.req)
		if err != nil {
			f.failed(err)
			return false
		}
		decodePage(f.route, resp)
		r := policyResponse(resp, began, f.p.now())
		r.IfNoneMatch = f.req.Header.Get("If-None-Match")
		if f.plan.access == sessions.AccessPublic && f.p.sessions.DropSharedCSRF(resp) {
			f.sharedToken = true
		}
		if f.personal(resp) {
			resp.Body.Close()
			f.unstorable()
			f.asSelf()
			continue
		}
		if err := f.absorb(ctx, resp, r); err != nil {
			resp.Body.Close()
			f.cancel()
			f.give(answer{err: err})
			return false
		}
		switch {
		case r.Status == http.StatusNotModified && f.plan.validate:
			resp.Body.Close()
			if f.notModified(ctx, r) {
				return true
			}
			f.plain() // this 304 is about something else: ask for the whole
		case r.Status == http.StatusNotModified: // to the visitor's own condition
			f.passOn(resp, r)
			return false
		case r.Status == http.StatusRequestedRangeNotSatisfiable && f.completes:
			resp.Body.Close()
			f.whole()
		case cachepolicy.ErrorStatus(r.Status) && f.serveStale(cachepolicy.ServerError, r.Status, nil):
			resp.Body.Close()
			f.cancel()
			return false
		default:
			stored, err := f.answered(ctx, resp, r)
			if err == nil || f.given {
				return stored
			}
			if other := (*cutShort)(nil); errors.As(err, &other) {
				origin = other
				continue
			}
			if errors.Is(err, errIncomplete) {
				f.whole()
				continue
			}
			f.failed(err)
			return stored
		}
	}
}

// begin notes where the purge log stands as the app is asked, which may be long
// after the request came. What was found before that, and has been purged
// since, is neither validated nor served any more.
func (f *fetch) begin() {
	f.pos = f.p.since(f.pos, owner(f.route, &f.ask))
	if e := f.plan.found.entry; e != nil && f.p.log.Judge(e) == store.Dead {
		f.plan.found.entry, f.plan.found.reason = nil, cachepolicy.Purged
		f.plan.validate = f.plan.validate && f.plan.found.index != nil
		f.status.Fwd, f.status.Detail = fwdFor(f.plan), cachepolicy.Purged
	}
}

// since is the position of what the app is asked for now: where the log
// stands. The jar that goes up was read when the request came, at from: where
// its owner has been purged since then, that is where it stays, and the answer
// is dead.
func (p *Proxy) since(from store.Position, of *store.Owner) store.Position {
	now := p.log.Position()
	if of != nil && p.log.Judge(&store.Entry{Position: from, Owner: of}) != store.Alive {
		return from
	}
	return now
}

// absorb takes the answer's cookies into the visitor's jar. A fetch that
// nobody waits for may not change it: no Set-Cookie of ours could follow.
func (f *fetch) absorb(ctx context.Context, resp *http.Response, r *cachepolicy.Response) error {
	if f.plan.background && f.visitor.WouldChange(resp) {
		f.superseded(ctx)
		return errBackground
	}
	setsCookie := len(resp.Header["Set-Cookie"]) > 0
	hasForm := f.route.Rule.Scope == cachepolicy.PerUser && sessions.UsesCSRF(resp.Header) // for this device alone
	changed, err := f.visitor.Absorb(ctx, f.req, resp, f.control)
	r.CookieChange = changed || hasForm || setsCookie && f.route.Rule.Scope == cachepolicy.Public
	return err
}

// errBackground says that a background fetch met an answer for its visitor
// alone.
var errBackground = errors.New("proxy: a background answer would change the jar")

// personal reports that the cookie-less answer on a public route is not this
// visitor's: it sets a cookie while they have a jar (SESSIONS.md §8), or holds
// the CSRF token of those without a session. For a visitor without a jar it is
// theirs already; to one whose jar cannot be read no other can be given.
func (f *fetch) personal(resp *http.Response) bool {
	return f.plan.access == sessions.AccessPublic &&
		(len(resp.Header["Set-Cookie"]) > 0 && !f.visitor.Anonymous() && !f.visitor.Unresolved() || f.sharedToken && f.visitor.OwnsCSRF())
}

// asSelf makes the request go up again with the visitor's own jar.
func (f *fetch) asSelf() {
	if !f.sharedToken { // else others may well have it from the store
		f.p.refused.add(f.plan.found.primary, refusedPersonal, f.p.now())
	}
	f.sharedToken = false
	f.plan.access = sessions.AccessFull
	f.plain()
	f.whole()
	f.visitor.Prepare(f.req, sessions.AccessFull, nil)
}

// answered judges a whole answer, hands it to the visitor, and stores it if
// it may be stored. Its error is why the visitor has no answer yet.
func (f *fetch) answered(ctx context.Context, resp *http.Response, r *cachepolicy.Response) (bool, error) {
	stored, reason := f.storable(r)
	f.status.FwdStatus = 0
	if f.completes && r.Status == http.StatusPartialContent && !f.completed(stored) {
		resp.Body.Close()
		return false, errIncomplete
	}
	if stored == nil {
		if r.Status < 500 && f.plan.decision.Reason != cachepolicy.SessionRenewal && reason != cachepolicy.Authorization {
			f.superseded(ctx)
		}
		f.refuse(reason, r.Status)
		f.passOn(resp, r)
		return false, nil
	}
	if f.sharedToken {
		stored.Tags = append(slices.Clip(stored.Tags), formTag+f.p.sessions.SharedCSRF(f.ask.Host))
	}
	e := f.entry(stored)
	f.status.Stored = true
	f.status.TTL, f.status.HasTTL = stored.Lifetime.Fresh-stored.InitialAge, true
	fragments := f.route.Rule.ESI && mayHoldTags(resp.Header) // assembled once whole
	streams := (r.Length < 0 || r.Length > wholeFirst || stored.Withheld(r)) && stored.Part == nil && !fragments
	if streams {
		resp.Body = &cancelBody{ReadCloser: resp.Body, cancel: f.cancel}
	}
	c := newCapture(resp.Body, f.route.Rule.MaxObject, r.Length)
	if streams { // the visitor hears before it is stored what can be said now
		if why := f.p.unstored(e); why != cachepolicy.None {
			f.notKept(why)
		} else if f.plan.found.reason == cachepolicy.StoreDown {
			f.notKept(cachepolicy.StoreDown) // memory may have it yet
		}
		f.route.PresentLive(&f.ask, r)
		resp.Body = c.reader()
		f.give(answer{resp: resp})
		if f.alone {
			go func() {
				defer f.recovered()
				_, _ = f.collect(context.WithoutCancel(ctx), c, e)
			}()
			return false, nil
		}
	}
	kept, err := f.collect(ctx, c, e)
	if errors.Is(err, errTooLarge) { // and nobody has seen any of it yet
		f.status.Stored, f.status.HasTTL = false, false
		f.refuse(cachepolicy.TooLarge, r.Status)
		resp.Body = c.reader()
		f.passOn(resp, r)
		return false, nil
	}
	return kept, err
}
