#!lua
-- reopen(run, log, due, clock) (id, step, visit, event_tail)
-- A run that failed or was cancelled goes on at a step, in a new visit of it: a new key. The
-- step must still have the visit that was seen (0: it was never entered).
-- event_tail: the event's JSON after its time.
-- A deadline that has passed is taken away; one that lies ahead stays.
-- Atomic: the end taken back, the visit, the event, and the run due at once.
-- Returns {'done' | 'moved' | 'absent', number of the visit}.
local run, log, due = KEYS[1], KEYS[2], KEYS[3]
local id, step, seen = ARGV[1], ARGV[2], tonumber(ARGV[3])
local _, now = clock(KEYS[4])
local head = redis.call('HMGET', run, 'plan', 'end', 'deadline')
if not head[1] then return {'absent', 0} end
local old = visit_of(run, step)
if (head[2] ~= 'failed' and head[2] ~= 'cancelled') or (old and old.n or 0) ~= seen then
  return {'moved', 0}
end
redis.call('HDEL', run, 'end', 'ended', 'ending', 'code', 'failed', 'outbox', 'paused')
if head[3] and tonumber(head[3]) <= now then redis.call('HDEL', run, 'deadline') end
local visit = {n = seen + 1, p = 'ready', s = now, en = now}
if old then visit.f, visit.e = old.f, old.e end
put_visit(run, step, visit)
redis.call('HINCRBY', run, 'seq', 1)
redis.call('RPUSH', log, '{"e":"control","t":' .. int(now) .. ARGV[4])
redis.call('ZADD', due, now, id)
return {'done', visit.n}
