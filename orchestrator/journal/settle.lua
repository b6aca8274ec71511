-- settle(run, log, due, clock) (id)
-- The duties of a finished run are done: it leaves the due-set. Idempotent.
-- Returns 1 when this call did it.
local _, now = clock(KEYS[4])
if redis.call('HDEL', KEYS[1], 'outbox') == 0 then return 0 end
redis.call('RPUSH', KEYS[2], '{"e":"settled","t":' .. int(now) .. '}')
redis.call('ZREM', KEYS[3], ARGV[1])
return 1
