package sessions

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// record is a session as it was read from Redis. It is immutable, but for the
// atomics, and shared by all requests of the session on this edge.
type record struct {
	secret  *secret
	token   token
	id      id
	keys    *keys
	version uint64 // of the hash when it was read
	meta    meta
	jar     []cookie // sorted
	data    []datum  // sorted
	dead    []string // fields of deleted cookies, kept for their versions
	floor   uint64   // the newest version of those, and of forgotten ones

	// session and user are the digests; user is "" where it is unknown.
	session, user string
	userKey       string // of the user in Redis
	owner         string // of the user, whatever the generation, for purges
	// line is the whole Cookie line where all paths are "/", until lineUntil.
	line      string
	lineUntil int64
	bypass    bool

	// expires is when Redis lets the record go, by this edge's clock; 0 where
	// it never does.
	expires atomic.Int64
	// probation is when the record ends unless the cookie comes back; 0 once
	// it has.
	probation atomic.Int64
	jwt       atomic.Pointer[signedJWT]
	letThrough,
	identified atomic.Int64
}

// meta is the record's field "m". Times are milliseconds of the Unix epoch. It
// is sealed with a key of the secret's alone, for the operator's list, which
// knows no token, shows from it who and when.
type meta struct {
	created    int64
	signedIn   int64 // 0: nobody has signed in
	deadline   int64
	identified int64  // when the user was last asked for
	probation  int64  // when the record ends unless the cookie comes back
	user       string // "" unknown
	generation string // of the user
	persistent bool   // the browser keeps the cookie when it is closed
}

func (m *meta) encode() []byte {
	b := make([]byte, 0, 64+len(m.user))
	flags := byte(0)
	if m.persistent {
		flags |= 1
	}
	b = append(b, format, flags)
	for _, n := range []int64{m.created, m.signedIn, m.deadline, m.identified, m.probation} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return appendString(appendString(b, m.user), m.generation)
}

func decodeMeta(b []byte) (m meta, ok bool) {
	if len(b) < 2 || b[0] != format {
		return m, false
	}
	m.persistent = b[1]&1 != 0
	b = b[2:]
	for _, p := range []*int64{&m.created, &m.signedIn, &m.deadline, &m.identified, &m.probation} {
		var n uint64
		if n, b, ok = cutUvarint(b); !ok {
			return m, false
		}
		*p = int64(n)
	}
	if m.user, b, ok = cutString(b); !ok {
		return m, false
	}
	m.generation, _, ok = cutString(b)
	return m, ok
}

// Fields of the hash.
const (
	fieldMeta  = "m"
	fieldFloor = "f"
	kindCookie = 'c'
	kindDatum  = 'd'
)

// newRecord makes the record of a fresh token; the caller fills in meta, jar
// and data, then seals it.
func newRecord(s *secret, tok token) (*record, error) {
	r := &record{secret: s, token: tok, id: s.id(&tok), version: 1}
	var err error
	r.keys, err = s.keys(&r.token, r.id)
	return r, err
}

// finish works out what each request would otherwise work out again.
func (r *record) finish(t *Terminator) {
	sortJar(r.jar)
	r.session = r.id.String()
	r.user, r.userKey = "", ""
	r.owner = r.secret.owner(t.opt().Identity.Realm, r.meta.user)
	if r.meta.user != "" {
		r.user = r.secret.userDigest(t.opt().Identity.Realm, r.meta.user, r.meta.generation)
		r.userKey = r.secret.userKey(t.opt().Identity.Realm, r.meta.user)
	}
	r.lineUntil, r.bypass = 1<<62, false
	simple := true
	for i := range r.jar {
		c := &r.jar[i]
		simple = simple && c.path == "/"
		if c.expires != 0 {
			r.lineUntil = min(r.lineUntil, c.expires)
		}
		r.bypass = r.bypass || slices.Contains(t.opt().Cookies.Bypass, c.name)
	}
	r.identified.Store(r.meta.identified)
	if r.line = ""; !simple {
		r.lineUntil = 0
		return
	}
	line, dropped := cookieLine(r.jar, "/", 0, nil, t.opt().Cookies.Auth, t.opt().Limits.CookieHeader)
	r.line = line
	t.tooMuch(CookieHeaderFull, dropped)
}

// hash is the record as the arguments of HSET.
func (r *record) hash() []any {
	out := []any{fieldMeta, prefixed(r.version, r.sealMeta())}
	for i := range r.jar {
		f, b := r.sealCookie(&r.jar[i])
		out = append(out, f, prefixed(max(r.jar[i].version, 1), b))
	}
	for i := range r.data {
		f, b := r.sealDatum(&r.data[i])
		out = append(out, f, prefixed(r.version, b))
	}
	if r.floor > 0 {
		out = append(out, fieldFloor, strconv.FormatUint(r.floor, 10))
	}
	return out
}

// prefixed is a field's value: the version at which it was written, and what
// is sealed. A deleted cookie has nothing sealed.
func prefixed(version uint64, blob []byte) []byte {
	b := strconv.AppendUint(make([]byte, 0, len(blob)+8), version, 10)
	return append(append(b, ':'), blob...)
}

// cutVersion takes prefixed apart; of the floor there is no more than a version.
func cutVersion(value string) (version uint64, blob string, ok bool) {
	count, blob, _ := strings.Cut(value, ":")
	version, err := strconv.ParseUint(count, 10, 64)
	return version, blob, err == nil
}

// sealMeta names the secret in front, so that a record says what opens it.
func (r *record) sealMeta() []byte {
	m := r.meta
	m.probation = r.probation.Load()
	return append(slices.Clone(r.secret.name[:]), sealWith(r.secret.admin, r.id, fieldMeta, m.encode())...)
}

func (r *record) sealCookie(c *cookie) (field string, blob []byte) {
	field = r.keys.name(kindCookie, c.name, c.path)
	return field, r.keys.seal(field, c.encode())
}

func (r *record) sealDatum(d *datum) (field string, blob []byte) {
	field = r.keys.name(kindDatum, d.name, "")
	return field, r.keys.seal(field, append(appendString(nil, d.name), d.value...))
}

// openMeta opens what sealMeta made, under any of the secrets.
func openMeta(secrets []*secret, i id, blob []byte) (m meta, s *secret, ok bool) {
	for _, s := range secrets {
		rest, found := bytes.CutPrefix(blob, s.name[:])
		if !found {
			continue
		}
		b, err := openWith(s.admin, i, fieldMeta, rest)
		if err != nil {
			return m, nil, false
		}
		m, ok = decodeMeta(b)
		return m, s, ok
	}
	return m, nil, false
}

// decodeRecord opens a hash. A field that does not open is left out, and
// counted: it is no reason to sign anybody out. Without its meta data there is
// no session.
func (t *Terminator) decodeRecord(s *secret, tok token, hash map[string]string) (*record, bool) {
	r, err := newRecord(s, tok)
	if err != nil {
		return nil, false
	}
	for field, value := range hash {
		if field == "" || (field[0] != kindCookie && field[0] != kindDatum && field != fieldMeta && field != fieldFloor) {
			continue
		}
		version, blob, ok := cutVersion(value)
		if !ok || !r.openField(field, version, []byte(blob)) {
			t.count(BadField)
		}
	}
	if r.meta.created == 0 {
		return nil, false
	}
	slices.SortFunc(r.data, func(a, b datum) int { return strings.Compare(a.name, b.name) })
	r.finish(t)
	return r, true
}

func (r *record) openField(field string, version uint64, blob []byte) bool {
	if field == fieldMeta {
		var ok bool
		r.version = version
		r.meta, _, ok = openMeta([]*secret{r.secret}, r.id, blob)
		return ok
	}
	if len(blob) == 0 {
		r.floor = max(r.floor, version)
		if field != fieldFloor {
			r.dead = append(r.dead, field)
		}
		return true
	}
	plain, err := r.keys.open(field, blob)
	if err != nil {
		return false
	}
	if field[0] == kindDatum {
		name, rest, ok := cutString(plain)
		r.data = append(r.data, datum{name, string(rest)})
		return ok
	}
	c, ok := decodeCookie(plain)
	if ok {
		c.version = version
		r.jar = append(r.jar, c)
	}
	return ok
}

// authExpiry is when the app's own session cookie ends: 0 where it has no
// end, or where there is none.
func (r *record) authExpiry(auth []string) (expires int64, has bool) {
	for i := range r.jar {
		if c := &r.jar[i]; slices.Contains(auth, c.name) {
			if c.expires == 0 {
				return 0, true
			}
			expires, has = max(expires, c.expires), true
		}
	}
	return expires, has
}

// end is when the session is over whatever is done: its absolute deadline,
// or the end of the app's cookie before that.
func (t *Terminator) end(r *record) int64 {
	end := r.meta.deadline
	if t.opt().Lifetime.Mode == Follow {
		if e, has := r.authExpiry(t.opt().Cookies.Auth); has && e != 0 {
			end = min(end, e)
		}
	}
	return end
}

// ttl is how long Redis is to keep the record from now on if it is not used
// again.
func (t *Terminator) ttl(r *record, now int64) time.Duration {
	end := t.end(r)
	switch {
	case r.probation.Load() != 0:
		end = min(end, r.probation.Load())
	case r.meta.signedIn == 0:
		end = min(end, now+t.opt().Lifetime.Anonymous.Milliseconds())
	}
	if idle := t.opt().Lifetime.Idle; idle > 0 {
		end = min(end, now+idle.Milliseconds())
	}
	return time.Duration(max(end-now, 1)) * time.Millisecond
}

// over says whether the session has ended by the clock or by a not-before
// mark.
func (t *Terminator) over(r *record, now int64) bool {
	if e := r.expires.Load(); e != 0 && e <= now {
		return true
	}
	return t.end(r) <= now || t.marks.Load().hit(r)
}
