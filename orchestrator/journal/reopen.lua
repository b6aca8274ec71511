#!lua
-- reopen(run, log, due, clock [, head, open, out]) (id, step, visit, event_tail [, row, in_turn])
-- A run that failed or was cancelled goes on at a step, in a new visit of it: a new key. The
-- step must still have the visit that was seen (0: it was never entered), and the run its values.
-- event_tail: the event's JSON after its time.
-- head …: of the run's batch, which takes back what it counted of the run, and gives it a place in
-- its window. in_turn '1': only if there is room for it.
-- A deadline that has passed is taken away; one that lies ahead stays.
-- Atomic: the end taken back, the visit, the event, and the run due at once.
-- Returns {'done' | 'moved' | 'absent' | 'full', number of the visit}.
local run, log, due = KEYS[1], KEYS[2], KEYS[3]
local id, step, seen = ARGV[1], ARGV[2], tonumber(ARGV[3])
local _, now = clock(KEYS[4])
if ARGV[6] == '1'
   and redis.call('SCARD', KEYS[6]) >= tonumber(redis.call('HGET', KEYS[5], 'window') or '0') then
  return {'full', 0}
end
local head = redis.call('HMGET', run, 'plan', 'end', 'deadline', 'forgotten')
if not head[1] then return {'absent', 0} end
local old = visit_of(run, step)
if head[4] or (head[2] ~= 'failed' and head[2] ~= 'cancelled') or (old and old.n or 0) ~= seen then
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
redis.call('ZREM', string.sub(due, 1, -4) .. 'ended', id)
if #KEYS > 4 then
  local record = redis.call('HGET', KEYS[7], ARGV[5])
  if record then
    count(KEYS[5], string.match(record, '^[^\n]*'), -1)
    redis.call('HDEL', KEYS[7], ARGV[5])
  end
  redis.call('SADD', KEYS[6], ARGV[5])
end
return {'done', visit.n}
