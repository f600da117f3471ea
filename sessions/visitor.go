package sessions

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"umbral/cachepolicy"
)

// mode is what the visitor's cookie is.
type mode uint8

const (
	inNothing mode = iota
	inSealed
	inSession
)

// Visitor is who asks, for the length of one request. The shared anonymous
// one holds nothing; before an answer of the app is absorbed, a visitor must
// be one's own: see [Visitor.Own]. Its methods are safe for concurrent use.
type Visitor struct {
	t      *Terminator
	shared bool
	ctx    context.Context
	at     int64    // when it came, ms
	fields []string // the browser's own Cookie lines, for client_allow
	ip     netip.Addr

	mode   mode
	secret *secret // that verified the cookie
	old    bool    // another secret signs now, or the cookie has aged
	token  token

	looking bool // nothing may come of it: see Look

	mu       sync.Mutex
	resolved bool
	failed   error      // why the record could not be read: it is asked for once
	rec      *record    // in session mode, where there is one
	sealed   *sealedJar // in sealed mode, or what is being adopted
	adopting bool
	adopted  bool // the app has vouched for what is being stored
	// gone: the cookie names no session any more. silent: because it was
	// rotated or signed out a moment ago; nothing may be set.
	gone, silent bool
	finished     bool
	digest       string        // of what is sealed
	waited       time.Duration // for Redis

	// What Finish says to the browser.
	out    string // our Set-Cookie
	also   []string
	forget bool // Clear-Site-Data
}

// Own returns a visitor that can absorb answers: v itself, or one of its own
// for a request that shares the anonymous one. ip is the visitor's address,
// for limits.new_per_ip. Call it before the app is asked.
func (v *Visitor) Own(ctx context.Context, ip netip.Addr) *Visitor {
	if !v.shared {
		v.ip = ip
		return v
	}
	return &Visitor{t: v.t, ctx: ctx, at: v.t.opt().Now().UnixMilli(), ip: ip}
}

// Anonymous reports whether the visitor came without anything of ours: there
// is nothing to resolve, and nothing that would go up.
func (v *Visitor) Anonymous() bool { return v.mode == inNothing && v.sealed == nil && v.fields == nil }

// Resolve reads the record of a visitor in session mode: from this edge's
// memory, or in one round trip. [ErrUnavailable] is its only error, and stands
// for the rest of the request: nobody waits for a silent Redis twice.
func (v *Visitor) Resolve(ctx context.Context) error {
	if v.shared || v.mode == inNothing {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.resolved || v.failed != nil {
		return v.failed
	}
	if v.mode == inSealed {
		v.resolved = true
		if v.old && !v.looking {
			ctx, done := v.within(ctx)
			defer done()
			v.reseal(ctx)
		}
		return nil
	}
	began := time.Now()
	r, p, err := v.t.find(ctx, v.secret, v.token)
	v.waited += time.Since(began)
	if err != nil {
		v.failed = err
		return err
	}
	v.resolved = true
	switch {
	case p == buried:
		v.gone, v.silent = true, true
	case p == absent:
		v.gone = true
		v.out = v.t.opt().setCookie("", 0)
	default:
		v.rec = r
		switch {
		case v.looking:
		case r.token != v.token:
			v.reissue(r) // it has moved already
		case v.old:
			ctx, done := v.within(ctx)
			defer done()
			v.move(ctx)
		}
	}
	return nil
}

// Unresolved reports that the visitor's session could not be read: they may be
// shown what is everybody's, and nothing else.
func (v *Visitor) Unresolved() bool {
	if v.shared || v.mode != inSession {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.failed != nil
}

// jar is what the visitor's cookies are; the caller holds mu.
func (v *Visitor) jar() []cookie {
	switch {
	case v.rec != nil:
		return v.rec.jar
	case v.sealed != nil:
		return v.sealed.cookies
	}
	return nil
}

// Identity is who asks. In sealed mode, or where cookies of the browser's own
// go up, Session digests what would go up, so that no two such visitors share
// a page of scope session or user.
func (v *Visitor) Identity() cachepolicy.Identity {
	if v.shared {
		return cachepolicy.Identity{}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	id := cachepolicy.Identity{}
	if r := v.rec; r != nil {
		id.Auth, id.Session, id.User, id.Owner = cachepolicy.InSession, r.session, r.user, r.owner
		if r.user != "" {
			id.Auth = cachepolicy.SignedIn
		}
		if v.fields == nil {
			return id
		}
	}
	if v.digest == "" {
		v.digest = v.contentDigest()
	}
	if v.digest != "" {
		id.Session = v.digest
	}
	return id
}

// contentDigest digests what goes up besides a record.
func (v *Visitor) contentDigest() string {
	var parts []string
	for _, c := range v.jar() {
		if c.live(v.at) {
			parts = append(parts, c.name, c.path, c.value)
		}
	}
	if line := appendFields("", v.fields, v.t.opt().Cookies.ClientAllow, v.jar()); line != "" {
		parts = append(parts, "browser", line)
	} else if v.rec != nil {
		return ""
	}
	if len(parts) == 0 {
		return ""
	}
	if v.rec != nil {
		parts = append(parts, "session", v.rec.session)
	}
	sum := v.t.first().digest.of(append(parts, "sealed")...)
	return "~" + id(sum[:24]).String()
}

// Bypass reports that a cookie in bypass is in the jar: no stored page may be
// served (Django's flash messages).
func (v *Visitor) Bypass() bool {
	if v.shared {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.rec != nil && !v.rec.bypass {
		return false
	}
	return slices.ContainsFunc(v.jar(), func(c cookie) bool {
		return c.live(v.at) && slices.Contains(v.t.opt().Cookies.Bypass, c.name)
	})
}

// CookieLine is the Cookie field that would go up for path: with names nil
// the whole jar, else only those.
func (v *Visitor) CookieLine(path string, names []string) string {
	if v.shared {
		return ""
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.cookieLine(path, names)
}

func (v *Visitor) cookieLine(path string, names []string) string {
	o := v.t.opt()
	var line string
	var dropped []string
	if r := v.rec; r != nil && names == nil && v.at < r.lineUntil {
		line = r.line
	} else {
		line, dropped = cookieLine(v.jar(), path, v.at, names, o.Cookies.Auth, o.Limits.CookieHeader)
	}
	if !v.looking {
		v.t.tooMuch(CookieHeaderFull, dropped)
	}
	if v.fields != nil {
		allow := o.Cookies.ClientAllow
		if names != nil {
			allow = slices.DeleteFunc(slices.Clone(allow), func(n string) bool { return !slices.Contains(names, n) })
		}
		line = appendFields(line, v.fields, allow, v.jar())
	}
	return line
}

// Missing is the value of a cookie that there is not: no cookie value can be
// it.
const Missing = "\x00"

// CookieValues are the values of names as they would go up for path, in that
// order, [Missing] for those that would not; several of one name, for several
// paths, count together.
func (v *Visitor) CookieValues(path string, names []string) []string {
	if len(names) == 0 {
		return nil
	}
	out := make([]string, len(names))
	if v.shared {
		for i := range out {
			out[i] = Missing
		}
		return out
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, name := range names {
		val, ok := valuesFor(v.jar(), name, path, v.at)
		if !ok && v.fields != nil && slices.Contains(v.t.opt().Cookies.ClientAllow, name) {
			var n int
			val, n = find(v.fields, name)
			ok = n == 1 && validValue(val) &&
				!slices.ContainsFunc(v.jar(), func(c cookie) bool { return c.name == name })
		}
		if out[i] = val; !ok {
			out[i] = Missing
		}
	}
	return out
}

// SessionID is what operators and the app know the session by, "" without a
// record.
func (v *Visitor) SessionID() string {
	if v.shared {
		return ""
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.rec == nil {
		return ""
	}
	return v.rec.session
}

// User is the uid, "" where it is not known. For limits and logs inside the
// edge; never for a header to a visitor.
func (v *Visitor) User() string {
	if v.shared {
		return ""
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.rec == nil {
		return ""
	}
	return v.rec.meta.user
}

// Used says that the visitor was here: a hit counts as use. What follows for
// the record's life is written behind the request.
func (v *Visitor) Used(now time.Time) {
	if v.shared || v.mode != inSession {
		return
	}
	v.mu.Lock()
	r := v.rec
	v.mu.Unlock()
	if r != nil && r.token == v.token {
		v.t.touch(r, now.UnixMilli())
	}
}

// NeedsApp reports that a stored page should not answer this one request,
// because an app that lengthens its cookie with each visit has not been asked
// for three quarters of the cookie's life. It says so once in a twentieth of
// that life.
func (v *Visitor) NeedsApp(now time.Time) bool {
	r, last := v.due(now)
	return r != nil && (v.looking || r.letThrough.CompareAndSwap(last, now.UnixMilli()))
}

// Due reports that NeedsApp would say so, and leaves that to it.
func (v *Visitor) Due(now time.Time) bool {
	r, _ := v.due(now)
	return r != nil
}

// due gives the visitor's record where that is so, and when the app was last
// asked for it.
func (v *Visitor) due(now time.Time) (r *record, last int64) {
	if v.shared || v.mode != inSession {
		return nil, 0
	}
	v.mu.Lock()
	r = v.rec
	v.mu.Unlock()
	if r == nil || v.t.opt().Lifetime.Mode != Follow {
		return nil, 0
	}
	ms := now.UnixMilli()
	for i := range r.jar {
		c := &r.jar[i]
		if c.life == 0 || c.expires-ms >= c.life/4 || c.expires <= ms || !slices.Contains(v.t.opt().Cookies.Auth, c.name) {
			continue
		}
		if last = r.letThrough.Load(); ms-last >= c.life/20 {
			return r, last
		}
		return nil, 0
	}
	return nil, 0
}

// Finish puts on the answer to the visitor what the edge itself has to say:
// our Set-Cookie, exposed cookies, Clear-Site-Data. Usually nothing. After it
// no absorbed answer can change the browser's cookie any more.
func (v *Visitor) Finish(h http.Header) {
	if v.shared {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.finished = true
	if v.silent {
		return
	}
	if v.gone && v.out != "" {
		ctx, done := v.within(v.ctx)
		late := v.overtaken(ctx)
		done()
		if late {
			return
		}
	}
	if v.out != "" {
		h.Add("Set-Cookie", v.out)
	}
	for _, line := range v.also {
		h.Add("Set-Cookie", line)
	}
	if v.forget {
		h.Set("Clear-Site-Data", `"cache"`)
	}
	v.out, v.also, v.forget = "", nil, false
}
