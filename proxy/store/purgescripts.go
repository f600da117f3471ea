package store

import "github.com/redis/go-redis/v9"

// The purge log in Redis is two keys of one slot:
//
//	PREFIX:edge:{log}:purges  a stream; ids are N-0, N rising by one for each
//	                          record within an epoch
//	PREFIX:edge:{log}:edges   a hash: edge → "epoch number seen", where seen is
//	                          Redis's clock in ms at the edge's last heartbeat
//
// and two channels, PREFIX:edge:{log}:news of numbers and PREFIX:edge:{log}:acks
// of "epoch number edge".
//
// Fields of a record: e epoch, c a random word that no other record has, t
// Redis's clock in ms, k kind (begin, purge, floor, rebase), s selectors, f the
// number that a floor declares dead, o the edge it came from, w set where
// somebody waits, a the audit text, sealed.
//
// An epoch begins with the stream, or when an edge finds that Redis has lost
// records which it had applied (a failover to a replica that lagged): then
// what was stored in the epoch before is dead, for nobody can tell what the
// lost records said. A stream begins at the number that is Redis's clock in
// ms, so that numbers rise from one stream to the next.
//
// Every script uses only what Redis 6 and miniredis have in common.
const luaHead = `
local function clock()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
local function text(n) return string.format('%.0f', n) end
local function field(record, name)
  for i = 1, #record[2], 2 do
    if record[2][i] == name then return record[2][i + 1] end
  end
end
local function number(record) return tonumber(string.match(record[1], '^(%d+)-0$')) end
local function ours(record)
  return record and number(record) and field(record, 'e') and field(record, 'c')
end
-- newest gives the last record; without one of ours it begins a new stream.
local function newest(now, epoch, word)
  local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
  if ours(last) then return last end
  redis.call('DEL', KEYS[1])
  redis.call('XADD', KEYS[1], text(now) .. '-0', 'e', epoch, 'c', word, 't', text(now), 'k', 'begin')
  return redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
end
`

// beatScript is an edge's heartbeat. It gives the log's newest record, the
// first number, the clock and all edges.
//
// ARGV: 1 epoch and 2 word for a new stream, 3 edge, 4 epoch and 5 number that
// it has applied (0 before it has any), 6 the channel to tell or "", 7 age in
// ms at which an edge is forgotten, 8 age at which records are forgotten (0:
// not now), 9 whether to look for replicas.
var beatScript = redis.NewScript(luaHead + `
local now = clock()
local last = newest(now, ARGV[1], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[3], ARGV[4] .. ' ' .. ARGV[5] .. ' ' .. text(now))
if ARGV[6] ~= '' then
  redis.call('PUBLISH', ARGV[6], ARGV[4] .. ' ' .. ARGV[5] .. ' ' .. ARGV[3])
end
local edges = redis.call('HGETALL', KEYS[2])
local live = {}
for i = 1, #edges, 2 do
  local seen = tonumber(string.match(edges[i + 1], ' (%d+)$'))
  if not seen or seen < now - tonumber(ARGV[7]) then
    redis.call('HDEL', KEYS[2], edges[i])
  else
    live[#live + 1] = edges[i]
    live[#live + 1] = edges[i + 1]
  end
end
if tonumber(ARGV[8]) > 0 then
  local old = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1000)
  local cut
  for i = 1, #old do
    local t = tonumber(field(old[i], 't') or '')
    if not t or t > now - tonumber(ARGV[8]) or old[i][1] == last[1] then break end
    cut = number(old[i])
  end
  if cut then redis.call('XTRIM', KEYS[1], 'MINID', text(cut + 1) .. '-0') end
end
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local replicas = '-1'
if ARGV[9] ~= '' then
  local info = redis.pcall('INFO', 'replication')
  if type(info) == 'string' then replicas = string.match(info, 'connected_slaves:(%d+)') or '-1' end
end
return {text(number(last)), field(last, 'e'), field(last, 'c'), text(number(first)), text(now), replicas, live}
`)

// appendScript adds one purge, and trims the log to its bound: then a floor is
// added first that declares dead whatever the records to go could concern.
//
// ARGV: 1 epoch and 2 word for a new stream, 3 the record's word, 4 selectors,
// 5 edge, 6 audit text, 7 "1" where somebody waits, 8 bound, 9 the floor's
// word, 10 the channel for news.
const appendScript = luaHead + `
local now = clock()
local last = newest(now, ARGV[1], ARGV[2])
local epoch = field(last, 'e')
local n = number(last) + 1
local args = {'XADD', KEYS[1], text(n) .. '-0', 'e', epoch, 'c', ARGV[3], 't', text(now), 'k', 'purge',
  's', ARGV[4], 'o', ARGV[5]}
if ARGV[6] ~= '' then args[#args + 1] = 'a'; args[#args + 1] = ARGV[6] end
if ARGV[7] ~= '' then args[#args + 1] = 'w'; args[#args + 1] = ARGV[7] end
redis.call(unpack(args))
local bound = tonumber(ARGV[8])
if redis.call('XLEN', KEYS[1]) > bound then
  local floor = n - math.floor(bound * 0.9)
  redis.call('XADD', KEYS[1], text(n + 1) .. '-0', 'e', epoch, 'c', ARGV[9], 't', text(now), 'k', 'floor', 'f', text(floor))
  redis.call('XTRIM', KEYS[1], 'MINID', text(floor + 1) .. '-0')
end
redis.call('PUBLISH', ARGV[10], text(n))
return {text(n), epoch, text(now), redis.call('HGETALL', KEYS[2])}
`

// rebaseScript begins a new epoch in a stream that does not hold, at its
// place, the newest record that the calling edge has applied.
//
// ARGV: 1 epoch and 2 word for a new epoch, 3 epoch, 4 number and 5 word of
// that record.
var rebaseScript = redis.NewScript(luaHead + `
local now = clock()
local last = newest(now, ARGV[1], ARGV[2])
if field(last, 'e') ~= ARGV[3] then return 0 end
local mine = redis.call('XRANGE', KEYS[1], ARGV[4] .. '-0', ARGV[4] .. '-0')[1]
if mine and field(mine, 'c') == ARGV[5] then return 0 end
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if not mine and number(first) > tonumber(ARGV[4]) then return 0 end
local n = math.max(number(last), tonumber(ARGV[4])) + 1
redis.call('XADD', KEYS[1], text(n) .. '-0', 'e', ARGV[1], 'c', ARGV[2], 't', text(now), 'k', 'rebase')
return 1
`)
