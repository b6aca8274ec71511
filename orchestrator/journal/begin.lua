-- begin(run, log, data, due, clock, limit …)
--      (id, step, visit, fence, lease_ms, check_ms, frozen, interval_us, burst, …)
-- limit …: one hash per scope, with an (interval_us, burst) pair each, in order.
-- frozen: the sealed request of the visit's first attempt, '' when it is already there.
-- Atomic: fence and lease checked, a token of every scope taken (or reserved) or of none, the request
-- frozen, the attempt counted: after this the provider may be called once.
-- Returns {verdict, now, attempt, first, until}.
local run, log, data, due = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, step, number, fence = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local us, now = clock(KEYS[5])

local visit = visit_of(run, step)
if not visit or visit.n ~= number or visit.f ~= fence or visit.p ~= 'held'
   or visit.u <= now then
  return {'lost', now, 0, 0, 0}
end
local head = redis.call('HMGET', run, 'ending', 'paused')
if head[1] or head[2] == '1' then return {'halted', now, 0, 0, 0} end

local turn, reserved = turn_of(visit, us, now, 6, 8)
if turn > now then
  -- Its place in the line is taken now, so that it comes back once, not again and again.
  if reserved then visit.v = turn end
  visit.p, visit.u = 'waiting', turn
  put_visit(run, step, visit)
  redis.call('HINCRBY', run, 'seq', 1)
  redis.call('RPUSH', log, '{"e":"limited","t":' .. int(now) .. ',"s":' .. quoted(step)
    .. ',"n":' .. int(number) .. ',"u":' .. int(visit.u)
    .. (visit.v and ',"v":' .. int(visit.v) or '') .. '}')
  redis.call('ZADD', due, 'LT', visit.u, id)
  return {'limited', now, 0, 0, visit.u}
end

visit.v = nil
visit.p, visit.a, visit.u = 'calling', (visit.a or 0) + 1, now + tonumber(ARGV[5])
visit.b = visit.b or now
put_visit(run, step, visit)
if ARGV[7] ~= '' then redis.call('HSET', data, 'q:' .. step, ARGV[7]) end
redis.call('RPUSH', log, '{"e":"begun","t":' .. int(now) .. ',"s":' .. quoted(step)
  .. ',"n":' .. int(number) .. ',"a":' .. int(visit.a) .. ',"u":' .. int(visit.u) .. '}')
return {'begun', now, visit.a, visit.b, visit.u}
