package sessions

import "github.com/redis/go-redis/v9"

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
	// Answers what the record held at that moment; {-1, tombstone} where there
	// was one, {-1} on anything else, {-2} on nothing.
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
local out = {-1}
if ty == 'none' then out = {-2} elseif ty == 'string' then out[2] = redis.call('GET', k) end
if ARGV[3] == '1' and (ty == 'none' or out[2] == 'r') then
  redis.call('SET', k, ARGV[1], 'PX', ARGV[2])
end
return out`)

	// scriptPatch: fields of a retired record that were written after it had
	// been copied. ARGV: the version that the record had in the end, that of
	// the copy, then field, value, …; what was written to the copy since is
	// newer and stays. Never creates.
	scriptPatch = redis.NewScript(`
local k = KEYS[1]
local ty = redis.call('TYPE', k)
if type(ty) == 'table' then ty = ty['ok'] end
if ty ~= 'hash' then return 0 end
local m = redis.call('HGET', k, 'm')
local at = string.find(m, ':', 1, true)
if tonumber(string.sub(m, 1, at - 1)) < tonumber(ARGV[1]) then
  redis.call('HSET', k, 'm', ARGV[1] .. string.sub(m, at))
end
for i = 3, #ARGV, 2 do
  local cur = redis.call('HGET', k, ARGV[i])
  if not cur or tonumber(string.match(cur, '^%d+') or 0) <= tonumber(ARGV[2]) then
    redis.call('HSET', k, ARGV[i], ARGV[i+1])
  end
end
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
	// sessions (0: any), the session whose place this one takes or "": it is
	// not one of them. Answers {generation, sessions pushed out …}; {} where
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
      elseif all[i] ~= me and all[i] ~= 's' .. ARGV[7] then live[#live+1] = {all[i], tonumber(all[i+1])} end
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
