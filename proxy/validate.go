package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

	"umbral/cachepolicy"
	"umbral/proxy/store"
)

// What becomes of a stored response that may not be used as it is: it is
// validated, or served although it is stale, or gone.

// condition puts the stored validators on the request, or asks for what a
// stored part lacks (RFC 9111 §3.4, §4.1, §4.3.1).
func (f *fetch) condition() {
	var stored *cachepolicy.Stored
	if e := f.plan.found.entry; e != nil {
		stored = e.Response
	}
	if f.plan.validate {
		f.req = f.req.Clone(f.req.Context())
		f.plan.validate = f.route.SetValidators(f.req.Header, stored, f.plan.found.variants())
		return
	}
	if stored == nil {
		return
	}
	if span, ifRange, ok := f.route.Missing(&f.ask, stored); ok {
		f.req = f.req.Clone(f.req.Context())
		f.req.Header["Range"], f.req.Header["If-Range"] = []string{span}, []string{ifRange}
		f.ask.Header = f.ask.Header.Clone()
		f.ask.Header["Range"] = []string{span}
		f.completes = true
	}
}

// errIncomplete says that what was to complete a stored part does not.
var errIncomplete = errors.New("proxy: the app's part does not complete what is stored")

// completed reports whether the part that the edge has asked for makes, with
// the stored one, the whole that the visitor has asked for.
func (f *fetch) completed(part *cachepolicy.Stored) bool {
	if part == nil {
		return false
	}
	if part.Whole().Part == nil {
		return true
	}
	all, ok := f.route.Combine(f.plan.found.entry.Response, part)
	return ok && all.Part == nil
}

// whole takes back the range of the edge's own, if there is one.
func (f *fetch) whole() {
	if !f.completes {
		return
	}
	f.completes = false
	f.req = f.req.Clone(f.req.Context())
	delete(f.req.Header, "Range")
	delete(f.req.Header, "If-Range")
	f.ask.Header = f.ask.Header.Clone()
	delete(f.ask.Header, "Range")
}

// plain takes the validators off the request.
func (f *fetch) plain() {
	f.plan.validate = false
	f.req = f.req.Clone(f.req.Context()) // the transport may still hold the header
	dropConditions(f.req.Header)
}

// notModified freshens what is stored with a 304 (RFC 9111 §4.3.4): the
// response that was found for the request, or else the variant that the 304
// names, which then answers this request too.
func (f *fetch) notModified(ctx context.Context, r *cachepolicy.Response) bool {
	e := f.plan.found.entry
	if e == nil {
		return f.adoptVariant(ctx, r)
	}
	fresh, ok := f.route.Freshen(&f.ask, e.Response, r)
	if !ok {
		return false
	}
	if fresh.Unkept == cachepolicy.None && fresh.NoVarySearch != e.Response.NoVarySearch {
		f.confirmed(f.move(ctx, e, fresh))
		return true
	}
	f.confirmed(f.p.renew(ctx, &f.plan.found, e, fresh, f.pos))
	return true
}

// move keeps what a validation has made of old where the requests are looked
// for that it answers now, and nowhere else; it says why it is not kept.
func (f *fetch) move(ctx context.Context, old *store.Entry, fresh *cachepolicy.Stored) (*store.Entry, cachepolicy.Reason) {
	e := f.entry(fresh)
	e.Body = old.Body
	why := f.p.place(ctx, f.route, &f.ask, &f.plan.found, e)
	if e.Key != old.Key {
		_ = f.p.store.Delete(ctx, old.Key)
	}
	return e, why
}

// adoptVariant answers a request that no stored variant matched from the one
// that the app's 304 selects, and stores it for requests of this kind.
func (f *fetch) adoptVariant(ctx context.Context, r *cachepolicy.Response) bool {
	for _, key := range f.plan.found.variants().Tagged(r.Header) {
		v, _ := f.p.store.Lookup(ctx, key)
		if v == nil || v.Response == nil || f.p.log.Judge(v) == store.Dead {
			continue
		}
		fresh, ok := f.route.Freshen(&f.ask, v.Response, r)
		if !ok {
			continue
		}
		e := f.entry(fresh)
		e.Body = v.Body
		why := fresh.Unkept
		if why == cachepolicy.None {
			why = f.p.place(ctx, f.route, &f.ask, &f.plan.found, e)
		}
		f.confirmed(e, why)
		return true
	}
	return false
}

// confirmed answers with e, which is not kept for the reason unkept. Whatever
// other variants there are stay as they are, with the same validator or not:
// RFC 9111 §4.3.4 updates only what could have been chosen for this request.
func (f *fetch) confirmed(e *store.Entry, unkept cachepolicy.Reason) {
	if unkept == cachepolicy.None || unkept == cachepolicy.Purged {
		f.landed() // before the visitor asks for more
	} else {
		f.ended() // for the others nothing has changed
	}
	f.status.FwdStatus = http.StatusNotModified
	f.status.Stored = unkept == cachepolicy.None
	f.give(answer{entry: e, news: true})
	f.cancel()
}

// superseded forgets the stored response that a new one, which is not stored,
// shows to be out of date (RFC 9111 §4.3.3).
func (f *fetch) superseded(ctx context.Context) {
	if e := f.plan.found.entry; e != nil {
		f.p.forget(ctx, &f.plan.found, e)
	}
}

// forget drops e, and where that is what was found, what is older than it.
func (p *Proxy) forget(ctx context.Context, f *found, e *store.Entry) {
	_ = p.store.Delete(ctx, e.Key)
	if e == f.entry && f.older != nil {
		_ = p.store.Delete(ctx, f.older.Key)
	}
}

// renew keeps what a validation has made of e, or forgets it where that may
// not be stored any more; it says why it has not been kept.
func (p *Proxy) renew(ctx context.Context, f *found, e *store.Entry, fresh *cachepolicy.Stored, pos store.Position) (*store.Entry, cachepolicy.Reason) {
	renewed := &store.Entry{
		Key: e.Key, Response: fresh, Body: e.Body, URL: e.URL, Owner: e.Owner,
		Position: pos, Keep: fresh.Keep(p.now()),
	}
	switch fresh.Unkept {
	case cachepolicy.None:
		why := p.put(ctx, renewed)
		p.prolong(ctx, f, renewed)
		return renewed, why
	case cachepolicy.Authorization: // one visitor's confirmation says nothing for the others
	default:
		p.forget(ctx, f, e)
	}
	return renewed, fresh.Unkept
}

// headAnswer lets the answer to a HEAD that was asked at pos freshen the stored
// GET, or end it (RFC 9111 §4.3.5).
func (p *Proxy) headAnswer(x *Exchange, r *cachepolicy.Response, pos store.Position) {
	e := x.plan.found.entry
	if e == nil || p.log.Judge(e) == store.Dead {
		return
	}
	ctx := context.WithoutCancel(x.R.Context())
	switch fresh, ok := x.Route.FreshenByHead(&x.Ask, e.Response, int64(len(e.Body)), r); {
	case !ok:
		p.forget(ctx, &x.plan.found, e)
	case fresh != e.Response: // else it keeps its place in the purge log, too
		p.renew(ctx, &x.plan.found, e, fresh, pos)
	}
}

// errNoStale says that the app is out of reach, and that what is stored may
// not be served without its word (RFC 9111 §5.2.2.2: a 504 is to say so).
var errNoStale = errors.New("proxy: what is stored must be validated, and the app cannot be asked")

// failed answers a fetch that brought no response at all.
func (f *fetch) failed(err error) {
	defer f.cancel()
	if f.held != nil && errors.Is(err, ErrOverloaded) {
		f.held.Yield() // the other edges may well have room
	}
	if f.serveStale(cachepolicy.Unreachable, 0, err) {
		return
	}
	f.give(answer{err: unvalidated(f.plan.found.entry, err)})
}

func unvalidated(e *store.Entry, err error) error {
	if e != nil && (e.Response.Lifetime.MustRevalidate || e.Response.Lifetime.NoCache) && errors.Is(err, ErrUnreachable) {
		return fmt.Errorf("%w: %w", errNoStale, err)
	}
	return err
}

// serveStale answers from what is stored although it is stale, if the rules
// allow it after such a failure: the app's own status, or err.
func (f *fetch) serveStale(why cachepolicy.Failure, status int, err error) bool {
	if !f.p.mayServeStale(f.route, &f.plan, why) {
		return false
	}
	noteStale(&f.status, status, err)
	f.give(answer{entry: f.plan.found.entry})
	return true
}

// mayServeStale: RFC 5861 §4, RFC 9111 §4.2.4; and a part is never the whole.
func (p *Proxy) mayServeStale(route *Route, pl *plan, why cachepolicy.Failure) bool {
	e := pl.found.entry
	return e != nil && pl.decision.Reason != cachepolicy.PartMismatch && route.StaleOnError(e.Response, why, p.now())
}

// noteStale says why, and nothing of the answer that there was going to be.
func noteStale(s *cachepolicy.Status, status int, err error) {
	*s = cachepolicy.Status{Fwd: s.Fwd, FwdStatus: status, Collapsed: s.Collapsed, Detail: cachepolicy.AppError}
	if err != nil {
		s.Detail = cmp.Or(RefusalFor(err).Reason, cachepolicy.AppUnreachable)
	}
}

// instead is what a request that goes to the app directly gets where that
// fails: what is stored, if that may be served, else err.
func (p *Proxy) instead(x *Exchange, why cachepolicy.Failure, status int, err error) error {
	e := x.plan.found.entry
	if !p.mayServeStale(x.Route, &x.plan, why) {
		return unvalidated(e, err)
	}
	noteStale(&x.Status, status, err)
	return settled{answer{entry: e, status: x.Status}}
}
