-- begin(run, log, data, due, clock, limit …)
--      (id, step, visit, fence, lease_ms, check_ms, frozen, interval_us, burst, …)
-- limit …: one hash per scope, with an (interval_us, burst) pair each, in order.
-- frozen: the sealed request of the visit's first attempt, '' when it is already there.
-- Atomic: fence checked, a token of every scope taken or of none, the request frozen, the
-- attempt counted: after this the provider may be called once.
-- Returns {verdict, now, attempt, first, until}.
local run, log, data, due = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, step, number, fence = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local us, now = clock(KEYS[5])

local visit = visit_of(run, step)
if not visit or visit.n ~= number or visit.f ~= fence or visit.p ~= 'held' then
  return {'lost', now, 0, 0, 0}
end
local head = redis.call('HMGET', run, 'ending', 'paused')
if head[1] or head[2] == '1' then return {'halted', now, 0, 0, 0} end

local turn, arrivals = now, {}
for i = 6, #KEYS do
  local interval, burst = tonumber(ARGV[2 * i - 4]), tonumber(ARGV[2 * i - 3])
  local limit = redis.call('HMGET', KEYS[i], 'tat', 'until')
  turn = math.max(turn, tonumber(limit[2] or '0'))
  if interval > 0 then
    local tat = math.max(us, tonumber(limit[1] or '0'))
    turn = math.max(turn, math.ceil((tat - interval * (burst - 1)) / 1000))
    arrivals[i] = tat + interval
  end
end
if turn > now then
  visit.p, visit.u = 'waiting', turn
  put_visit(run, step, visit)
  redis.call('HINCRBY', run, 'seq', 1)
  redis.call('RPUSH', log, '{"e":"limited","t":' .. int(now) .. ',"s":' .. quoted(step)
    .. ',"n":' .. int(number) .. ',"u":' .. int(turn) .. '}')
  redis.call('ZADD', due, 'LT', turn, id)
  return {'limited', now, 0, 0, turn}
end
for i, tat in pairs(arrivals) do redis.call('HSET', KEYS[i], 'tat', int(tat)) end

visit.p, visit.a, visit.u = 'calling', (visit.a or 0) + 1, now + tonumber(ARGV[5])
visit.b = visit.b or now
put_visit(run, step, visit)
if ARGV[7] ~= '' then redis.call('HSET', data, 'q:' .. step, ARGV[7]) end
redis.call('RPUSH', log, '{"e":"begun","t":' .. int(now) .. ',"s":' .. quoted(step)
  .. ',"n":' .. int(number) .. ',"a":' .. int(visit.a) .. ',"u":' .. int(visit.u) .. '}')
return {'begun', now, visit.a, visit.b, visit.u}
