#!lua flags=allow-oom
-- forget(run, log, data, ended, clock) (id, seq, events, wait_ms, event_tail, index, event, …)
-- The values of a run that has ended are erased: what was sealed, and the events that held a reason
-- are replaced, by their place in the list. seq, events: how far it was when these were made.
-- event_tail: the event's JSON after its time. It is put away after wait_ms.
-- Atomic: all of it, and the event that says so.
-- Returns 1; 0 when the run has changed meanwhile, or goes on.
local run, log, id = KEYS[1], KEYS[2], ARGV[1]
local _, now = clock(KEYS[5])
local head = redis.call('HMGET', run, 'end', 'outbox', 'seq')
if not head[1] or head[2] or head[3] ~= ARGV[2]
   or redis.call('LLEN', log) ~= tonumber(ARGV[3]) then
  return 0
end
redis.call('DEL', KEYS[3])
for i = 6, #ARGV, 2 do redis.call('LSET', log, ARGV[i], ARGV[i + 1]) end
redis.call('HSET', run, 'forgotten', int(now))
redis.call('HINCRBY', run, 'seq', 1)
redis.call('RPUSH', log, '{"e":"control","t":' .. int(now) .. ARGV[5])
redis.call('ZADD', KEYS[4], now + tonumber(ARGV[4]), id)
return 1
