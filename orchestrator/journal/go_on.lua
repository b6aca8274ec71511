#!lua flags=allow-oom
-- go_on(stops, house, waiters, due, clock)
--      (provider, tail, limit, spacing_us, spread_ms, woken, run_prefix)
-- tail: who and why, as JSON behind a time; '' to wake only, which a new stop ends.
-- Atomic: the stop taken back with its event, and the first waiters given their times, one a
-- spacing, behind those that were woken before; all of them within the spread.
-- Writes run:<id> and its log: same node, by prefix.
-- A waiter is woken when its visit still waits as the stop let it wait; else it has moved on.
-- Returns {taken back, woken, left}.
local stops, waiters, due, provider = KEYS[1], KEYS[3], KEYS[4], ARGV[1]
local _, now = clock(KEYS[5])
local taken_back = 0
if ARGV[2] ~= '' then
  taken_back = redis.call('HDEL', stops, provider)
  if taken_back == 1 then
    redis.call('RPUSH', KEYS[2], '{"e":"went-on","t":' .. int(now) .. ',"p":' .. quoted(provider)
      .. ARGV[2])
    redis.call('LTRIM', KEYS[2], -1000, -1)
  end
elseif redis.call('HEXISTS', stops, provider) == 1 then
  return {0, 0, 0}
end

local woken, before = 0, tonumber(ARGV[6])
local all = redis.call('ZCARD', waiters) + before
local spacing = math.min(ARGV[4] / 1000, ARGV[5] / math.max(all, 1))
local found = redis.call('ZRANGE', waiters, 0, ARGV[3] - 1, 'WITHSCORES')
for i = 1, #found, 2 do
  local id, number, step = string.match(found[i], '^(%S+) (%d+) (.*)$')
  local run = ARGV[7] .. id
  local visit = visit_of(run, step)
  if visit and visit.n == tonumber(number) and visit.p == 'waiting'
     and visit.u == tonumber(found[i + 1]) then
    visit.u = now + math.floor((before + woken) * spacing)
    put_visit(run, step, visit)
    redis.call('HINCRBY', run, 'seq', 1)
    redis.call('RPUSH', run .. ':log', '{"e":"limited","t":' .. int(now) .. ',"s":' .. quoted(step)
      .. ',"n":' .. number .. ',"u":' .. int(visit.u) .. ',"st":0}')
    redis.call('ZADD', due, 'LT', visit.u, id)
    woken = woken + 1
  end
  redis.call('ZREM', waiters, found[i])
end
return {taken_back, woken, redis.call('ZCARD', waiters)}
