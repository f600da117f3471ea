package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

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
	go f.run()
	select {
	case a := <-f.ready:
		x.Status = a.status
		switch {
		case a.entry != nil:
			return nil, settled{a}
		case a.err != nil:
			return nil, a.err
		}
		return a.resp, nil
	case <-out.Context().Done():
		f.abandon()
		return nil, out.Context().Err()
	}
}

// direct asks the app for one visitor; nothing is stored, but cookies are
// taken in, and what an unsafe request makes invalid is purged before its
// answer goes back, so that who changes a page sees the change.
func (p *Proxy) direct(x *Exchange, out *http.Request) (*http.Response, error) {
	began := p.now()
	resp, err := p.origin.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	r := policyResponse(resp, began, p.now())
	control := x.controlled()
	if _, err := x.Visitor.Absorb(context.WithoutCancel(out.Context()), out, resp, control); err != nil {
		resp.Body.Close()
		return nil, err
	}
	if err := p.invalidate(context.WithoutCancel(out.Context()), x, r); err != nil {
		p.stateLog.Warn("purge after an unsafe request failed", err)
	}
	if out.Method == http.MethodHead {
		p.headAnswer(x, r)
	}
	x.Status.FwdStatus = resp.StatusCode
	x.Route.PresentLive(&x.Ask, r)
	return resp, nil
}

// controlled says whether the app's session control is obeyed here.
func (x *Exchange) controlled() bool { return x.Route.Rule.Control && !x.Ambiguous }

// headAnswer lets a HEAD's answer freshen the stored GET, or end it (RFC 9111
// §4.3.5).
func (p *Proxy) headAnswer(x *Exchange, r *cachepolicy.Response) {
	e := x.plan.found.entry
	if e == nil {
		return
	}
	ctx := context.WithoutCancel(x.R.Context())
	fresh, ok := x.Route.FreshenByHead(e.Response, r)
	if !ok {
		_ = p.store.Delete(ctx, e.Key)
		return
	}
	p.put(ctx, e.Freshened(fresh, x.pos))
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

	req    *http.Request
	cancel context.CancelFunc
	ready  chan answer // one answer, buffered
	given  bool
}

// newFetch takes over what the fetch needs of the exchange, which the visitor
// may leave at any time.
func (p *Proxy) newFetch(x *Exchange, out *http.Request) *fetch {
	ctx, cancel := context.WithCancel(context.WithoutCancel(out.Context()))
	return &fetch{
		p: p, route: x.Route, ask: x.Ask, visitor: x.Visitor, plan: x.plan,
		control: x.controlled(), pos: x.pos, status: x.Status,
		req: out.WithContext(ctx), cancel: cancel, ready: make(chan answer, 1),
	}
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
	f.ready <- a
}

// end lets followers go, here and on other edges.
func (f *fetch) end(how outcome) {
	if f.plan.flight != nil {
		f.plan.flight.end(how)
	}
}

func (f *fetch) run() {
	defer f.end(scattered)
	ctx := f.req.Context()
	release := f.lease(ctx)
	if f.given {
		f.end(landed)
		f.cancel()
		return
	}
	stored := f.perform(ctx)
	release(stored)
	if stored {
		f.end(landed)
	}
}

// lease makes this fetch the only one among all edges. Where another edge has
// it, it waits for that edge's word, looks again, and answers from what it
// finds, if that will do. It returns how to give the lease back.
func (f *fetch) lease(ctx context.Context) (release func(stored bool)) {
	none := func(bool) {}
	if f.plan.mode != lead {
		return none
	}
	l, err := f.p.leases.Acquire(ctx, f.plan.found.key, f.p.deadline)
	if err != nil {
		return none
	}
	if l.Held() {
		return func(stored bool) { go l.Release(stored) }
	}
	if !l.Wait(ctx, f.p.deadline) {
		return none
	}
	found := f.p.find(ctx, f.route, &f.ask, f.plan.found.primary)
	if found.entry == nil {
		return none
	}
	now := f.p.now()
	d := f.route.Reuse(&f.ask, cachepolicy.Candidate{Stored: found.entry.Response, SoftPurged: found.soft, LogLost: f.p.log.Lost(now)}, now)
	if d.Verdict == cachepolicy.Serve {
		f.status.Collapsed = true
		f.give(answer{entry: found.entry})
	}
	return none
}

// perform asks the app once, or twice where the first answer says that it must
// be asked differently, and reports whether something was stored.
func (f *fetch) perform(ctx context.Context) bool {
	if f.plan.validate {
		f.route.SetValidators(f.req.Header, f.plan.found.entry.Response, nil)
	}
	for {
		began := f.p.now()
		resp, err := f.p.origin.RoundTrip(f.req)
		if err != nil {
			f.failed(err)
			return false
		}
		r := policyResponse(resp, began, f.p.now())
		if r.Status == http.StatusNotModified && f.plan.validate {
			resp.Body.Close()
			if f.notModified(ctx, r) {
				return true
			}
			f.plain() // this 304 is about something else: ask for the whole
			continue
		}
		if r.Status >= 500 && f.serveStale(cachepolicy.ServerError, r.Status) {
			resp.Body.Close()
			return false
		}
		if f.personal(resp) {
			resp.Body.Close()
			f.end(scattered)
			f.asSelf()
			continue
		}
		return f.answered(ctx, resp, r)
	}
}

// plain takes the validators off the request.
func (f *fetch) plain() {
	f.plan.validate = false
	dropConditions(f.req.Header)
}

// failed answers a fetch that brought no response at all.
func (f *fetch) failed(err error) {
	defer f.cancel()
	if f.serveStale(cachepolicy.Unreachable, 0) {
		return
	}
	f.give(answer{err: err})
}

// serveStale answers from what is stored although it is stale, if the rules
// allow it after such a failure (RFC 5861 §4, RFC 9111 §4.2.4).
func (f *fetch) serveStale(why cachepolicy.Failure, status int) bool {
	e := f.plan.found.entry
	if e == nil || f.plan.found.soft && f.p.log.Lost(f.p.now()) || !f.route.StaleOnError(e.Response, why, f.p.now()) {
		return false
	}
	f.status.FwdStatus = status
	f.status.Detail = cachepolicy.AppUnreachable
	if why == cachepolicy.ServerError {
		f.status.Detail = cachepolicy.AppError
	}
	f.give(answer{entry: e})
	return true
}

// notModified freshens what is stored with a 304 (RFC 9111 §4.3.4).
func (f *fetch) notModified(ctx context.Context, r *cachepolicy.Response) bool {
	e := f.plan.found.entry
	fresh, ok := f.route.Freshen(&f.ask, e.Response, r)
	if !ok {
		return false
	}
	renewed := e.Freshened(fresh, f.pos)
	renewed.Keep = fresh.Keep()
	f.p.put(ctx, renewed)
	f.status.FwdStatus = http.StatusNotModified
	f.status.Stored = true
	f.give(answer{entry: renewed})
	f.cancel()
	return true
}

// personal reports that the cookie-less answer on a public route sets a cookie
// while the visitor has a jar: the page turns out to be the visitor's own
// (SESSIONS.md §8). For a visitor without a jar the answer is theirs already.
func (f *fetch) personal(resp *http.Response) bool {
	return f.plan.access == sessions.AccessPublic && len(resp.Header["Set-Cookie"]) > 0 && !f.visitor.Anonymous()
}

// asSelf makes the request go up again with the visitor's own jar.
func (f *fetch) asSelf() {
	f.p.refused.add(f.plan.found.primary, refusedPersonal, f.p.now())
	f.plan.access = sessions.AccessFull
	f.plain()
	f.visitor.Prepare(f.req, sessions.AccessFull, nil)
}

// answered judges a whole answer, hands it to the visitor, and stores it if
// it may be stored.
func (f *fetch) answered(ctx context.Context, resp *http.Response, r *cachepolicy.Response) bool {
	setsCookie := len(resp.Header["Set-Cookie"]) > 0
	changed, err := f.visitor.Absorb(ctx, f.req, resp, f.control)
	if err != nil {
		resp.Body.Close()
		f.cancel()
		f.give(answer{err: err})
		return false
	}
	r.CookieChange = changed || setsCookie && f.ask.Identity.Auth == cachepolicy.Anonymous && f.route.Rule.Scope == cachepolicy.Public
	stored, reason := f.storable(r)
	f.status.FwdStatus = 0
	if stored == nil {
		f.refuse(reason, r.Status)
		f.passOn(resp, r)
		return false
	}
	e := f.entry(stored)
	c := newCapture(&cancelBody{ReadCloser: resp.Body, cancel: f.cancel}, f.route.Rule.MaxObject, r.Length)
	f.status.Stored = true
	f.status.TTL, f.status.HasTTL = stored.Lifetime.Fresh-stored.InitialAge, true
	if streams := r.Length < 0 || r.Length > wholeFirst; streams {
		f.route.PresentLive(&f.ask, r)
		resp.Body = c.reader()
		f.give(answer{resp: resp})
	}
	body, err := c.fill()
	if errors.Is(err, errTooLarge) && f.given {
		f.p.refused.add(f.plan.found.primary, refusedStore, f.p.now())
		return false // the visitor drains the rest
	}
	if err != nil {
		if !f.given {
			f.failed(err)
		}
		return false
	}
	e.Body = body
	f.p.putVariant(ctx, f.route, &f.ask, f.plan.found, e)
	if !f.given {
		f.give(answer{entry: e})
	}
	return true
}

// storable asks the policy, and knows what only the fetch knows.
func (f *fetch) storable(r *cachepolicy.Response) (*cachepolicy.Stored, cachepolicy.Reason) {
	if f.route.Rule.Scope == cachepolicy.Public && f.route.Rule.Listed() && f.plan.access == sessions.AccessFull {
		return nil, cachepolicy.SetsCookie
	}
	if r.Length > f.route.Rule.MaxObject {
		return nil, cachepolicy.TooLarge
	}
	return f.route.Storable(&f.ask, r)
}

// refuse lets the followers go and remembers that waiting is of no use here.
func (f *fetch) refuse(reason cachepolicy.Reason, status int) {
	f.end(scattered)
	f.status.Detail = reason
	if status >= 500 || f.plan.mode == pass {
		return // the app's bad moment says nothing of the page
	}
	if f.p.refused.get(f.plan.found.primary, f.p.now()) == refusedNot {
		f.p.refused.add(f.plan.found.primary, refusedStore, f.p.now())
	}
}

// passOn gives an answer that is not stored to its visitor; the app's
// connection ends with them.
func (f *fetch) passOn(resp *http.Response, r *cachepolicy.Response) {
	f.route.PresentLive(&f.ask, r)
	resp.Body = &cancelBody{ReadCloser: resp.Body, cancel: f.cancel}
	f.give(answer{resp: resp})
}

// entry is the stored response as the store keeps it, still without a body.
func (f *fetch) entry(s *cachepolicy.Stored) *store.Entry {
	e := &store.Entry{
		Key:      f.plan.found.primary,
		Response: s,
		URL:      f.route.URL(&f.ask),
		Position: f.pos,
		Keep:     s.Keep(),
	}
	if s.Scope != cachepolicy.Public {
		e.Session, e.User = f.ask.Identity.Session, f.ask.Identity.User
	}
	return e
}

// put keeps e; that the store is out of reach is no concern of the visitor's.
func (p *Proxy) put(ctx context.Context, e *store.Entry) { _ = p.store.Put(ctx, e) }

// putVariant keeps e under the key of its variant, with the index that leads
// to it, or under its own where it does not vary.
func (p *Proxy) putVariant(ctx context.Context, route *Route, ask *cachepolicy.Request, f found, e *store.Entry) {
	s := e.Response
	primary := f.primary
	if s.NoVarySearch != "" {
		route.noVarySearch.Store(true)
		primary = route.SearchKey(ask, s.NoVarySearch)
		p.put(ctx, indexOf(route.PathKey(ask), (*cachepolicy.Index)(nil).Add(s), e))
		e.Key = primary
	}
	if len(s.VaryFields) > 0 {
		e.Key = route.VariantKey(primary, ask, s.VaryFields)
		p.put(ctx, indexOf(primary, f.index.Add(s), e))
	}
	p.put(ctx, e)
}

// indexOf is the entry of an index that lives and dies with e.
func indexOf(key cachepolicy.Key, ix *cachepolicy.Index, e *store.Entry) *store.Entry {
	return &store.Entry{Key: key, Index: ix, URL: e.URL, Session: e.Session, User: e.User, Position: e.Position, Keep: e.Keep}
}

// policyResponse is the app's answer as the policy sees it.
func policyResponse(resp *http.Response, began, arrived time.Time) *cachepolicy.Response {
	return &cachepolicy.Response{
		Status: resp.StatusCode, Header: resp.Header, Length: resp.ContentLength,
		RequestTime: began, ResponseTime: arrived,
	}
}

// cancelBody ends the request's context with its body.
type cancelBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *cancelBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel()
	return err
}
