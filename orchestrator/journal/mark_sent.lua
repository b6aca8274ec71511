#!lua
-- mark_sent(run, log, due, clock) (id, step, visit, fence, phase, sends, patience_ms)
-- The visit must still be as it was seen: two timekeepers never send one message twice.
-- Returns the number of the send, 0 when the visit has moved on.
local run, log, due = KEYS[1], KEYS[2], KEYS[3]
local id, step = ARGV[1], ARGV[2]
local _, now = clock(KEYS[4])
local visit = visit_of(run, step)
if not visit or visit.n ~= tonumber(ARGV[3]) or (visit.f or 0) ~= tonumber(ARGV[4])
   or visit.p ~= ARGV[5] or (visit.x or 1) ~= tonumber(ARGV[6]) then
  return 0
end
if visit.p == 'waiting' then visit.p = 'ready' end
visit.x, visit.s = (visit.x or 1) + 1, now
put_visit(run, step, visit)
redis.call('HINCRBY', run, 'seq', 1)
redis.call('RPUSH', log, '{"e":"sent","t":' .. int(now) .. ',"s":' .. quoted(step)
  .. ',"n":' .. ARGV[3] .. ',"x":' .. int(visit.x) .. '}')
check_by(due, id, now, now + tonumber(ARGV[7]), redis.call('HGET', run, 'deadline'))
return visit.x
