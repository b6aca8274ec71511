#!lua
-- look(run, log, due, clock, limit …) (id, step, visit, fence, lease_ms, interval_us, burst,
--     concurrency, …)
-- limit …: one hash per scope, with an (interval_us, burst, concurrency) triple each, in order.
-- Before a look-up: it changes nothing at the provider, so neither a cancel nor a pause halts it,
-- no attempt is counted, and the visit stays held. One that has to wait for its turn is parked
-- until then.
-- Atomic: fence and lease checked, a token of every scope taken or reserved, or of none.
-- Returns {verdict, now, until [, when to ask, which look this is]}: one whose answer was lost, and
-- that is asked for again, is counted twice.
local run, log, due = KEYS[1], KEYS[2], KEYS[3]
local id, step, number, fence = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local us, now = clock(KEYS[4])

local visit = visit_of(run, step)
if not visit or visit.n ~= number or visit.f ~= fence or visit.p ~= 'held'
   or visit.u <= now then
  return {'lost', now, 0}
end

local me, lease = id .. '/' .. step .. '/' .. int(number), tonumber(ARGV[5])
local bulk = redis.call('HEXISTS', run, 'batch') == 1
local preferred = visit.pf
local turn, wait, placed = turn_of(visit, us, now, 5, 6, bulk, me, lease)
if not turn then
  visit.p, visit.u = 'unknown', wait
  put_visit(run, step, visit)
  redis.call('HINCRBY', run, 'seq', 1)
  redis.call('RPUSH', log, '{"e":"limited","t":' .. int(now) .. ',"s":' .. quoted(step)
    .. ',"n":' .. int(number) .. ',"u":' .. int(visit.u) .. ',"p":1'
    .. (placed and ',"v":' .. int(visit.v) or '')
    .. (visit.pf ~= preferred and ',"pf":1' or '') .. '}')
  redis.call('ZADD', due, 'LT', visit.u, id)
  doubted(due, id, now)
  return {'limited', now, visit.u}
end

visit.q, visit.u = (visit.q or 0) + 1, turn + lease
put_visit(run, step, visit)
redis.call('RPUSH', log, '{"e":"looked","t":' .. int(now) .. ',"s":' .. quoted(step)
  .. ',"n":' .. int(number) .. ',"u":' .. int(visit.u) .. '}')
return {'begun', now, visit.u, turn, visit.q}
