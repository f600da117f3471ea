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

// Each script touches one key.
var (
	// scriptCreate: the fields of a new record. ARGV: ttl ms, field, value, …
	// Refused (0) where the key exists: a record, or the tombstone that a
	// revocation left while this sign-in was on its way.
	scriptCreate = redis.NewScript(`
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1`)

	// scriptWrite: single fields. ARGV: the version that the writer had read,
	// ttl ms, most fields, then op, field, value, …; ops: s(et), e (set, and
	// the ttl with it), f(orget). Answers {version, 1|0, …}; {-1} on a
	// tombstone, {-2} on nothing: a write revives no session. The number in
	// front of m is the record's version: m itself is only replaced where
	// nothing at all has been written since.
	scriptWrite = redis.NewScript(`
local k = KEYS[1]
local ty = redis.call('TYPE', k)
if type(ty) == 'table' then ty = ty['ok'] end
if ty == 'none' then return {-2} end
if ty ~= 'hash' then return {-1} end
local base, most = tonumber(ARGV[1]), tonumber(ARGV[3])
local m = redis.call('HGET', k, 'm')
local at = string.find(m, ':', 1, true)
local was = tonumber(string.sub(m, 1, at - 1))
local v = was + 1
redis.call('HSET', k, 'm', v .. string.sub(m, at))
local out = {v}
for i = 4, #ARGV, 3 do
  local op, f = ARGV[i], ARGV[i+1]
  local cur = redis.call('HGET', k, f)
  local ok = 1
  if f == 'm' then
    if was > base then ok = 0 end
  elseif cur then
    if tonumber(string.match(cur, '^%d+') or 0) > base then ok = 0 end
  else
    local floor = redis.call('HGET', k, 'f')
    if floor and tonumber(floor) > base then ok = 0 end
    if redis.call('HLEN', k) >= most then ok = 0 end
  end
  if ok == 1 then
    if op == 'f' then
      if cur then
        local written = tonumber(string.match(cur, '^%d+') or 0)
        local floor = tonumber(redis.call('HGET', k, 'f') or '0')
        redis.call('HDEL', k, f)
        if written > floor then redis.call('HSET', k, 'f', written) end
      end
    else
      redis.call('HSET', k, f, v .. ':' .. ARGV[i+2])
      if op == 'e' then redis.call('PEXPIRE', k, ARGV[2]) end
    end
  end
  out[#out+1] = ok
end
return out`)

	// scriptRetire: a tombstone in the record's place. ARGV: its value, ttl
	// ms, and 1 to leave one where there is nothing, or that of a revocation.
	// Answers what the record held at that moment; {-1} on a tombstone, {-2}
	// on nothing.
	scriptRetire = redis.NewScript(`
local k = KEYS[1]
local ty = redis.call('TYPE', k)
if type(ty) == 'table' then ty = ty['ok'] end
if ty == 'hash' then
  local all = redis.call('HGETALL', k)
  redis.call('DEL', k)
  redis.call('SET', k, ARGV[1], 'PX', ARGV[2])
  return all
end
if ARGV[3] == '1' and (ty == 'none' or redis.call('GET', k) == 'r') then
  redis.call('SET', k, ARGV[1], 'PX', ARGV[2])
end
if ty ~= 'none' then return {-1} end
return {-2}`)

	// scriptPatch: fields of a retired record that were written after it had
	// been copied. ARGV: field, value, … Never creates.
	scriptPatch = redis.NewScript(`
local k = KEYS[1]
local ty = redis.call('TYPE', k)
if type(ty) == 'table' then ty = ty['ok'] end
if ty ~= 'hash' then return 0 end
redis.call('HSET', k, unpack(ARGV))
return 1`)

	// scriptTouch: EXPIRE, of a record only, and never to a shorter life: the
	// app may have given it a longer one meanwhile. ARGV: ttl ms.
	scriptTouch = redis.NewScript(`
local k = KEYS[1]
local ty = redis.call('TYPE', k)
if type(ty) == 'table' then ty = ty['ok'] end
if ty ~= 'hash' then return 0 end
if redis.call('PTTL', k) < tonumber(ARGV[1]) then redis.call('PEXPIRE', k, ARGV[1]) end
return 1`)

	// scriptRegister: a session of a user. ARGV: session, signed in ms,
	// deadline ms, now ms, a generation for a user that has none, most
	// sessions (0: any). Answers {generation, sessions pushed out …}; {} where
	// the sign-in is not after the user's not-before mark.
	scriptRegister = redis.NewScript(`
local k = KEYS[1]
local mark = redis.call('HGET', k, 'n')
if mark and tonumber(ARGV[2]) <= tonumber(mark) then return {} end
local g = redis.call('HGET', k, 'g')
if not g then g = ARGV[5] redis.call('HSET', k, 'g', g) end
local me, now, most = 's' .. ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[6])
redis.call('HSET', k, me, ARGV[3])
local out = {g}
local prune = tonumber(redis.call('HGET', k, 'p') or '32')
if most > 0 or redis.call('HLEN', k) > prune then
  local all, live = redis.call('HGETALL', k), {}
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 1) == 's' then
      if tonumber(all[i+1]) <= now then redis.call('HDEL', k, all[i])
      elseif all[i] ~= me then live[#live+1] = {all[i], tonumber(all[i+1])} end
    end
  end
  redis.call('HSET', k, 'p', 2 * #live + 32)
  if most > 0 and #live + 1 > most then
    table.sort(live, function(a, b) return a[2] < b[2] end)
    for i = 1, #live + 1 - most do
      redis.call('HDEL', k, live[i][1])
      out[#out+1] = string.sub(live[i][1], 2)
    end
  end
end
local ttl = tonumber(ARGV[3]) - now
if redis.call('PTTL', k) < ttl then redis.call('PEXPIRE', k, ttl) end
return out`)

	// scriptUnregister: a session of a user is over. With the last one goes
	// the generation. ARGV: session.
	scriptUnregister = redis.NewScript(`
local k = KEYS[1]
redis.call('HDEL', k, 's' .. ARGV[1])
local n = redis.call('HLEN', k)
for _, f in ipairs({'g', 'n', 'p'}) do n = n - redis.call('HEXISTS', k, f) end
if n == 0 then redis.call('HDEL', k, 'g') end
return n`)

	// scriptRevoke: all of a user's sessions but one. ARGV: not-before mark
	// ms or "", new generation or "", ttl ms of the mark, session to keep or
	// "". Answers {old generation, sessions …}. Sign-ins that registered
	// before are in the answer; those that come after meet the mark.
	scriptRevoke = redis.NewScript(`
local k = KEYS[1]
local out = {redis.call('HGET', k, 'g') or ''}
local all = redis.call('HGETALL', k)
for i = 1, #all, 2 do
  if string.sub(all[i], 1, 1) == 's' and all[i] ~= 's' .. ARGV[4] then
    redis.call('HDEL', k, all[i])
    out[#out+1] = string.sub(all[i], 2)
  end
end
if ARGV[1] ~= '' then
  redis.call('HSET', k, 'n', ARGV[1], 'g', ARGV[2])
  if redis.call('PTTL', k) < tonumber(ARGV[3]) then redis.call('PEXPIRE', k, ARGV[3]) end
end
return out`)

	// scriptAdmit: one more anonymous record. ARGV: session, expiry ms, now
	// ms, most. Answers 0 where there are enough.
	scriptAdmit = redis.NewScript(`
local k = KEYS[1]
redis.call('ZREMRANGEBYSCORE', k, '-inf', ARGV[3])
local most = tonumber(ARGV[4])
if most >= 0 and redis.call('ZCARD', k) >= most then return 0 end
redis.call('ZADD', k, ARGV[2], ARGV[1])
local ttl = tonumber(ARGV[2]) - tonumber(ARGV[3])
if redis.call('PTTL', k) < ttl then redis.call('PEXPIRE', k, ttl) end
return 1`)

	// scriptMark: a not-before mark. ARGV: whose, ms, marks older than this
	// go, ttl ms.
	scriptMark = redis.NewScript(`
local k = KEYS[1]
local all = redis.call('HGETALL', k)
for i = 1, #all, 2 do
  if tonumber(all[i+1]) < tonumber(ARGV[3]) then redis.call('HDEL', k, all[i]) end
end
redis.call('HSET', k, ARGV[1], ARGV[2])
redis.call('PEXPIRE', k, ARGV[4])
return 1`)
)

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
	k, err := s.keys(&tok, i)
	if err != nil || len(v) < 2 || v[0] != 'm' {
		return nil, buried, nil
	}
	plain, err := k.open("t", v[1:])
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

// The values that end a record for good.
const (
	// tombstone: rotated or signed out. The browser holds another cookie by
	// now, which nothing may replace.
	tombstone = "x"
	// revoked: by an operator, or from another device. The browser knows
	// nothing of it, and may sign in again with this very cookie.
	revoked = "r"
)

// forward is the value that sends late requests on to another record.
func (r *record) forward(next *record) []byte {
	plain := append(append([]byte(nil), next.secret.name[:]...), next.token[:]...)
	return append([]byte{'m'}, r.keys.seal("t", plain)...)
}

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

// retire puts a tombstone in a record's place and returns the fields that it
// held; bury does so where there is no record as well.
func (t *Terminator) retire(ctx context.Context, i id, value any, bury bool) (map[string]string, presence, error) {
	force := "0"
	if bury {
		force = "1"
	}
	t.local.drop(i)
	vals, err := t.run(ctx, scriptRetire, t.recordKey(i), value, tombstoneLife.Milliseconds(), force).Slice()
	t.local.drop(i)
	if err != nil {
		return nil, absent, t.unavailable(err)
	}
	if len(vals) == 1 {
		if n, _ := vals[0].(int64); n == -1 {
			return nil, buried, nil
		}
		return nil, absent, nil
	}
	fields := make(map[string]string, len(vals)/2)
	for i := 0; i+1 < len(vals); i += 2 {
		f, _ := vals[i].(string)
		v, _ := vals[i+1].(string)
		fields[f] = v
	}
	return fields, found, nil
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
