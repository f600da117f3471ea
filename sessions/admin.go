package sessions

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Info is one session in the operator's list.
type Info struct {
	ID       string    `json:"id"` // also X-Edge-Session, and the digest of purges
	User     string    `json:"user,omitempty"`
	Created  time.Time `json:"created"`
	SignedIn time.Time `json:"signed_in,omitzero"`
	Expires  time.Time `json:"expires,omitzero"` // if it is not used again
}

// Selector says whose sessions to end: exactly one field is set.
type Selector struct {
	Session string // Info.ID
	User    string // the uid, as the app announced it
	All     bool
}

var errSelector = errors.New("sessions: name a session, a user, or all, and one of them")

// listMost bounds a list of everybody's sessions.
const listMost = 10_000

// List gives the sessions that sel names, oldest first; of all there are, any
// listMost. It is for operators: it walks through Redis for all of them.
func (t *Terminator) List(ctx context.Context, sel Selector) ([]Info, error) {
	ids, err := t.named(ctx, sel)
	if err != nil {
		return nil, err
	}
	out := make([]Info, 0, len(ids))
	for some := range slices.Chunk(ids, 256) {
		if out, err = t.infos(ctx, out, some); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out, func(a, b Info) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return out, nil
}

// named are the ids of the records that sel may mean.
func (t *Terminator) named(ctx context.Context, sel Selector) (ids []id, err error) {
	add := func(name string) {
		if i, ok := parseID(name); ok {
			ids = append(ids, i)
		}
	}
	switch {
	case sel.All:
		return t.everyID(ctx)
	case sel.Session != "":
		add(sel.Session)
		return ids, nil
	}
	for _, s := range *t.secrets.Load() {
		fields, err := t.opt().Client.HKeys(ctx, t.userKey(s.userKey(t.opt().Identity.Realm, sel.User))).Result()
		if err != nil {
			return nil, t.unavailable(err)
		}
		for _, f := range fields {
			if name, ok := strings.CutPrefix(f, "s"); ok {
				add(name)
			}
		}
	}
	return ids, nil
}

// everyID walks through the records of every node: nothing keeps a list of
// them, since a sign-in would have to write to it. Tombstones are no hashes.
func (t *Terminator) everyID(ctx context.Context) (ids []id, err error) {
	var mu sync.Mutex
	prefix := t.prefix + "s:"
	walk := func(ctx context.Context, c redis.Cmdable) error {
		keys := c.ScanType(ctx, 0, globEscape(prefix)+"*", 1000, "hash").Iterator()
		for keys.Next(ctx) {
			i, ok := parseID(strings.TrimPrefix(keys.Val(), prefix))
			mu.Lock()
			if ok && len(ids) < listMost {
				ids = append(ids, i)
			}
			full := len(ids) >= listMost
			mu.Unlock()
			if full {
				return nil
			}
		}
		return keys.Err()
	}
	if cluster, ok := t.opt().Client.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return walk(ctx, c) })
	} else {
		err = walk(ctx, t.opt().Client)
	}
	if err != nil {
		return nil, t.unavailable(err)
	}
	slices.SortFunc(ids, func(a, b id) int { return cmp.Compare(a.String(), b.String()) })
	return slices.Compact(ids), nil // SCAN may show a key twice
}

// globEscape makes text stand for itself in a pattern of SCAN.
func globEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`).Replace(s)
}

// infos adds what the operator may know of some records, in one round trip.
func (t *Terminator) infos(ctx context.Context, out []Info, ids []id) ([]Info, error) {
	metas, left := make([]*redis.StringCmd, len(ids)), make([]*redis.DurationCmd, len(ids))
	_, err := t.opt().Client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for n, i := range ids {
			metas[n], left[n] = p.HGet(ctx, t.recordKey(i), fieldMeta), p.PTTL(ctx, t.recordKey(i))
		}
		return nil
	})
	var answer redis.Error // of one record: it has ended, or a tombstone is there
	if err != nil && (!errors.As(err, &answer) || masterless(err)) {
		return nil, t.unavailable(err)
	}
	for n, i := range ids {
		m, _, ok := t.openMetaField(i, metas[n].Val())
		since := cmp.Or(m.signedIn, m.created)
		if !ok || since <= t.marks.Load().all {
			continue
		}
		info := Info{ID: i.String(), User: m.user, Created: time.UnixMilli(m.created).UTC()}
		if m.signedIn != 0 {
			info.SignedIn = time.UnixMilli(m.signedIn).UTC()
		}
		if ttl := left[n].Val(); ttl > 0 {
			info.Expires = t.opt().Now().Add(ttl).UTC()
		}
		out = append(out, info)
	}
	return out, nil
}

func (t *Terminator) openMetaField(i id, value string) (meta, *secret, bool) {
	for at := range len(value) {
		if value[at] == ':' {
			return openMeta(*t.secrets.Load(), i, []byte(value[at+1:]))
		}
	}
	return meta{}, nil, false
}

// UserDigests are what purges and events know a user by: one for each secret
// in force.
func (t *Terminator) UserDigests(user string) []string {
	var out []string
	for _, s := range *t.secrets.Load() {
		out = append(out, s.owner(t.opt().Identity.Realm, user))
	}
	return out
}

// UserKeys are what pages of a user are keyed by at the moment; none for
// somebody who has no session.
func (t *Terminator) UserKeys(ctx context.Context, user string) ([]string, error) {
	var out []string
	for _, s := range *t.secrets.Load() {
		g, err := t.opt().Client.HGet(ctx, t.userKey(s.userKey(t.opt().Identity.Realm, user)), "g").Result()
		switch {
		case err == redis.Nil:
		case err != nil:
			return nil, t.unavailable(err)
		default:
			out = append(out, s.userDigest(t.opt().Identity.Realm, user, g))
		}
	}
	return out, nil
}

// Revoke ends sessions, here and on every edge within a second. n counts the
// records that went; with All it is 0: they go with their time, and no edge
// accepts them meanwhile. The caller sees to it that the pages of end are
// unreachable: Options.Ended is not called.
func (t *Terminator) Revoke(ctx context.Context, sel Selector) (n int, end End, err error) {
	switch {
	case sel.Session != "" && sel.User == "" && !sel.All:
		return t.revokeSession(ctx, sel.Session)
	case sel.User != "" && sel.Session == "" && !sel.All:
		return t.revokeUser(ctx, sel.User, true, "")
	case sel.All && sel.Session == "" && sel.User == "":
		if err := t.mark(ctx, everybody, t.opt().Now().UnixMilli()); err != nil {
			return 0, End{}, err
		}
		t.local.clear()
		t.watch.pushAll()
		t.count(Revoked)
		return 0, End{All: true}, nil
	}
	return 0, End{}, errSelector
}

func (t *Terminator) revokeSession(ctx context.Context, session string) (n int, end End, err error) {
	i, ok := parseID(session)
	if !ok {
		return 0, end, nil
	}
	gone, err := t.retire(ctx, i, revoked, false)
	if err != nil || gone.was != found {
		return 0, end, err
	}
	t.watch.push(i)
	t.count(Revoked)
	return 1, t.unlist(ctx, i, gone.fields), nil
}

// unlist takes a session that has ended out of its user's list, by what its
// record held, and says whose pages are over.
func (t *Terminator) unlist(ctx context.Context, i id, fields map[string]string) End {
	end := End{Sessions: []string{i.String()}}
	if m, s, ok := t.openMetaField(i, fields[fieldMeta]); ok {
		r := &record{meta: m, session: i.String()}
		if m.user != "" {
			r.userKey = s.userKey(t.opt().Identity.Realm, m.user)
			end.Users = []string{s.owner(t.opt().Identity.Realm, m.user)}
		}
		t.unregister(ctx, r)
	}
	return end
}

// revokeUser ends a user's sessions but for keep. With barred, a not-before
// mark ends those too whose sign-in is on its way.
func (t *Terminator) revokeUser(ctx context.Context, uid string, barred bool, keep string) (n int, end End, err error) {
	now := t.opt().Now().UnixMilli()
	for _, s := range *t.secrets.Load() {
		u := s.userKey(t.opt().Identity.Realm, uid)
		mark, generation := "", ""
		if barred {
			// The edges' own copy of the mark holds whatever happens after.
			if err := t.mark(ctx, u, now); err != nil {
				return n, end, err
			}
			mark, generation = strconv.FormatInt(now, 10), newGeneration(now)
		}
		vals, err := t.run(ctx, scriptRevoke, t.userKey(u), mark, generation, t.opt().Lifetime.Absolute.Milliseconds(), keep).Slice()
		if err != nil {
			return n, end, t.unavailable(err)
		}
		got := texts(vals)
		end.Users = append(end.Users, s.owner(t.opt().Identity.Realm, uid))
		for _, name := range got[min(1, len(got)):] {
			i, ok := parseID(name)
			if !ok {
				continue
			}
			gone, err := t.retire(ctx, i, revoked, true)
			if err != nil {
				return n, end, err
			}
			if gone.was == found {
				n++
			}
			t.watch.push(i)
			end.Sessions = append(end.Sessions, name)
		}
	}
	t.count(Revoked)
	return n, end, nil
}

// Ended is told of what has ended on any edge: what this edge's memory holds
// of it goes, before Redis's own push may have come.
func (t *Terminator) Ended(ctx context.Context, end End) {
	for _, session := range end.Sessions {
		if i, ok := parseID(session); ok {
			t.local.drop(i)
			t.watch.push(i)
		}
	}
	if end.All {
		t.local.clear()
		t.probe(ctx)
		t.watch.pushAll()
	}
}

// ended tells the cache, on every edge, whose pages are over.
func (t *Terminator) ended(ctx context.Context, e End) {
	if len(e.Sessions)+len(e.Users) == 0 && !e.All {
		return
	}
	// It has a time of its own, and is not to be given up half-way.
	if err := t.opt().Ended(context.WithoutCancel(ctx), e); err != nil {
		t.warn("not every edge has acknowledged that a session ended", err)
	}
}
