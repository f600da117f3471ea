package sessions

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Terminator ends sessions at the edge. It is safe for concurrent use.
type Terminator struct {
	options atomic.Pointer[Options]
	prefix  string // PREFIX:edge:
	secrets atomic.Pointer[[]*secret]
	local   *local
	link    link
	marks   atomic.Pointer[marks]
	touches touches
	perIP   perIP
	told    told
	watch   watch
	counts  counts

	anonymous *Visitor

	life   sync.Mutex
	ctx    context.Context // while it runs, else nil
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// New makes a Terminator. It asks nobody anything and starts nothing.
func New(o Options) (*Terminator, error) {
	o.defaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	t := &Terminator{prefix: o.Prefix + ":edge:", local: newLocal(max(o.LocalRecords, 0))}
	t.options.Store(&o)
	t.marks.Store(&marks{})
	t.anonymous = &Visitor{t: t, shared: true}
	if err := t.Reload(o.Secrets); err != nil {
		return nil, err
	}
	return t, nil
}

// opt are the options in force, which Configure replaces as a whole.
func (t *Terminator) opt() *Options { return t.options.Load() }

// Configure puts other options into force, for sessions that there are as for
// new ones; on an error the old ones stay. What a Terminator is wired to stays
// as New was given it: Client, Prefix, Secrets, Alone, LocalRecords, Logger,
// Now, Ended, Probe.
func (t *Terminator) Configure(o Options) error {
	was := t.opt()
	o.Client, o.Prefix, o.Secrets, o.Alone, o.LocalRecords = was.Client, was.Prefix, was.Secrets, was.Alone, was.LocalRecords
	o.Logger, o.Now, o.Ended, o.Probe = was.Logger, was.Now, was.Ended, was.Probe
	o.defaults()
	if err := o.check(); err != nil {
		return err
	}
	t.options.Store(&o)
	t.local.clear() // what was worked out for records depends on the options
	return nil
}

// Reload takes other secrets: the first signs, all verify. On an error the
// old ones stay.
func (t *Terminator) Reload(raw [][]byte) error {
	var known []*secret
	if p := t.secrets.Load(); p != nil {
		known = *p
	}
	secrets, err := newSecrets(raw, known)
	if err != nil {
		return err
	}
	t.secrets.Store(&secrets)
	return nil
}

func (t *Terminator) first() *secret { return (*t.secrets.Load())[0] }

// Start follows Redis's tracking pushes, and writes touches behind the
// requests, until ctx is done or Close is called. Redis need not be there.
func (t *Terminator) Start(ctx context.Context) {
	t.life.Lock()
	t.ctx, t.cancel = context.WithCancel(ctx)
	t.life.Unlock()
	t.link.lost.Store(t.opt().Now().UnixMilli())
	t.link.watched.Store(true)
	t.spawn(t.follow)
	t.spawn(t.flushTouches)
	t.spawn(t.sweepWatches)
}

// spawn runs f until it ends, or Close tells it to; not at all where nothing
// has been started.
func (t *Terminator) spawn(f func(context.Context)) {
	t.life.Lock()
	defer t.life.Unlock()
	if t.ctx == nil {
		return
	}
	ctx := t.ctx
	t.done.Add(1)
	go func() {
		defer t.done.Done()
		f(ctx)
	}()
}

// Close ends what Start began, after the last touches have been written.
func (t *Terminator) Close() error {
	t.life.Lock()
	cancel := t.cancel
	t.ctx, t.cancel = nil, nil
	t.life.Unlock()
	if cancel != nil {
		cancel()
		t.done.Wait()
		t.link.watched.Store(false)
		t.link.tracking.Store(false)
	}
	return nil
}

// Visit says who asks, as far as that can be said without asking Redis: it
// verifies the cookie, and does not read the record. A request without our
// cookie gets one shared visitor, at no cost. It never returns nil.
//
// ctx is the request's: what the visitor waits for ends with it.
func (t *Terminator) Visit(ctx context.Context, r *http.Request) *Visitor {
	v, bad := t.visit(ctx, r.Header["Cookie"], nil)
	if bad {
		t.count(BadCookie)
	}
	return v
}

// Look is Visit for who only wants to know: nothing is counted, and no record
// or cookie is touched, moved or made anew, also when the visitor is resolved.
func (t *Terminator) Look(ctx context.Context, r *http.Request) *Visitor {
	v, _ := t.visit(ctx, r.Header["Cookie"], nil)
	if !v.shared {
		v.looking = true
	}
	return v
}

// Recall is Visit and Resolve from this edge's memory alone. It gives nil, and
// leaves no trace, where Redis would have to be asked, a cookie be counted as
// bad, or the browser be told something: Visit is for those. seen belongs to
// the connection that r came by.
func (t *Terminator) Recall(ctx context.Context, r *http.Request, seen *Verified) *Visitor {
	v, bad := t.visit(ctx, r.Header["Cookie"], seen)
	switch {
	case bad, v.old, v.adopting, v.out != "":
		return nil
	case v.shared:
	case v.mode == inSession:
		known := t.recall(seen.id, v.at)
		if known == nil || known.secret != v.secret {
			return nil
		}
		v.rec, v.resolved = known, true
	case v.mode == inSealed:
		v.resolved = true
	}
	return v
}

// Verified remembers the session cookie that a connection last came with, so
// that one who asks again is not verified again: the same bytes under the same
// secrets. What the cookie's age and its record say is looked at each time. It
// belongs to one connection; the zero Verified remembers nothing.
type Verified struct {
	value, name string
	by          *[]*secret
	secret      *secret
	old         bool
	token       token
	issued      int64
	id          id
}

// visit is Visit; bad says that there was a cookie of ours that is none.
func (t *Terminator) visit(ctx context.Context, fields []string, seen *Verified) (v *Visitor, bad bool) {
	if len(fields) == 0 {
		return t.anonymous, false
	}
	value, n := find(fields, t.opt().CookieName)
	if n != 1 {
		return t.without(ctx, fields), n > 1
	}
	v = &Visitor{t: t, ctx: ctx, at: t.opt().Now().UnixMilli(), fields: t.allowed(fields)}
	switch age, ok := v.open(value, seen); {
	// Five minutes for the clocks of other edges.
	case !ok || age < -5*time.Minute:
		return t.without(ctx, fields), true
	// The date in the cookie is cut to the second; the record's end is exact.
	case age >= t.opt().Lifetime.Absolute+time.Second:
		// Ours, and of use to nobody any more: Redis need not be asked.
		return &Visitor{t: t, ctx: ctx, at: v.at, fields: v.fields, out: t.opt().setCookie("", 0)}, false
	}
	return v, false
}

// recall gives the record that i names if this edge holds it and may trust
// what it holds, else nil.
func (t *Terminator) recall(i id, now int64) *record {
	if known := t.local.get(i); known != nil && t.trusted() && !t.over(known, now) {
		return known
	}
	return nil
}

// open verifies the cookie's value under any secret in force, and says how old
// it is.
func (v *Visitor) open(value string, seen *Verified) (age time.Duration, ok bool) {
	o, secrets := v.t.opt(), v.t.secrets.Load()
	since := func(issued int64) time.Duration { return time.Duration(v.at-issued*1000) * time.Millisecond }
	if seen != nil && seen.value == value && seen.name == o.CookieName && seen.by == secrets {
		v.secret, v.old, v.mode, v.token = seen.secret, seen.old, inSession, seen.token
		return since(seen.issued), true
	}
	for i, s := range *secrets {
		if len(value) == sessionLength {
			if issued, ok := s.openSession(o.CookieName, value, &v.token); ok {
				v.secret, v.old, v.mode = s, i > 0, inSession
				if seen != nil {
					*seen = Verified{strings.Clone(value), o.CookieName, secrets, s, v.old, v.token, issued, s.id(&v.token)}
				}
				return since(issued), true
			}
			continue
		}
		if j, issued, ok := s.openSealed(o.CookieName, value); ok {
			age = since(issued)
			v.secret, v.mode, v.sealed = s, inSealed, j
			// Half its age gone: time for another.
			v.old = i > 0 || age > o.Lifetime.Absolute/2
			return age, true
		}
	}
	return 0, false
}

// allowed is what of the browser's own cookies may go up at all.
func (t *Terminator) allowed(fields []string) []string {
	if len(t.opt().Cookies.ClientAllow) == 0 {
		return nil
	}
	return fields
}

// without is the visitor of a request with cookies, none of them ours.
func (t *Terminator) without(ctx context.Context, fields []string) *Visitor {
	var adopted []cookie
	if t.opt().Cookies.AdoptOnce {
		adopted = t.adopt(fields)
	}
	allowed := slices.ContainsFunc(t.opt().Cookies.ClientAllow, func(name string) bool {
		_, n := find(fields, name)
		return n == 1
	})
	if adopted == nil && !allowed {
		return t.anonymous
	}
	v := &Visitor{t: t, ctx: ctx, at: t.opt().Now().UnixMilli(), fields: t.allowed(fields)}
	if adopted != nil {
		v.adopting = true
		v.sealed = &sealedJar{cookies: adopted}
	}
	return v
}

// adopt takes the app's cookies from a browser that still holds them itself:
// nothing, unless one of auth is among them, once.
func (t *Terminator) adopt(fields []string) []cookie {
	c := t.opt().Cookies
	now := t.opt().Now().UnixMilli()
	var jar []cookie
	auth := false
	for _, name := range slices.Concat(c.Auth, c.RotateOn, c.Sealed) {
		v, n := find(fields, name)
		if n != 1 || v == "" || !validValue(v) || strings.Contains(v, `"`) || len(name)+len(v) > t.opt().Limits.CookieBytes ||
			inJar(jar, name, "/") >= 0 {
			continue
		}
		auth = auth || slices.Contains(c.Auth, name)
		jar = append(jar, cookie{name: name, value: v, path: "/", created: now})
	}
	if !auth {
		return nil
	}
	return jar
}

// find gives the record of a verified token: from this edge's memory, else
// from Redis, which is not asked where it was silent lately and memory will do.
func (t *Terminator) find(ctx context.Context, s *secret, tok token) (*record, presence, error) {
	now := t.opt().Now().UnixMilli()
	i := s.id(&tok)
	known := t.local.get(i)
	if known != nil && t.trusted() {
		if t.over(known, now) {
			return nil, absent, nil
		}
		return known, found, nil
	}
	willDo := known != nil && t.inGrace(now) && !t.over(known, now)
	if willDo && t.link.silences.Load() > 0 {
		t.count(ServedInGrace)
		return known, found, nil
	}
	epoch := t.local.epoch(i)
	ctx, cancel := t.within(ctx)
	defer cancel()
	r, p, err := t.read(ctx, s, tok)
	if err != nil && willDo {
		t.count(ServedInGrace)
		return known, found, nil
	}
	if err != nil {
		return nil, absent, err
	}
	if p != found {
		return nil, p, nil
	}
	if t.over(r, now) {
		return nil, absent, nil
	}
	if r.id == i && (t.trusted() || t.link.watched.Load()) {
		t.local.put(r, epoch)
	}
	return r, found, nil
}

// warn logs what went wrong, the same at most once a minute.
func (t *Terminator) warn(msg string, err error) {
	if t.told.again(msg, t.opt().Now()) {
		t.opt().Logger.Warn(msg, zap.Error(err))
	}
}
