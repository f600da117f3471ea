package proxy

import (
	"context"
	"fmt"
	"net/http"

	"umbral/cachepolicy"
	"umbral/proxy/store"
	"umbral/sessions"
)

// direct asks the app for one visitor; nothing is stored, but cookies are
// taken in, and what an unsafe request makes invalid is purged before its
// answer goes back, so that who changes a page sees the change.
func (p *Proxy) direct(x *Exchange, out *http.Request) (*http.Response, error) {
	began, pos := p.now(), x.pos
	if out.Method == http.MethodHead {
		pos = p.since(pos, owner(x.Route, &x.Ask))
	}
	resp, err := p.origin.RoundTrip(out)
	if err != nil {
		return nil, p.instead(x, cachepolicy.Unreachable, 0, err)
	}
	decodePage(x.Route, resp)
	r := policyResponse(resp, began, p.now())
	x.rec.Upstream = r.ResponseTime.Sub(began)
	if x.plan.access == sessions.AccessPublic {
		p.sessions.DropSharedCSRF(resp) // as for the GET that it may freshen
	}
	setsCookie := len(resp.Header["Set-Cookie"]) > 0
	if x.plan.access == sessions.AccessPublic && !x.Visitor.Anonymous() {
		// What a HEAD without their jar was answered with is not theirs.
		delete(resp.Header, "Set-Cookie")
	}
	changed, err := x.Visitor.Absorb(context.WithoutCancel(out.Context()), out, resp, x.controlled())
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	r.CookieChange = changed || setsCookie && x.Route.Rule.Scope == cachepolicy.Public
	p.invalidate(context.WithoutCancel(out.Context()), x, r)
	if out.Method == http.MethodPost {
		if err := p.keepPost(x, resp, r); err != nil {
			return nil, err
		}
	}
	if out.Method == http.MethodHead {
		p.headAnswer(x, r, pos)
	}
	if cachepolicy.ErrorStatus(resp.StatusCode) {
		if stale := p.instead(x, cachepolicy.ServerError, resp.StatusCode, nil); stale != nil {
			resp.Body.Close()
			return nil, stale
		}
	}
	x.Status.FwdStatus = resp.StatusCode
	x.Route.PresentLive(&x.Ask, r)
	if out.Method == http.MethodHead {
		untagged(x.Route, resp)
		return resp, nil
	}
	switch e, err := tagged(x.Route, resp, r); {
	case err != nil:
		return nil, err
	case e != nil:
		return nil, settled{answer{entry: e, news: true}}
	}
	return resp, nil
}

// keepPost stores the answer to a POST that is the representation of its own
// address (RFC 9110 §9.3.3), for later GETs: where it is everybody's.
func (p *Proxy) keepPost(x *Exchange, resp *http.Response, r *cachepolicy.Response) error {
	if x.Ambiguous || x.Route.Rule.Scope != cachepolicy.Public || r.Length < 0 || r.Length > wholeFirst || len(resp.Header["Content-Location"]) == 0 {
		return nil
	}
	ask := x.Ask
	ask.Cookie = x.Visitor.CookieLine(ask.Path, nil)
	s, reason := x.Route.Storable(&ask, r)
	if reason != cachepolicy.None {
		return nil
	}
	body, err := newCapture(resp.Body, wholeFirst, r.Length).fill()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadAnswer, err)
	}
	resp.Body = wholeBody(body)
	key := x.Route.Key(&ask)
	// What the request made invalid is purged, and what it brings is newer than
	// that record, but not than any other.
	pos := p.log.Position()
	if pos.Epoch != x.pos.Epoch || pos.Number > x.pos.Number+1 {
		return nil
	}
	e := &store.Entry{Key: key, Response: s, Body: body, URL: x.Route.URL(&ask), Position: pos, Keep: s.Keep(p.now())}
	madeTag(s, body)
	x.Status.Stored = p.place(context.WithoutCancel(x.R.Context()), x.Route, &ask, &found{primary: key, key: key}, e) == cachepolicy.None
	return nil
}

// controlled says whether the app's session control is obeyed here.
func (x *Exchange) controlled() bool { return x.Route.Rule.Control && !x.Ambiguous }
