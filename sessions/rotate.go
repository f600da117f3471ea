package sessions

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// errBarred: the sign-in is not after a not-before mark.
var errBarred = errors.New("sessions: signed in before the not-before mark")

// signIn gives the visitor a new token: the new record is written first, then
// the old one goes. Whatever held the old token before has nothing.
func (v *Visitor) signIn(ctx context.Context, req *http.Request, p *plan, ctl *control) error {
	t := v.t
	next, _ := v.apply(v.jar(), p)
	old := v.rec
	uid := ctl.user
	if uid == "" {
		uid = t.identify(ctx, req, next)
	}
	if uid == "" && old != nil && !p.newAuth {
		uid = old.meta.user // the same cookie in auth: the same user
	}
	ctx, done := v.within(ctx)
	defer done()
	m := meta{created: v.at, user: uid, identified: v.at}
	if old != nil || uid != "" || unsafe(req.Method) {
		m.signedIn = v.at
	}
	// Else it is a view that opens sessions for whoever comes.
	switch {
	case m.signedIn == 0 && v.overtaken(ctx):
		return nil
	case m.signedIn == 0 && !t.admit(ctx, v.ip.String()):
		v.seal(ctx, slices.DeleteFunc(next, func(c cookie) bool { return !slices.Contains(t.opt().Cookies.Sealed, c.name) }))
		return nil
	}
	var data []datum
	if old != nil && uid == old.meta.user && !(p.newAuth && uid == "") {
		data = old.data
	}
	data = mergeData(data, ctl.data)
	if old != nil {
		moved, err := v.rotate(ctx, old, next, data, m)
		if moved == nil || err != nil {
			return err
		}
		v.rec, ctl.user = moved, uid
		return v.signIn(ctx, req, p, ctl)
	}
	err := v.begin(ctx, next, data, m)
	if m.signedIn == 0 && errors.Is(err, ErrUnavailable) {
		return nil
	}
	return err
}

// draft is what a new record is to hold.
type draft struct {
	secret *secret
	token  token
	jar    []cookie
	data   []datum
	meta   meta
	// old is the record whose place it takes, nil for none.
	old *record
}

// prepare makes the record of a new token and registers it with its user.
func (t *Terminator) prepare(ctx context.Context, d draft) (*record, error) {
	r, err := newRecord(d.secret, d.token)
	if err != nil {
		return nil, err
	}
	m := d.meta
	since := m.signedIn
	if since == 0 {
		since = m.created
	}
	if m.deadline == 0 {
		m.deadline = since + t.opt().Lifetime.Absolute.Milliseconds()
	}
	r.meta, r.jar, r.data = m, slices.Clone(d.jar), d.data
	for i := range r.jar {
		r.version = max(r.version, r.jar[i].version)
	}
	expires, has := r.authExpiry(t.opt().Cookies.Auth)
	r.meta.persistent = has && expires != 0
	if m.user != "" {
		if r.meta.generation, err = t.register(ctx, r, d.old); err != nil {
			return nil, err
		}
	}
	r.finish(t)
	return r, nil
}

// register adds the session to its user's, in the place of old unless nil;
// sessions over per_user go.
func (t *Terminator) register(ctx context.Context, r, old *record) (generation string, err error) {
	replaced := ""
	if old != nil {
		replaced = old.session
	}
	now := t.opt().Now().UnixMilli()
	u := r.secret.userKey(t.opt().Identity.Realm, r.meta.user)
	vals, err := t.run(ctx, scriptRegister, t.userKey(u), r.id.String(), r.meta.signedIn, r.meta.deadline,
		now, newGeneration(now), max(t.opt().Limits.PerUser, 0), replaced).Slice()
	if err != nil {
		return "", t.unavailable(err)
	}
	got := texts(vals)
	if len(got) == 0 {
		return "", errBarred
	}
	for _, name := range got[1:] {
		if i, ok := parseID(name); ok {
			if _, err := t.retire(ctx, i, revoked, true); err != nil {
				t.warn("a session over limits.per_user could not be ended", err)
			}
			t.watch.push(i)
		}
	}
	if len(got) > 1 {
		// The sign-in under way does not wait for the other edges' word.
		t.spawn(func(ctx context.Context) { t.ended(ctx, End{Sessions: got[1:]}) })
	}
	return got[0], nil
}

// newGeneration is a user's generation: never the same twice.
func newGeneration(now int64) string {
	var b [2]byte
	random(b[:])
	return strconv.FormatInt(now, 36) + strconv.FormatInt(int64(b[0])<<8|int64(b[1]), 36)
}

func (t *Terminator) unregister(ctx context.Context, r *record) {
	if r.userKey != "" {
		if err := t.run(ctx, scriptUnregister, t.userKey(r.userKey), r.session).Err(); err != nil {
			t.warn("a session that ended is still in its user's list", err)
		}
	}
	if r.meta.signedIn == 0 {
		ctx, cancel := t.within(ctx)
		defer cancel()
		t.opt().Client.ZRem(ctx, t.anonKey(), r.session)
	}
}

// begin opens a record for a visitor who has none.
func (v *Visitor) begin(ctx context.Context, jar []cookie, data []datum, m meta) error {
	t := v.t
	r, err := t.prepare(ctx, draft{secret: t.first(), token: newToken(), jar: jar, data: data, meta: m})
	if errors.Is(err, errBarred) {
		v.bar()
		return nil
	}
	if err != nil {
		return err
	}
	if v.mode == inNothing && !v.adopted && t.opt().Lifetime.Probation > 0 {
		r.probation.Store(m.created + t.opt().Lifetime.Probation.Milliseconds())
	}
	if m.signedIn == 0 {
		ok, err := t.admitRecord(ctx, r)
		if err != nil {
			return err
		}
		if !ok {
			t.count(TooManyAnonymous)
			return ErrUnavailable
		}
	}
	made, err := t.create(ctx, r)
	if err != nil {
		t.behind(func(ctx context.Context) { t.unregister(ctx, r) })
		return err
	}
	if !made || t.marks.Load().hit(r) {
		t.discard(ctx, r)
		v.bar()
		return nil
	}
	// Late answers to what the old cookie asked for must not replace the new
	// one.
	switch {
	case v.mode == inSealed:
		err = t.bury(ctx, v.secret.visitorID(v.sealed.visitor))
	case v.mode == inSession:
		err = t.bury(ctx, v.secret.id(&v.token))
	}
	if err != nil {
		t.behind(func(ctx context.Context) { t.discard(ctx, r) })
		return err
	}
	t.count(Created)
	if r.owner != "" {
		t.ended(ctx, End{Users: []string{r.owner}})
	}
	v.take(r)
	return nil
}

func (t *Terminator) bury(ctx context.Context, i id) error {
	if err := t.run(ctx, scriptRetire, t.recordKey(i), tombstone, tombstoneLife.Milliseconds(), "1").Err(); err != nil {
		return t.unavailable(err)
	}
	return nil
}

// discard undoes a record that nobody has been told of.
func (t *Terminator) discard(ctx context.Context, r *record) {
	short, cancel := t.within(ctx)
	defer cancel()
	t.opt().Client.Unlink(short, t.recordKey(r.id))
	t.unregister(ctx, r)
}

// bar: the sign-in lost against a revocation.
func (v *Visitor) bar() {
	v.t.count(Barred)
	v.rec, v.silent, v.gone = nil, true, true
}

// take makes r the visitor's session from here on.
func (v *Visitor) take(r *record) {
	v.rec, v.sealed, v.digest, v.gone = r, nil, "", false
	v.reissue(r)
}

// reissue gives the browser the cookie of r. Its life mirrors the app's: a
// browser-session cookie, or one that lasts as long as the session may.
func (v *Visitor) reissue(r *record) {
	value, err := r.secret.signSession(v.t.opt().CookieName, &r.token)
	if err != nil {
		v.t.warn("a session cookie could not be made", err)
		return
	}
	persist := time.Duration(0)
	if r.meta.persistent {
		persist = time.Duration(r.meta.deadline-v.at) * time.Millisecond
	}
	v.out = v.t.opt().setCookie(value, persist)
}

// rotate replaces old by a record with another token; or gives the record that
// old has moved to meanwhile, which is then to be replaced.
func (v *Visitor) rotate(ctx context.Context, old *record, jar []cookie, data []datum, m meta) (moved *record, err error) {
	t := v.t
	r, err := t.prepare(ctx, draft{secret: t.first(), token: newToken(), jar: jar, data: data, meta: m, old: old})
	if errors.Is(err, errBarred) {
		v.bar()
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r.version = max(r.version, old.version) + 1
	gone, err := t.replace(ctx, old, r, []byte(t.succeeded(old, r)), true)
	switch {
	case err != nil:
		return nil, err
	case gone.was == buried:
		if moved, was, err := t.followed(ctx, old.secret, old.token, old.id, []byte(gone.tomb)); err != nil || was == found {
			return moved, err
		}
		fallthrough // somebody else rotated it or signed it out first
	case gone.was == absent:
		t.count(LateAnswer)
		v.rec, v.gone, v.silent = nil, true, true
		return nil, nil
	case t.marks.Load().hit(r):
		t.discard(ctx, r)
		v.bar()
		return nil, nil
	}
	t.count(Rotated)
	end := End{Sessions: []string{old.session}}
	for _, u := range []string{old.owner, r.owner} {
		if u != "" && !slices.Contains(end.Users, u) {
			end.Users = append(end.Users, u)
		}
	}
	t.ended(ctx, end)
	v.take(r)
	return nil, nil
}
