package sessions

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"
)

var errShared = errors.New("sessions: the shared visitor cannot absorb; call Own first")

// plan is what an answer does to a jar.
type plan struct {
	set     []change // another value
	refresh []change // the same value, another expiry
	remove  []cookie // as they are in the jar
	// newAuth: a cookie in auth has a new value; rotated: one in rotate_on
	// was replaced; leftAuth: a cookie in auth was taken away.
	newAuth, rotated, leftAuth bool
}

func (p *plan) changed() bool { return len(p.set)+len(p.remove) > 0 }
func (p *plan) empty() bool   { return !p.changed() && len(p.refresh) == 0 }

// WouldChange reports whether an answer's Set-Cookie fields would change a
// value in the visitor's jar. It changes nothing itself; another expiry is no
// change. The shared visitor's jar is empty.
func (v *Visitor) WouldChange(resp *http.Response) bool {
	lines := resp.Header["Set-Cookie"]
	if len(lines) == 0 {
		return false
	}
	host, path := "", "/"
	if r := resp.Request; r != nil {
		host, path = requestHost(r), r.URL.EscapedPath()
	}
	if v.shared {
		p := v.plan(nil, lines, host, path, v.t.opt().Now())
		return p.changed()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	p := v.plan(v.jar(), lines, host, path, v.t.opt().Now())
	return p.changed()
}

func requestHost(r *http.Request) string {
	if r.Host != "" {
		return r.Host
	}
	return r.URL.Host
}

// plan compares Set-Cookie lines with a jar; the last line for one name and
// path counts.
func (v *Visitor) plan(jar []cookie, lines []string, host, path string, now time.Time) (p plan) {
	o := v.t.opt()
	var last []change
	for _, line := range lines {
		c, ok := parseSetCookie(line, host, path, now)
		switch {
		case !ok || c.name == o.CookieName:
			v.t.count(BadSetCookie)
			continue
		case o.Limits.CookieBytes > 0 && c.size() > o.Limits.CookieBytes:
			v.t.tooMuch(CookieTooBig, []string{c.name})
			continue
		case v.t.repeatsShared(host, &c.cookie):
			continue
		}
		last = slices.DeleteFunc(last, func(d change) bool { return d.name == c.name && d.path == c.path })
		last = append(last, c)
	}
	for i, c := range last {
		// A millisecond apart, so that the order in which the app set them,
		// and with it which of them is the oldest, outlives the store.
		c.created += int64(i)
		at := inJar(jar, c.name, c.path)
		auth := slices.Contains(o.Cookies.Auth, c.name)
		switch {
		case c.remove && at < 0:
		case c.remove:
			p.remove = append(p.remove, jar[at])
			p.leftAuth = p.leftAuth || auth
		case at < 0 || jar[at].value != c.value || !jar[at].live(now.UnixMilli()):
			if at >= 0 {
				c.created = jar[at].created
				p.rotated = p.rotated || slices.Contains(o.Cookies.RotateOn, c.name)
			}
			p.set = append(p.set, c)
			p.newAuth = p.newAuth || auth
		case worthWriting(jar[at].expires, c.expires, c.life):
			c.created = jar[at].created
			p.refresh = append(p.refresh, c)
		}
	}
	return p
}

// worthWriting: an app that sends its cookie with each answer moves the
// expiry a little each time; a tenth of the life is soon enough to follow.
func worthWriting(old, expires, life int64) bool {
	if old == 0 || expires == 0 {
		return old != expires
	}
	d := expires - old
	return max(d, -d) >= max(life/10, 1000)
}

// apply is the jar after the plan, within the limits.
func (v *Visitor) apply(jar []cookie, p *plan) (next, evicted []cookie) {
	next = slices.Clone(jar)
	for _, c := range p.remove {
		if i := inJar(next, c.name, c.path); i >= 0 {
			next = slices.Delete(next, i, i+1)
		}
	}
	for _, c := range slices.Concat(p.set, p.refresh) {
		if i := inJar(next, c.name, c.path); i >= 0 {
			c.version = next[i].version
			next[i] = c.cookie
		} else {
			next = append(next, c.cookie)
		}
	}
	next = slices.DeleteFunc(next, func(c cookie) bool { return !c.live(v.at) })
	o := v.t.opt()
	for size := 0; ; {
		size = 0
		all := make([]*cookie, len(next))
		for i := range next {
			all[i] = &next[i]
			size += next[i].size()
		}
		if len(next) == 0 || (o.Limits.Cookies < 0 || len(next) <= o.Limits.Cookies) && (o.Limits.JarBytes < 0 || size <= o.Limits.JarBytes) {
			break
		}
		i := oldest(all, o.Cookies.Auth)
		v.t.tooMuch(JarFull, []string{next[i].name})
		evicted = append(evicted, next[i])
		next = slices.Delete(next, i, i+1)
	}
	sortJar(next)
	return next, evicted
}

// Absorb takes the app's Set-Cookie fields out of resp and into the jar, and
// the control fields with them; they are obeyed where obey says so, and gone
// whatever happens. changed reports that a value in the jar is another now.
//
// On an error nothing may be shown to the visitor but 503: the answer was
// given to a session that could not be written. Absorb may be called from a
// background goroutine; once Finish has been called, it can change a record
// but no longer the browser's cookie. It must be called for each answer to a
// request that carried the visitor's jar, with or without Set-Cookie, and for
// no other but that of an [Visitor.Unresolved] one, whose jar nobody knows.
func (v *Visitor) Absorb(ctx context.Context, req *http.Request, resp *http.Response, obey bool) (changed bool, err error) {
	t := v.t
	userHeader := ""
	if t.opt().Identity.Source == SourceHeader {
		userHeader = t.opt().Identity.Header
	}
	ctl := takeControl(resp.Header, obey, userHeader, t.count)
	lines := resp.Header["Set-Cookie"]
	delete(resp.Header, "Set-Cookie")
	delete(resp.Header, "Set-Cookie2")
	if len(lines) == 0 && ctl.empty() && !v.adopting {
		return false, nil
	}
	if v.shared {
		return true, errShared
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	p := v.plan(v.jar(), lines, requestHost(req), req.URL.EscapedPath(), t.opt().Now())
	if v.silent {
		t.count(LateAnswer)
		return p.changed(), nil
	}
	if v.failed != nil {
		return true, v.decline(&p, &ctl)
	}
	v.expose(lines, req)
	if v.adopting {
		if !carries(req, v.sealed.cookies, t.opt().Cookies.Auth) {
			return p.changed(), nil // the app has not seen what it would vouch for
		}
		return true, v.settleAdoption(ctx, req, resp, &p, &ctl)
	}
	return p.changed() || !ctl.empty(), v.absorb(ctx, req, &p, &ctl)
}

// decline takes in nothing of an answer to a visitor whose record could not be
// read: the request went up without the jar, as anybody's, and what is set on
// anybody must not take the place of the session in the browser. What the app
// said of this one session, or a session that it opened, cannot be passed over
// in silence.
func (v *Visitor) decline(p *plan, ctl *control) error {
	if p.newAuth || ctl.user != "" || ctl.logout != keep || len(ctl.data) > 0 {
		return v.failed
	}
	return nil
}

// absorb decides: out, in, or just other values.
func (v *Visitor) absorb(ctx context.Context, req *http.Request, p *plan, ctl *control) error {
	in := p.newAuth || ctl.user != "" && (v.rec == nil || v.rec.meta.user != ctl.user || unsafe(req.Method))
	if v.rec != nil && p.rotated && !in {
		_, in = v.rec.authExpiry(v.t.opt().Cookies.Auth)
	}
	out := !in && p.leftAuth || ctl.anonymous || ctl.logout == current || ctl.logout == everywhere
	before := v.rec
	var err error
	switch {
	case out && v.rec != nil:
		return v.signOut(ctx, p, ctl.logout)
	case out:
		// Nobody to sign out; what is left may be sealed.
		return v.keepAnonymous(ctx, req, p, nil)
	case v.finished && v.rec == nil:
		v.t.count(LateAnswer) // the browser's cookie cannot be set any more
		return nil
	case in && !v.finished:
		err = v.signIn(ctx, req, p, ctl)
	case v.rec != nil:
		err = v.write(ctx, p, ctl.data)
	default:
		err = v.keepAnonymous(ctx, req, p, ctl.data)
	}
	if err == nil && ctl.logout == others {
		err = v.t.signOutOthers(ctx, cmp.Or(v.rec, before))
	}
	return err
}

func unsafe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, "":
		return false
	}
	return true
}

// write puts single changes into the record, each only where nobody has
// written that field since this request's jar was read.
func (v *Visitor) write(ctx context.Context, p *plan, data []datum) error {
	if p.empty() && len(data) == 0 {
		return nil
	}
	ctx, done := v.within(ctx)
	defer done()
	return v.writeSince(ctx, v.rec.version, p, data)
}

// writeSince is write where the jar that went up had that version.
func (v *Visitor) writeSince(ctx context.Context, version uint64, p *plan, data []datum) error {
	r := v.rec
	next := r.clone()
	var evicted []cookie
	next.jar, evicted = v.apply(r.jar, p)
	next.data = mergeData(r.data, data)
	now := v.t.opt().Now().UnixMilli()
	limit := 2*max(v.t.opt().Limits.Cookies, 64) + 2*maxData + 8
	args := []any{strconv.FormatUint(version, 10), v.t.ttl(next, now).Milliseconds(), limit}
	add := func(op, field string, blob []byte) { args = append(args, op, field, blob) }
	for _, c := range slices.Concat(p.set, p.refresh) {
		if inJar(evicted, c.name, c.path) >= 0 {
			continue // a field is written once: a second write would meet the first
		}
		op := "s"
		if slices.Contains(v.t.opt().Cookies.Auth, c.name) {
			op = "e"
		}
		f, blob := r.sealCookie(&c.cookie)
		add(op, f, blob)
	}
	for _, c := range slices.Concat(p.remove, evicted) {
		if inJar(r.jar, c.name, c.path) >= 0 { // else there is nothing to delete
			add("s", r.keys.name(kindCookie, c.name, c.path), nil)
		}
	}
	for i := range data {
		f, blob := r.sealDatum(&data[i])
		if data[i].value == "" {
			blob = nil
		}
		add("s", f, blob)
	}
	// Deleted cookies leave their version behind, the oldest only as a floor.
	for i := 0; len(r.dead)-i > 32; i++ {
		add("f", r.dead[i], nil)
	}
	if moved, err := v.writeTo(ctx, r, next, args); moved == nil || err != nil {
		return err
	}
	return v.writeSince(ctx, version, p, data)
}

// writeTo runs scriptWrite on r, which then is next. It gives the record that r
// has moved to meanwhile, and that is now the visitor's, where nothing has been
// written for that.
func (v *Visitor) writeTo(ctx context.Context, r, next *record, args []any) (moved *record, err error) {
	t := v.t
	t.local.drop(r.id)
	done, err := t.run(ctx, scriptWrite, t.recordKey(r.id), args...).Int64Slice()
	t.local.drop(r.id)
	if err != nil {
		return nil, t.unavailable(err)
	}
	if len(done) == 1 && done[0] < 0 {
		return v.lost(ctx, r, done[0] == -1)
	}
	for _, ok := range done[1:] {
		if ok == 0 {
			t.count(LateValue)
		}
	}
	next.version = uint64(done[0])
	next.expires.Store(r.expires.Load())
	next.finish(t)
	v.rec = next
	return nil, nil
}

// lost: the record went while the app was working. Nothing is revived, but
// where the secret has changed meanwhile the session goes on.
func (v *Visitor) lost(ctx context.Context, r *record, tomb bool) (moved *record, err error) {
	t := v.t
	if tomb {
		moved, p, err := t.forwarded(ctx, r.secret, r.token, r.id)
		if err != nil {
			return nil, err
		}
		if p == found {
			v.reissue(moved)
			v.rec = moved
			return moved, nil
		}
	}
	t.count(LateAnswer)
	// Even without a tombstone the browser may hold another cookie by now:
	// the next request with this one has it taken away.
	v.rec, v.gone, v.silent = nil, true, true
	return nil, nil
}

// mergeData is old with other's members in their place; an empty value
// forgets.
func mergeData(old, other []datum) []datum {
	if len(other) == 0 {
		return old
	}
	next := slices.DeleteFunc(slices.Clone(old), func(d datum) bool {
		return slices.ContainsFunc(other, func(o datum) bool { return o.name == d.name })
	})
	for _, d := range other {
		if d.value != "" && len(next) < maxData {
			next = append(next, d)
		}
	}
	return next
}

func (r *record) clone() *record {
	n := &record{
		secret: r.secret, token: r.token, id: r.id, keys: r.keys, version: r.version,
		meta: r.meta, jar: r.jar, data: r.data, dead: r.dead, floor: r.floor,
	}
	n.expires.Store(r.expires.Load())
	n.probation.Store(r.probation.Load())
	n.identified.Store(r.identified.Load())
	return n
}
