package store

import "github.com/redis/go-redis/v9"

// The purge log in Redis is two keys of one slot:
//
//	PREFIX:edge:{log}:purges  a stream; ids are N-0, N rising by one for each
//	                          record within an epoch
//	PREFIX:edge:{log}:edges   a hash: edge → "epoch number seen", where seen is
//	                          Redis's clock in ms at the edge's last heartbeat;
//	                          :run → the run_id of the server process that
//	                          an edge has vouched for; and :since → when an
//	                          edge first found that process, or no hash at all
//
// and two channels, PREFIX:edge:{log}:news of numbers and PREFIX:edge:{log}:acks
// of "epoch number run edge".
//
// What an edge says it has applied is put there only by a server whose stream
// holds that very record, and with that server's run_id: after a failover the
// new master gives numbers anew that the old one had given, and an edge that
// has applied the old record of a number has not applied the new one.
//
// Fields of a record: e epoch, c a random word that no other record has, t
// Redis's clock in ms, k kind (begin, purge, floor, rebase), s selectors, f the
// number that a floor declares dead, o the edge it came from, w set where
// somebody waits, a the audit text, sealed.
//
// An epoch begins with the stream, or when an edge finds that Redis has lost
// records which it had applied (a failover to a replica that lagged): then
// what was stored in the epoch before is dead, for nobody can tell what the
// lost records said. The same holds where the log comes from another server
// process than before (a failover, a restart, a slot that has moved) and no
// edge that was there before vouches that it is whole: an edge that starts
// cannot know which purges the others had acknowledged. A stream begins at the number that is Redis's clock in
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
local function last() return redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1] end
local function epoch(n, e, c, now, kind)
  redis.call('XADD', KEYS[1], text(n) .. '-0', 'e', e, 'c', c, 't', text(now), 'k', kind)
end
-- server gives the run_id of this server process, nil where we may not know.
local function server()
  local info = redis.pcall('INFO', 'server')
  return type(info) == 'string' and string.match(info, 'run_id:(%w+)') or nil
end
-- newest gives the last record; without one of ours it begins a new stream.
local function newest(now, e, c)
  local record = last()
  if ours(record) then return record, false end
  redis.call('DEL', KEYS[1])
  epoch(now, e, c, now, 'begin')
  return last(), true
end
`

// beatScript is an edge's heartbeat. It gives the log's newest record, the
// first number, the clock and all edges.
//
// ARGV: 1 epoch and 2 word for a new stream, 3 edge, 4 epoch and 5 number that
// it has applied (0 before it has any), 6 the channel to tell or "", 7 age in
// ms at which an edge is forgotten, 8 age at which records are forgotten (0:
// not now), 9 whether to look for replicas, 10 the word of the record applied,
// 11 how long in ms an edge may have been silent and still vouch for the log,
// 12 not empty where it knows that it has not been silent for longer.
var beatScript = redis.NewScript(luaHead + `
local now = clock()
local newest, begun = newest(now, ARGV[1], ARGV[2])
local edges = redis.call('HGETALL', KEYS[2])
local function seen(value) return tonumber(string.match(value, ' (%d+)$') or '') end
local run = server()
local known, own, others
for i = 1, #edges, 2 do
  if edges[i] == ':run' then known = edges[i + 1]
  elseif edges[i] == ':since' then -- no edge
  elseif edges[i] == ARGV[3] then own = seen(edges[i + 1])
  else others = math.max(others or 0, seen(edges[i + 1]) or 0) end
end
local mine = ARGV[4] ~= '0' and redis.call('XRANGE', KEYS[1], ARGV[5] .. '-0', ARGV[5] .. '-0')[1]
local whole = mine and field(mine, 'c') == ARGV[10]
if run and run ~= known then
  local there = ARGV[12] ~= '' or own and (others or 0) <= own + tonumber(ARGV[11])
  if begun or whole and there then
    redis.call('HSET', KEYS[2], ':run', run, ':since', text(now))
  elseif whole or not mine then
    epoch(math.max(number(newest), tonumber(ARGV[5])) + 1, ARGV[1], ARGV[2], now, 'rebase')
    newest = last()
    redis.call('HSET', KEYS[2], ':run', run, ':since', text(now))
  end
end
redis.call('HSETNX', KEYS[2], ':since', text(now))
redis.call('HSET', KEYS[2], ARGV[3], (whole and ARGV[4] .. ' ' .. ARGV[5] or '0 0') .. ' ' .. text(now))
if ARGV[6] ~= '' and whole then
  redis.call('PUBLISH', ARGV[6], ARGV[4] .. ' ' .. ARGV[5] .. ' ' .. (run or '-') .. ' ' .. ARGV[3])
end
edges = redis.call('HGETALL', KEYS[2])
local live = {}
for i = 1, #edges, 2 do
  local at = seen(edges[i + 1])
  if edges[i] == ':run' or edges[i] == ':since' then
    -- no edge
  elseif not at or at < now - tonumber(ARGV[7]) then
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
    if not t or t > now - tonumber(ARGV[8]) or old[i][1] == newest[1] then break end
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
return {text(number(newest)), field(newest, 'e'), field(newest, 'c'), text(number(first)), text(now), replicas, live, run or '-'}
`)

// appendScript adds one purge, and trims the log to its bound: then a floor is
// added first that declares dead whatever the records to go could concern.
//
// ARGV: 1 epoch and 2 word for a new stream, 3 the record's word, 4 selectors,
// 5 edge, 6 audit text, 7 "1" where somebody waits, 8 bound, 9 the floor's
// word, 10 the channel for news.
const appendScript = luaHead + `
local now = clock()
local newest = newest(now, ARGV[1], ARGV[2])
local e = field(newest, 'e')
local n = number(newest) + 1
local args = {'XADD', KEYS[1], text(n) .. '-0', 'e', e, 'c', ARGV[3], 't', text(now), 'k', 'purge',
  's', ARGV[4], 'o', ARGV[5]}
if ARGV[6] ~= '' then args[#args + 1] = 'a'; args[#args + 1] = ARGV[6] end
if ARGV[7] ~= '' then args[#args + 1] = 'w'; args[#args + 1] = ARGV[7] end
redis.call(unpack(args))
local bound = tonumber(ARGV[8])
if redis.call('XLEN', KEYS[1]) > bound then
  local floor = n - math.floor(bound * 0.9)
  redis.call('XADD', KEYS[1], text(n + 1) .. '-0', 'e', e, 'c', ARGV[9], 't', text(now), 'k', 'floor', 'f', text(floor))
  redis.call('XTRIM', KEYS[1], 'MINID', text(floor + 1) .. '-0')
end
local heard = redis.call('PUBLISH', ARGV[10], text(n))
return {text(n), e, text(now), redis.call('HGETALL', KEYS[2]), server() or '-', text(heard)}
`

// rebaseScript begins a new epoch in a stream that does not hold, at its
// place, the newest record that the calling edge has applied.
//
// ARGV: 1 epoch and 2 word for a new epoch, 3 epoch, 4 number and 5 word of
// that record.
var rebaseScript = redis.NewScript(luaHead + `
local now = clock()
local newest = newest(now, ARGV[1], ARGV[2])
if field(newest, 'e') ~= ARGV[3] then return 0 end
local mine = redis.call('XRANGE', KEYS[1], ARGV[4] .. '-0', ARGV[4] .. '-0')[1]
if mine and field(mine, 'c') == ARGV[5] then return 0 end
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if not mine and number(first) > tonumber(ARGV[4]) then return 0 end
epoch(math.max(number(newest), tonumber(ARGV[4])) + 1, ARGV[1], ARGV[2], now, 'rebase')
local run = server()
if run then redis.call('HSET', KEYS[2], ':run', run, ':since', text(now)) end
return 1
`)
