package proxy

import (
	"context"
	"net/http"
	"time"

	"umbral/cachepolicy"
	"umbral/proxy/store"
	"umbral/sessions"
)

// mode is how a request goes up to the app.
type mode uint8

const (
	// pass: as it came; nothing is stored.
	pass mode = iota
	// solo: judged and perhaps stored, but nobody waits for it.
	solo
	// lead: like solo, with followers on this edge and on others.
	lead
)

// plan is what a request that goes up is for.
type plan struct {
	mode     mode
	access   sessions.Access
	found    found
	decision cachepolicy.Decision
	flight   *flight
	// validate: the validators of the stored response, or where none matches
	// of its variants, go up instead of the visitor's conditions.
	validate bool
	// asAsked: the visitor's own conditions go up, since as far as is known
	// nothing will be stored.
	asAsked bool
	// background: nobody is answered, so nothing may be said to a visitor.
	background bool
}

// maxLooks bounds how often a follower looks again before it asks alone.
const maxLooks = 3

// cached is the decision list of a request: look up, judge, then serve or
// forward. recall is its short form for hits in memory.
func (p *Proxy) cached(w http.ResponseWriter, x *Exchange) {
	if reason := p.bypass(x); reason != cachepolicy.None {
		p.pass(w, x, reason)
		return
	}
	bound, done := context.WithDeadline(x.R.Context(), x.redisBy)
	p.awaitLog(bound, x)
	err := p.identify(bound, x)
	done()
	if err != nil {
		p.fail(w, x, err)
		return
	}
	primary, refused, reason := p.recognise(x)
	if reason != cachepolicy.None {
		p.pass(w, x, reason)
		return
	}
	var l looked
	for range maxLooks {
		mark := p.flights.mark(primary)
		if l = p.look(x.R.Context(), x, primary, refused); p.settle(w, x, l) {
			return
		}
		if refused != refusedNot {
			break // nobody waits for what cannot be stored
		}
		fl, leader, again := p.flights.join(primary, l.key, mark)
		if leader && again && l.d.Reason != cachepolicy.SessionRenewal {
			// Others join meanwhile, and are not sent off to look in vain.
			key := l.key
			if l = p.look(x.R.Context(), x, primary, refused); l.key != key || l.settles() {
				fl.end(landed)
				if p.settle(w, x, l) {
					return
				}
				continue
			}
		}
		if leader {
			p.forward(w, x, plan{mode: lead, found: l.found, decision: l.d, flight: fl})
			return
		}
		x.Status.Collapsed = true
		how, err := fl.wait(x.R.Context(), x.Start.Add(p.deadline).Sub(p.now()))
		if err != nil {
			p.fail(w, x, err)
			return
		}
		if how != landed {
			break
		}
		x.redisBy = p.now().Add(x.redisLeft) // others have been waited for, not Redis
	}
	p.forward(w, x, plan{mode: solo, found: l.found, decision: l.d, asAsked: refused != refusedNot && l.entry == nil})
}

// recognise gives the request's key, and what is remembered of it; or says why
// it is not looked up once it is known who asks.
func (p *Proxy) recognise(x *Exchange) (primary cachepolicy.Key, refused refusal, why cachepolicy.Reason) {
	primary = x.Route.Key(&x.Ask)
	refused = p.refused.get(primary, x.Start)
	switch {
	case x.Visitor.Bypass():
		why = cachepolicy.FlashCookie
	case refused == refusedPersonal && !x.Visitor.Anonymous() && !x.Visitor.Unresolved():
		why = cachepolicy.HitForMiss
	}
	return primary, refused, why
}

// looked is what a look at the store has come to.
type looked struct {
	found
	d   cachepolicy.Decision
	fit fitness
}

// settles reports that nobody need be asked, or not on behalf of the store.
func (l *looked) settles() bool {
	switch l.d.Verdict {
	case cachepolicy.Serve, cachepolicy.ServeStale, cachepolicy.GatewayTimeout:
		return true
	}
	return l.fit == others
}

// look finds and judges what the store holds for x. What is asked for each time
// must not cost a look at Redis each time: then memory will do.
func (p *Proxy) look(ctx context.Context, x *Exchange, primary cachepolicy.Key, refused refusal) (l looked) {
	in := far
	if refused != refusedNot {
		in = near
	}
	ctx, done := context.WithDeadline(ctx, x.redisBy)
	l.found = p.find(ctx, x.Route, &x.Ask, primary, in)
	done()
	now := p.now()
	x.redisLeft = x.redisBy.Sub(now)
	if l.entry == nil && l.reason == cachepolicy.StoreDown {
		// Nothing could be stored either, so that followers would wait
		// for nothing unless memory takes the answer: collapse as ever.
		x.Status.Detail = cachepolicy.StoreDown
	}
	if l.entry != nil {
		switch l.fit = p.form(x.Visitor, x.Ask.Host, l.entry); l.fit {
		case others:
			return l
		case outdated:
			l.entry, l.reason = nil, cachepolicy.NotStored
		}
	}
	if refused != refusedNot && l.entry == nil {
		l.reason = cachepolicy.HitForMiss
	}
	l.d = p.judge(x, l.found, now)
	return l
}

// settle answers with what was found, or by the visitor's own way to the app
// where that is somebody else's form, and reports whether it did.
func (p *Proxy) settle(w http.ResponseWriter, x *Exchange, l looked) bool {
	if l.fit == others {
		p.pass(w, x, cachepolicy.SetsCookie)
		return true
	}
	return p.settleFromStore(w, x, l.found, l.d)
}

// bypass says why a request is not looked up at all.
func (p *Proxy) bypass(x *Exchange) cachepolicy.Reason {
	switch {
	case x.Upgrade:
		return cachepolicy.UpgradeRequest
	case x.Ambiguous:
		return cachepolicy.AmbiguousPath
	case x.Route.Rule.Off:
		return cachepolicy.RouteOff
	case x.R.Method != http.MethodGet && x.R.Method != http.MethodHead:
		return cachepolicy.UncacheableMethod
	case x.R.ContentLength != 0:
		return cachepolicy.BodyOnGet
	}
	return x.Route.Bypass(&x.Ask)
}

// awaitLog gives a purge log that is about to be read for the first time the
// chance to be: without it nothing can be found, and nothing be stored.
func (p *Proxy) awaitLog(ctx context.Context, x *Exchange) {
	if x.pos.Epoch != 0 || p.begun == nil {
		return
	}
	select {
	case <-p.begun:
	case <-ctx.Done():
	}
	x.pos = p.log.Position()
}

// identify fills in who asks, as far as the route's scope wants to know. On a
// public route the app is asked without cookies and identity, so that a
// session that cannot be read is no obstacle (CACHING.md §7).
func (p *Proxy) identify(ctx context.Context, x *Exchange) error {
	v, rule, ask := x.Visitor, &x.Route.Rule, &x.Ask
	err := v.Resolve(ctx)
	public := rule.Listed() && rule.Scope == cachepolicy.Public
	if len(rule.VaryCookies) > 0 && (public || err == nil) {
		ask.VaryCookies = v.CookieValues(ask.Path, rule.VaryCookies)
		if public {
			ask.Cookie = v.CookieLine(ask.Path, rule.VaryCookies)
		}
	}
	if public {
		return nil
	}
	if err != nil {
		return err
	}
	ask.Identity = v.Identity()
	if !rule.Listed() {
		ask.Cookie = v.CookieLine(ask.Path, nil)
	}
	return nil
}

// judge is the policy's decision on what was found.
func (p *Proxy) judge(x *Exchange, f found, now time.Time) cachepolicy.Decision {
	if f.entry == nil {
		d := x.Route.Reuse(&x.Ask, cachepolicy.Candidate{}, now)
		if d.Verdict == cachepolicy.Forward {
			d.Reason = f.reason
		}
		return d
	}
	d := x.Route.Reuse(&x.Ask, p.candidate(f, now), now)
	if d.Verdict == cachepolicy.Validate && f.entry.Response.ResponseTime >= cachepolicy.InstantOf(x.Start) && f.entry.Response.Lifetime.NoCache && !f.soft {
		// Validated after this request arrived: by a flight that it waited for.
		d.Verdict = cachepolicy.Serve
	}
	if d.Verdict == cachepolicy.Serve && x.Route.Rule.Scope != cachepolicy.Public && x.Visitor.Due(now) {
		renewal := cachepolicy.Pass(&x.Ask, cachepolicy.SessionRenewal)
		if renewal.Verdict == cachepolicy.Forward && x.Visitor.NeedsApp(now) {
			renewal.Age, renewal.TTL = d.Age, d.TTL
			d = renewal
		}
	}
	return d
}

// candidate is what was found, with the purge log's word on it.
func (p *Proxy) candidate(f found, now time.Time) cachepolicy.Candidate {
	return cachepolicy.Candidate{Stored: f.entry.Response, SoftPurged: f.soft, LogLost: p.log.Lost(now)}
}

// settleFromStore answers without the app where the decision allows.
func (p *Proxy) settleFromStore(w http.ResponseWriter, x *Exchange, f found, d cachepolicy.Decision) bool {
	switch d.Verdict {
	case cachepolicy.Serve, cachepolicy.ServeStale:
		x.Status.Hit = true
		x.Tier = store.TierMemory
		if f.entry.Hits.Add(1) == 1 && f.entry.FromRedis {
			x.Tier = store.TierRedis
		}
		x.Status.TTL, x.Status.HasTTL = d.TTL, true
		x.Status.Detail = d.Reason
		if d.Refresh && (d.Verdict == cachepolicy.ServeStale || f.entry.Hits.Load() >= popular) {
			p.refresh(x, f, d)
		}
		x.Visitor.Used(x.Start)
		p.respond(w, x, f.entry, d.Age)
		return true
	case cachepolicy.GatewayTimeout:
		x.Status.Detail = cachepolicy.RequestOnlyIfCached
		p.fail(w, x, errOnlyIfCached)
		return true
	}
	return false
}

// popular is how many hits a copy needs before refresh_ahead fetches it again.
const popular = 2

// pass forwards a request whose answer is nobody else's.
func (p *Proxy) pass(w http.ResponseWriter, x *Exchange, why cachepolicy.Reason) {
	if cachepolicy.Pass(&x.Ask, why).Verdict == cachepolicy.GatewayTimeout {
		p.fail(w, x, errOnlyIfCached)
		return
	}
	x.Status.Fwd, x.Status.Detail = fwdOfBypass(why), why
	ctx, cancel := context.WithDeadline(x.R.Context(), x.redisBy)
	err := x.Visitor.Resolve(ctx)
	cancel()
	x.redisLeft = x.redisBy.Sub(p.now())
	if err != nil {
		p.fail(w, x, err)
		return
	}
	x.Ask.Identity = x.Visitor.Identity()
	x.Visitor = x.Visitor.Own(x.R.Context(), x.Client)
	x.plan = plan{mode: pass, access: sessions.AccessFull}
	p.askApp(w, x)
}

// fwdOfBypass is RFC 9211 §2.2's reason to go forward without a look.
func fwdOfBypass(why cachepolicy.Reason) cachepolicy.Fwd {
	if why == cachepolicy.UncacheableMethod {
		return cachepolicy.FwdMethod
	}
	return cachepolicy.FwdBypass
}

// forward asks the app on behalf of the store: the answer is judged even where
// nobody waits for it, so that a page that has become cacheable is noticed.
func (p *Proxy) forward(w http.ResponseWriter, x *Exchange, pl plan) {
	if x.Route.Rule.Listed() && x.Route.Rule.Scope == cachepolicy.Public {
		pl.access = sessions.AccessPublic
	} else {
		pl.access = sessions.AccessFull
	}
	x.Status.Fwd, x.Status.Detail = fwdFor(pl), pl.decision.Reason
	pl.validate = pl.decision.Verdict == cachepolicy.Validate || pl.found.entry == nil && pl.found.index != nil && !pl.asAsked
	if x.R.Method == http.MethodHead {
		// RFC 9111 §4.3.5: the answer may freshen what is stored, never be it.
		pl.mode, pl.validate, pl.asAsked = solo, false, pl.found.entry == nil
		if pl.flight != nil {
			pl.flight.end(scattered)
		}
	}
	x.Visitor = x.Visitor.Own(x.R.Context(), x.Client)
	x.plan = pl
	p.askApp(w, x)
}

// fwdFor is RFC 9211 §2.2's reason to go forward.
func fwdFor(pl plan) cachepolicy.Fwd {
	switch {
	case pl.decision.Reason == cachepolicy.RequestNoCache, pl.decision.Reason == cachepolicy.RequestMaxAge:
		return cachepolicy.FwdRequest
	case pl.decision.Reason == cachepolicy.PartMismatch:
		return cachepolicy.FwdPartial
	case pl.found.entry != nil:
		return cachepolicy.FwdStale
	case pl.found.reason == cachepolicy.VaryMismatch:
		return cachepolicy.FwdVaryMiss
	case pl.found.reason == cachepolicy.HitForMiss:
		return cachepolicy.FwdBypass
	default:
		return cachepolicy.FwdURIMiss
	}
}
