-- reopen(run, log, due, clock) (id, step, visit, event_tail)
-- A run that failed or was cancelled goes on at a step, in a new visit of it: a new key. The
-- step must still have the visit that was seen (0: it was never entered).
-- event_tail: the event's JSON after its time.
-- Atomic: the end taken back, the visit, the event, and the run due at once.
-- Returns {'done' | 'moved' | 'absent', number of the visit}.
local run, log, due = KEYS[1], KEYS[2], KEYS[3]
local id, step, seen = ARGV[1], ARGV[2], tonumber(ARGV[3])
local _, now = clock(KEYS[4])
local head = redis.call('HMGET', run, 'plan', 'end')
if not head[1] then return {'absent', 0} end
local old = visit_of(run, step)
if (head[2] ~= 'failed' and head[2] ~= 'cancelled') or (old and old.n or 0) ~= seen then
  return {'moved', 0}
end
redis.call('HDEL', run, 'end', 'ended', 'ending', 'code', 'failed', 'outbox', 'paused')
local visit = {n = seen + 1, p = 'ready', s = now}
if old then visit.f, visit.e = old.f, old.e end
put_visit(run, step, visit)
redis.call('HINCRBY', run, 'seq', 1)
redis.call('RPUSH', log, '{"e":"control","t":' .. int(now) .. ARGV[4])
redis.call('ZADD', due, now, id)
return {'done', visit.n}
