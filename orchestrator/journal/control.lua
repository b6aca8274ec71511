#!lua flags=allow-oom
-- control(run, log, due, clock) (id, kind, event_tail)
-- kind: cancel | pause | resume. event_tail: the event's JSON after its time.
-- Atomic: the flag, the event, and the run due at once. No fence moves: a call in flight
-- lands its outcome, and its worker decides again.
-- Returns {'done' | 'finished' | 'absent'}.
local run, log, due = KEYS[1], KEYS[2], KEYS[3]
local _, now = clock(KEYS[4])
local head = redis.call('HMGET', run, 'plan', 'end', 'ending')
if not head[1] then return {'absent'} end
if head[2] then return {'finished'} end

if ARGV[2] == 'pause' then
  redis.call('HSET', run, 'paused', '1')
elseif ARGV[2] == 'resume' then
  redis.call('HDEL', run, 'paused')
  local all = redis.call('HGETALL', run)
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 2) == 's:' then
      local visit = cjson.decode(all[i + 1])
      if visit.p == 'ready' then
        visit.s = 0
        redis.call('HSET', run, all[i], cjson.encode(visit))
      end
    end
  end
elseif not head[3] then
  redis.call('HSET', run, 'ending', 'cancelled', 'code', 'cancelled')
end
redis.call('HINCRBY', run, 'seq', 1)
redis.call('RPUSH', log, '{"e":"control","t":' .. int(now) .. ARGV[3])
redis.call('ZADD', due, now, ARGV[1])
return {'done'}
