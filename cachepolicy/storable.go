package cachepolicy

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Storable decides whether the response to r may be stored (RFC 9111 §3) and
// how it may then be used, or names why not. It holds both or neither; the
// response is not changed.
//
// HEAD responses are not stored: see [Policy.FreshenByHead]. Where the
// result has a Part, the body must turn out to be of Part's length.
func (p *Policy) Storable(r *Request, resp *Response) (*Stored, Reason) {
	if reason := p.storableRequest(r, resp); reason != None {
		return nil, reason
	}
	part, reason := storablePart(r, resp)
	if reason != None {
		return nil, reason
	}
	if p.tooLarge(resp.Length) || part != nil && p.tooLarge(part.Len()) {
		return nil, TooLarge
	}
	s, reason := p.judge(r, resp)
	if reason != None {
		return nil, reason
	}
	s.Part = part
	return s, None
}

// tooLarge reports whether so many bytes are more than the rule lets one
// stored response have.
func (p *Policy) tooLarge(size int64) bool { return p.Rule.MaxObject > 0 && size > p.Rule.MaxObject }

// storableRequest looks at what went up.
func (p *Policy) storableRequest(r *Request, resp *Response) Reason {
	switch {
	case p.Rule.Off:
		return RouteOff
	case PathAmbiguous(r.Path):
		return AmbiguousPath
	case p.nobody(r):
		return NoIdentity
	case r.Method == http.MethodPost:
		if !p.postStorable(r, resp) {
			return UncacheableMethod
		}
	case r.Method != http.MethodGet:
		return UncacheableMethod
	case r.Body:
		return BodyOnGet
	case r.Header["Upgrade"] != nil:
		return UpgradeRequest
	}
	if r.Trusted && requestControl(r.Header).noStore {
		return RequestNoStore
	}
	return None
}

// postStorable: RFC 9110 §9.3.3. The answer to a POST is stored, for later
// GETs, where it says that it is the representation of the target URI, and
// how long it is fresh; and only where nothing of the visitor went up that
// is not in the key.
func (p *Policy) postStorable(r *Request, resp *Response) bool {
	lines := resp.Header["Content-Location"]
	if resp.Status != http.StatusOK || p.Rule.TTL != AppTTL || len(lines) != 1 {
		return false
	}
	if p.Rule.Scope == Public && (r.Cookie != "" || r.Identity.Auth != Anonymous) {
		return false
	}
	target, ok := resolve(r, lines[0])
	if !ok || target.Host != r.Host || target.Path != r.Path || target.Query != r.Query {
		return false
	}
	d, targeted := govern(resp.Header)
	return expire(resp.Header, &d, targeted, arrive(resp.Header, resp.RequestTime, resp.ResponseTime)).explicit
}

// storablePart looks at what ranges and conditions have made of the answer.
func storablePart(r *Request, resp *Response) (*Part, Reason) {
	asked := len(r.Header["Range"]) > 0
	switch {
	case resp.Status < 200 || resp.Status > 599 || resp.Status == http.StatusNotModified:
		return nil, BadAnswer
	case neverStored(resp.Status):
		return nil, ResponseNoStore
	case resp.Status == http.StatusPartialContent:
		if !asked || r.Method != http.MethodGet {
			return nil, BadAnswer
		}
		part, ok := parseContentRange(resp.Header["Content-Range"])
		if !ok || resp.Length >= 0 && resp.Length != part.Len() {
			return nil, PartialContent
		}
		return &part, None
	case resp.Status >= 400 && asked: // 416, or an app that is upset by what this visitor asked for
		return nil, PartialContent
	case resp.Status == http.StatusPreconditionFailed && conditional(r.Header):
		return nil, PartialContent
	}
	for _, line := range resp.Header["Content-Length"] {
		if n, err := strconv.ParseInt(trimOWS(line), 10, 64); err != nil || n < 0 || resp.Length >= 0 && n != resp.Length {
			return nil, BadAnswer
		}
	}
	if !knownCoding(resp.Header["Transfer-Encoding"]) {
		return nil, UnknownCoding
	}
	return nil, None
}

func knownCoding(lines []string) bool {
	coding := join(lines)
	return coding == "" || strings.EqualFold(coding, "chunked") || strings.EqualFold(coding, "identity")
}

// conditional reports whether the request carries a precondition.
func conditional(h http.Header) bool {
	for _, name := range [...]string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range"} {
		if len(h[name]) > 0 {
			return true
		}
	}
	return false
}

// judge decides by the response's header alone, for a new response as for
// one that a 304 has updated.
func (p *Policy) judge(r *Request, resp *Response) (*Stored, Reason) {
	h := resp.Header
	operator, named := p.operatorLife(resp.Status)
	if p.operatorRoute() && !named {
		return nil, StatusNotListed
	}
	d, targeted := govern(h)
	if reason := p.forbidden(r, resp, &d); reason != None {
		return nil, reason
	}
	fields, ok := p.varyFields(h, d.noTransform)
	if !ok {
		return nil, VaryStar
	}
	fields, silent := p.impliedVary(r, h, fields)
	tags, _, ok := headerTags(h)
	if !ok {
		return nil, TooLarge
	}
	kept := storedHeader(h, d.hidden)
	s := &Stored{
		Status:       resp.Status,
		ResponseTime: InstantOf(resp.ResponseTime),
		Scope:        p.Rule.Scope,
		VaryFields:   fields,
		Tags:         distinct(slices.Concat(p.FillTags(r.Path), tags)),
		ETag:         entityTag(h),
	}
	if len(silent) > 0 {
		kept["Vary"] = append(slices.Clone(kept["Vary"]), silent...)
	}
	markLanguage(s.VaryFields, r, h)
	s.VaryValues = p.varyValues(r, s.VaryFields)
	if v, ok := parseNoVarySearch(h["No-Vary-Search"]); ok {
		s.NoVarySearch = v.text()
	}
	a := arrive(h, resp.RequestTime, resp.ResponseTime)
	s.InitialAge = a.initialAge
	if !a.dated {
		kept["Date"] = []string{resp.ResponseTime.UTC().Format(http.TimeFormat)}
	}
	s.Fields = Pack(kept)
	modified, _ := dateField(h, "Last-Modified", resp.ResponseTime)
	s.LastModified = InstantOf(modified)
	var e expiry
	if named {
		// The operator's time runs from arrival: only an age that the app
		// declares counts, neither its clock nor its slowness.
		e = expiry{fresh: operator + a.initialAge - a.declared, explicit: true, operator: true}
	} else {
		e = expire(h, &d, targeted, a)
		if reason := p.unlimited(r, resp, &d, &e, a); reason != None {
			return nil, reason
		}
	}
	s.Lifetime = p.life(r, &d, e, s.InitialAge)
	s.Lifetime.NoStore, s.Lifetime.NoTransform = d.noStore, noTransform(h)
	if reason := s.useless(); reason != None {
		return nil, reason
	}
	return s, None
}

// operatorLife is the operator's lifetime for a status, if there is one.
func (p *Policy) operatorLife(status int) (time.Duration, bool) {
	if !p.Rule.Listed() {
		return 0, false
	}
	if life, ok := p.Rule.Status[status]; ok {
		return life, true
	}
	if p.Rule.TTL != AppTTL && status == http.StatusOK {
		return p.Rule.TTL, true
	}
	return 0, false
}

// operatorRoute: a listed route whose ttl is not the app's.
func (p *Policy) operatorRoute() bool { return p.Rule.Listed() && p.Rule.TTL != AppTTL }

// forbidden is what no lifetime of anybody overrides.
func (p *Policy) forbidden(r *Request, resp *Response, d *directives) Reason {
	if d.mustUnderstand && !understood(resp.Status) {
		return NotUnderstood
	}
	if d.noStore && !d.mustUnderstand {
		return ResponseNoStore
	}
	if d.private && p.Rule.Scope == Public {
		return ResponsePrivate
	}
	if resp.CookieChange || len(resp.Header["Set-Cookie"]) > 0 && p.Rule.Scope == Public {
		return SetsCookie
	}
	if p.Rule.Control {
		for name := range resp.Header {
			if controlField(name) {
				return ControlFields
			}
		}
	}
	if p.authorized(r) && !d.sharedConsent() {
		return Authorization
	}
	return None
}

// authorized: the request carried Authorization (RFC 9111 §3.5), or on an
// unlisted path what counts as that: a session, or anything of the jar.
func (p *Policy) authorized(r *Request) bool {
	return len(r.Header["Authorization"]) > 0 ||
		!p.Rule.Listed() && (r.Identity.Auth != Anonymous || r.Cookie != "")
}

// unlimited deals with a response without explicit freshness: a heuristic
// where RFC 9111 §4.2.2 and the house rules allow one.
func (p *Policy) unlimited(r *Request, resp *Response, d *directives, e *expiry, a arrival) Reason {
	if e.explicit {
		return None
	}
	if !p.Rule.Listed() || !heuristicStatus(resp.Status) && !d.public {
		return NoFreshness
	}
	if r.Cookie != "" || r.Identity.Auth != Anonymous || len(r.Header["Authorization"]) > 0 {
		return NoFreshness
	}
	*e = guess(resp.Header, a)
	return None
}

// life puts the lifetime together. The operator's stale windows stand where
// the app's would; neither holds where stale use is prohibited (RFC 9111
// §4.2.4). s-maxage prohibits it as part of a lifetime (§5.2.2.10): where the
// operator's stands above that, only the app's own windows are void; but not
// where nothing else lets the answer to Authorization be shared. All ends
// after MaxLife.
func (p *Policy) life(r *Request, d *directives, e expiry, initialAge time.Duration) Lifetime {
	above := e.operator && (d.public || !p.authorized(r))
	l := Lifetime{
		Fresh:          min(e.fresh, initialAge+MaxLife),
		NoCache:        d.noCache,
		MustRevalidate: d.mustRevalidate || d.proxyRevalidate || d.sMaxage.set && !above,
		Immutable:      d.immutable,
		Operator:       e.operator,
		Heuristic:      e.heuristic,
	}
	if l.NoCache || l.MustRevalidate {
		return l
	}
	window := func(operator time.Duration, app seconds) time.Duration {
		w := operator
		if w < 0 && !d.sMaxage.set {
			w = app.d
		}
		return max(0, min(w, MaxLife-max(0, l.Fresh-initialAge)))
	}
	l.StaleWhileRevalidate = window(p.Rule.StaleWhileRevalidate, d.staleWhile)
	l.StaleIfError = window(p.Rule.StaleIfError, d.staleErr)
	l.StaleIfUnreachable = window(max(0, p.Rule.StaleIfUnreachable), seconds{})
	return l
}

// useless: no request could ever be answered from s, not even by way of a
// validation.
func (s *Stored) useless() Reason {
	if s.validators() {
		return None
	}
	l := &s.Lifetime
	switch {
	case l.NoCache:
		return MustValidate
	case l.Fresh > s.InitialAge:
		return None
	case l.Heuristic:
		return NoFreshness
	case s.InitialAge < l.Fresh+max(l.StaleWhileRevalidate, l.StaleIfError, l.StaleIfUnreachable):
		return None
	}
	return AlreadyStale
}

// NoStore reports whether a header's Cache-Control says no-store.
func NoStore(h http.Header) bool {
	d := cacheControl(h["Cache-Control"])
	return d.noStore
}

// noTransform reports whether either Cache-Control or what governs in its
// place forbids another coding.
func noTransform(h http.Header) bool {
	if d := cacheControl(h["Cache-Control"]); d.noTransform {
		return true
	}
	d, _ := govern(h)
	return d.noTransform
}

// resolve resolves a reference in a field of the response to r, and reports
// whether it has the origin of r (RFC 9110 §4.3.1).
func resolve(r *Request, reference string) (Target, bool) {
	ref, err := url.Parse(trimOWS(reference))
	if err != nil || reference == "" {
		return Target{}, false
	}
	base, err := url.Parse(r.Scheme + "://" + r.Host + r.Path)
	if err != nil {
		return Target{}, false
	}
	base.RawQuery = r.Query
	u := base.ResolveReference(ref)
	if u.Scheme != r.Scheme || u.Opaque != "" || plainHost(u.Scheme, u.Host) != plainHost(r.Scheme, r.Host) {
		return Target{}, false
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return Target{Host: r.Host, Path: path, Query: u.RawQuery}, true
}
