#!lua flags=allow-oom
-- settle(run, log, due, clock, data) (id)
-- The duties of a finished run are done: it leaves the due-set, its requests are forgotten.
-- Idempotent.
-- Returns 1 when this call did it.
local _, now = clock(KEYS[4])
if redis.call('HDEL', KEYS[1], 'outbox') == 0 then return 0 end
redis.call('RPUSH', KEYS[2], '{"e":"settled","t":' .. int(now) .. '}')
redis.call('ZREM', KEYS[3], ARGV[1])
for _, field in ipairs(redis.call('HKEYS', KEYS[5])) do
  if string.sub(field, 1, 2) == 'q:' then redis.call('HDEL', KEYS[5], field) end
end
return 1
