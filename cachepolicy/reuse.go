package cachepolicy

import (
	"net/http"
	"time"
)

// Bypass says why r is not looked up at all, None if it is. FlashCookie and
// HitForMiss are for others to find out.
func (p *Policy) Bypass(r *Request) Reason {
	switch {
	case p.Rule.Off:
		return RouteOff
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return UncacheableMethod
	case r.Body:
		return BodyOnGet
	case r.Header["Upgrade"] != nil:
		return UpgradeRequest
	case PathAmbiguous(r.Path):
		return AmbiguousPath
	case p.nobody(r):
		return NoIdentity
	case r.Trusted && requestControl(r.Header).noStore:
		return RequestNoStore
	}
	return None
}

// Pass decides what becomes of r where it is not answered from what is stored,
// because of why: Forward, or GatewayTimeout for only-if-cached, which is
// anybody's to ask (RFC 9111 §5.2.1.7). What is unsafe must be written through
// whatever it asks (§4).
func Pass(r *Request, why Reason) Decision {
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && requestControl(r.Header).onlyIfCached {
		return Decision{Verdict: GatewayTimeout, Reason: RequestOnlyIfCached}
	}
	return Decision{Reason: why}
}

// Reuse decides what becomes of r (RFC 9111 §4). A Candidate without a
// Stored is a miss: Forward, or GatewayTimeout for only-if-cached. It has
// already been found by its key; Vary is checked again.
//
// The request's own directives count only where it is Trusted, but for
// only-if-cached, which can do no harm.
func (p *Policy) Reuse(r *Request, c Candidate, now time.Time) Decision {
	var ask requestDirectives
	if len(r.Header["Cache-Control"]) > 0 {
		ask = requestControl(r.Header)
		if !r.Trusted {
			ask = requestDirectives{onlyIfCached: ask.onlyIfCached}
		}
	}
	d := p.verdict(r, c, &ask, now)
	if ask.onlyIfCached && (d.Verdict == Forward || d.Verdict == Validate) {
		d.Verdict, d.Reason = GatewayTimeout, RequestOnlyIfCached
	}
	return d
}

func (p *Policy) verdict(r *Request, c Candidate, ask *requestDirectives, now time.Time) Decision {
	s := c.Stored
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return Decision{Reason: UncacheableMethod}
	case s == nil:
		return Decision{Reason: NotStored}
	case s.Unkept != None:
		return Decision{Reason: s.Unkept}
	case !p.Matches(r, s):
		return Decision{Reason: VaryMismatch}
	}
	l := &s.Lifetime
	age := s.age(now)
	d := Decision{Age: age, TTL: l.Fresh - age}
	if !s.answers(r) {
		d.Reason = PartMismatch
		return d
	}
	if c.SoftPurged {
		d.TTL = min(d.TTL, 0)
	}
	if reason := mustValidate(s, c, ask, d); reason != None {
		d.Verdict, d.Reason = s.validation(), reason
		return d
	}
	if d.TTL > 0 {
		d.Verdict = Serve
		life := l.Fresh - s.InitialAge
		d.Refresh = p.Rule.RefreshAhead > 0 && float64(d.TTL) < p.Rule.RefreshAhead*float64(life)
		return d
	}
	d.Reason = Stale
	if c.SoftPurged {
		d.Reason = SoftPurged
	}
	switch {
	case l.MustRevalidate:
	case l.StaleWhileRevalidate > 0 && age < l.Fresh+l.StaleWhileRevalidate && !ask.maxAge.set && !ask.minFresh.set:
		d.Verdict, d.Refresh = ServeStale, true
		return d
	case ask.staleEnough(-d.TTL) && !c.SoftPurged:
		d.Verdict, d.Reason = ServeStale, RequestMaxAge
		return d
	}
	d.Verdict = s.validation()
	return d
}

// mustValidate names what stands against use without validation, fresh or
// not.
func mustValidate(s *Stored, c Candidate, ask *requestDirectives, d Decision) Reason {
	// A client's reload of what does not change asks for nothing; only
	// no-cache does (RFC 8246 §2).
	reload := ask.maxAge.set && ask.maxAge.d == 0 && s.Lifetime.Immutable && d.TTL > 0
	switch {
	case s.Lifetime.NoCache:
		return MustValidate
	case c.LogLost:
		return LogLost
	case ask.noCache:
		return RequestNoCache
	case ask.maxAge.set && d.Age > ask.maxAge.d && !reload, ask.minFresh.set && d.TTL < ask.minFresh.d:
		if ask.staleEnough(-d.TTL) && !s.Lifetime.MustRevalidate && !ask.minFresh.set && d.TTL <= 0 {
			return None // max-stale widens max-age (RFC 9111 §5.2.1.1)
		}
		return RequestMaxAge
	}
	return None
}

// staleEnough: max-stale (RFC 9111 §5.2.1.2) takes a response that has been
// stale for that long.
func (d *requestDirectives) staleEnough(stale time.Duration) bool {
	return d.anyStale || d.maxStale.set && stale <= d.maxStale.d
}

// validation is Validate where there is something to validate with.
func (s *Stored) validation() Verdict {
	if s.validators() {
		return Validate
	}
	return Forward
}

// StaleOnError reports whether s may be served although the app failed
// (RFC 5861 §4, RFC 9111 §4.2.4): within stale-if-error for a server error,
// also within StaleIfUnreachable where there was no answer; never where
// stale use is prohibited.
func (p *Policy) StaleOnError(s *Stored, f Failure, now time.Time) bool {
	if s == nil || s.Unkept != None || s.Lifetime.NoCache || s.Lifetime.MustRevalidate {
		return false
	}
	window := s.Lifetime.StaleIfError
	if f == Unreachable {
		window = max(window, s.Lifetime.StaleIfUnreachable)
	}
	return s.age(now) < s.Lifetime.Fresh+window
}
