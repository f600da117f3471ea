package sessions

import (
	"context"
	"errors"
	"slices"

	"github.com/redis/go-redis/v9"
)

// replace writes next, then puts tomb in old's place, then brings over what
// was written to old since it was read. Where old had gone, next is undone, if
// it is nobody else's.
func (t *Terminator) replace(ctx context.Context, old, next *record, tomb []byte, mine bool) (retired, error) {
	made, err := t.create(ctx, next)
	if err != nil {
		if mine { // else another may have made it
			t.behind(func(ctx context.Context) { t.unregister(ctx, next) })
		}
		return retired{}, err
	}
	gone, err := t.retire(ctx, old.id, tomb, false)
	if err != nil {
		if made && mine {
			t.behind(func(ctx context.Context) { t.discard(ctx, next) })
		}
		return gone, err
	}
	t.watch.push(old.id)
	if gone.was != found {
		if made && mine {
			t.discard(ctx, next)
		}
		return gone, nil
	}
	t.unregister(ctx, old)
	return gone, t.carry(ctx, old, next, gone.fields)
}

// move brings a record under the new first secret, so that the old one can be
// taken away. All requests that do so at once derive the same token. What
// fails here is tried again with the next request.
func (v *Visitor) move(ctx context.Context) {
	t, old := v.t, v.rec
	s := t.first()
	sum := s.record.of("moved", string(old.token[:]))
	next, err := t.prepare(ctx, draft{secret: s, token: token(sum[:28]), jar: old.jar, data: old.data, meta: old.meta, old: old})
	if err != nil {
		if errors.Is(err, errBarred) {
			v.rec, v.gone = nil, true
			v.out = t.opt().setCookie("", 0)
		}
		return
	}
	next.version, next.floor = old.version, old.floor
	next.probation.Store(old.probation.Load())
	gone, err := t.replace(ctx, old, next, old.forward(next), false)
	if err != nil {
		return
	}
	if gone.was != found {
		// Another request moved it, or it was ended: look again.
		r, p, err := t.find(ctx, v.secret, v.token)
		switch {
		case err != nil:
			return
		case p != found:
			// Not discarded: who ended it may have left a tombstone there.
			if _, err := t.retire(ctx, next.id, tombstone, false); err == nil {
				t.unregister(ctx, next)
			}
			v.rec, v.gone, v.silent = nil, true, p == buried
			return
		}
		next = r
	}
	t.count(Moved)
	v.rec = next
	v.reissue(next)
}

// forward is the tombstone that sends late requests on to next.
func (r *record) forward(next *record) []byte {
	plain := append(append([]byte(nil), next.secret.name[:]...), next.token[:]...)
	return append(append([]byte{movedTo}, next.session...), r.keys.seal("t", plain)...)
}

// succeeded is the tombstone of a session that goes on under another token.
// It names no heir where somebody signed in, for nothing that was asked of the
// edge before that is meant for them.
func (t *Terminator) succeeded(old, next *record) string {
	switch {
	case old.meta.signedIn == 0 || old.meta.user != next.meta.user:
		return tombstone
	case !sameAuth(old.jar, next.jar, t.opt().Cookies.Auth):
		return tombstone + next.session
	}
	return tombstone + next.session + asBefore
}

// asBefore: the heir's cookies in auth are those of the session that it took
// the place of.
const asBefore = "="

// heir is the session that took the place of one with the tombstone tomb, and
// whether the app still knows it by the same cookie. Its name is no secret, and
// what knows an old token learns no new one from it.
func heir(tomb string) (i id, same, ok bool) {
	if len(tomb) <= idLength || tomb[0] != movedTo && tomb[0] != tombstone[0] {
		return i, false, false
	}
	i, ok = parseID(tomb[1 : 1+idLength])
	return i, tomb[0] == movedTo || tomb[1+idLength:] == asBefore, ok
}

// mostHeirs bounds how far tombstones are followed; they live for half a
// minute.
const mostHeirs = 16

// heirOf follows the tombstones from a session to the one that goes on: itself
// where it has none.
func (t *Terminator) heirOf(ctx context.Context, i id) (id, error) {
	for range mostHeirs {
		tomb, err := t.tomb(ctx, i)
		if err != nil {
			return i, err
		}
		next, _, ok := heir(tomb)
		if !ok {
			break
		}
		i = next
	}
	return i, nil
}

// tomb is the tombstone of a session, "" where there is none.
func (t *Terminator) tomb(ctx context.Context, i id) (string, error) {
	if t.isDown() {
		return "", t.unavailable(errDown)
	}
	if err := ctx.Err(); err != nil {
		return "", t.unavailable(err)
	}
	ctx, cancel := t.within(ctx)
	defer cancel()
	value, err := t.opt().Client.Get(ctx, t.recordKey(i)).Result()
	t.heard(ctx, err)
	if err == redis.Nil || isWrongType(err) {
		return "", nil
	}
	if err != nil {
		return "", t.unavailable(err)
	}
	return value, nil
}

func sameAuth(a, b []cookie, auth []string) bool {
	has := func(jar []cookie, c *cookie) bool {
		i := inJar(jar, c.name, c.path)
		return i >= 0 && jar[i].value == c.value
	}
	n := 0
	for i := range a {
		if slices.Contains(auth, a[i].name) {
			n++
			if !has(b, &a[i]) {
				return false
			}
		}
	}
	for i := range b {
		if slices.Contains(auth, b[i].name) && !has(a, &b[i]) {
			return false
		}
	}
	return n > 0
}
