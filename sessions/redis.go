package sessions

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// tombstoneLife is how long a token that was rotated or signed out is
// remembered, so that late answers to requests made with it set no cookie.
const tombstoneLife = 30 * time.Second

func (t *Terminator) recordKey(i id) string   { return t.prefix + "s:" + i.String() }
func (t *Terminator) userKey(u string) string { return t.prefix + "u:" + u }
func (t *Terminator) marksKey() string        { return t.prefix + "nb:marks" }
func (t *Terminator) anonKey() string         { return t.prefix + "anon" }

// unavailable wraps what Redis or the way to it said.
func (t *Terminator) unavailable(err error) error {
	t.count(RedisError)
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// run runs a script on one key.
func (t *Terminator) run(ctx context.Context, s *redis.Script, key string, args ...any) *redis.Cmd {
	if t.isDown() {
		return redis.NewCmdResult(nil, errDown)
	}
	if err := ctx.Err(); err != nil {
		return redis.NewCmdResult(nil, err) // no silence of Redis's: it is not asked
	}
	ctx, cancel := t.within(ctx)
	defer cancel()
	cmd := s.Run(ctx, t.opt().Client, []string{key}, args...)
	t.heard(ctx, cmd.Err())
	return cmd
}

var errDown = errors.New("it did not answer lately")

// heard keeps count of Redis's silences: after two in a row nobody waits for
// it any more, until the watcher has found it again. An answer that is an
// error is an answer.
func (t *Terminator) heard(ctx context.Context, err error) {
	var answer redis.Error
	switch {
	case err == nil || errors.As(err, &answer) && !masterless(err):
		t.link.silences.Store(0)
	case ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded):
		t.link.silences.Add(1)
	}
}

// masterless reports whether err is that of a client that could not connect,
// for its Sentinels know no such master: it wraps the nil that they answer.
func masterless(err error) bool { return err != redis.Nil && errors.Is(err, redis.Nil) }

func (t *Terminator) isDown() bool {
	return t.link.silences.Load() >= 2 && t.link.watched.Load()
}

// presence is what became of a record.
type presence uint8

const (
	found  presence = iota
	absent          // never there, expired, flushed or revoked
	buried          // a tombstone: rotated or signed out
)

// read asks Redis for a record, in one round trip (one more for a request
// that comes with a token that was moved to a new secret). ctx is to bound it.
func (t *Terminator) read(ctx context.Context, s *secret, tok token) (*record, presence, error) {
	i := s.id(&tok)
	if t.isDown() {
		return nil, absent, t.unavailable(errDown)
	}
	if err := ctx.Err(); err != nil {
		return nil, absent, t.unavailable(err)
	}
	key := t.recordKey(i)
	pipe := t.opt().Client.Pipeline()
	all, left := pipe.HGetAll(ctx, key), pipe.PTTL(ctx, key)
	_, err := pipe.Exec(ctx)
	t.heard(ctx, err)
	if isWrongType(all.Err()) {
		return t.forwarded(ctx, s, tok, i)
	}
	if err != nil {
		return nil, absent, t.unavailable(err)
	}
	if len(all.Val()) == 0 {
		return nil, absent, nil
	}
	r, ok := t.decodeRecord(s, tok, all.Val())
	if !ok {
		t.count(BadRecord)
		return nil, absent, nil
	}
	if ttl := left.Val(); ttl > 0 {
		r.expires.Store(t.opt().Now().Add(ttl).UnixMilli())
		// If a touch has lengthened its life since, the cookie has come back. A
		// life that ends before the probation has none.
		const slack = 1000
		now := t.opt().Now().UnixMilli()
		if p := r.meta.probation; p != 0 && r.expires.Load() <= p+slack && now+t.ttl(r, now).Milliseconds() > p+slack {
			r.probation.Store(p)
		}
	}
	return r, found, nil
}

func isWrongType(err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), "WRONGTYPE")
}

// forwarded follows the tombstone of a record that was moved to a new first
// secret; every other tombstone is the end.
func (t *Terminator) forwarded(ctx context.Context, s *secret, tok token, i id) (*record, presence, error) {
	ctx, cancel := t.within(ctx)
	defer cancel()
	v, err := t.opt().Client.Get(ctx, t.recordKey(i)).Bytes()
	switch {
	case err == redis.Nil || isWrongType(err):
		return nil, buried, nil
	case err != nil:
		return nil, buried, t.unavailable(err)
	case string(v) == revoked:
		return nil, absent, nil
	}
	return t.followed(ctx, s, tok, i, v)
}

// followed is forwarded for the tombstone v.
func (t *Terminator) followed(ctx context.Context, s *secret, tok token, i id, v []byte) (*record, presence, error) {
	const named = 1 + idLength // as in every tombstone that names another session
	k, err := s.keys(&tok, i)
	if err != nil || len(v) < named || v[0] != movedTo {
		return nil, buried, nil
	}
	plain, err := k.open("t", v[named:])
	if err != nil || len(plain) != len(s.name)+len(tok) {
		return nil, buried, nil
	}
	for _, next := range *t.secrets.Load() {
		if string(next.name[:]) == string(plain[:len(next.name)]) && next != s {
			r, p, err := t.read(ctx, next, token(plain[len(next.name):]))
			if p == absent && err == nil {
				p = buried
			}
			return r, p, err
		}
	}
	return nil, buried, nil
}

// What tombstones begin with.
const (
	// tombstone: rotated or signed out. The browser holds another cookie by
	// now, which nothing may replace. The session that goes on under another
	// token may be named behind it: see heir.
	tombstone = "x"
	// movedTo another secret, where late requests follow it.
	movedTo = 'm'
	// revoked: by an operator, or from another device. The browser knows
	// nothing of it, and may sign in again with this very cookie.
	revoked = "r"
)

// create writes a new record; false where its name is taken.
func (t *Terminator) create(ctx context.Context, r *record) (bool, error) {
	now := t.opt().Now()
	ttl := t.ttl(r, now.UnixMilli())
	args := append([]any{ttl.Milliseconds()}, r.hash()...)
	n, err := t.run(ctx, scriptCreate, t.recordKey(r.id), args...).Int()
	if err != nil {
		return false, t.unavailable(err)
	}
	r.expires.Store(now.Add(ttl).UnixMilli())
	return n == 1, nil
}

// retired is what was found where a tombstone was to go.
type retired struct {
	was    presence
	fields map[string]string // of the record
	tomb   string            // the tombstone that was there already
}

// retire puts a tombstone in a record's place; bury does so where there is no
// record as well.
func (t *Terminator) retire(ctx context.Context, i id, value any, bury bool) (retired, error) {
	force := "0"
	if bury {
		force = "1"
	}
	t.local.drop(i)
	vals, err := t.run(ctx, scriptRetire, t.recordKey(i), value, tombstoneLife.Milliseconds(), force).Slice()
	t.local.drop(i)
	if err != nil {
		return retired{was: absent}, t.unavailable(err)
	}
	if n, _ := vals[0].(int64); n == -2 {
		return retired{was: absent}, nil
	} else if n == -1 {
		return retired{was: buried, tomb: strings.Join(texts(vals[1:]), "")}, nil
	}
	fields := make(map[string]string, len(vals)/2)
	for i := 0; i+1 < len(vals); i += 2 {
		f, _ := vals[i].(string)
		v, _ := vals[i+1].(string)
		fields[f] = v
	}
	return retired{was: found, fields: fields}, nil
}

// strings of a script's answer.
func texts(vals []any) []string {
	out := make([]string, 0, len(vals))
	for _, v := range vals {
		s, _ := v.(string)
		out = append(out, s)
	}
	return out
}
