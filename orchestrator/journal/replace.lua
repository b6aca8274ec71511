#!lua flags=allow-oom
-- replace(hash) (field, old, new)
-- Only what was read: a block that is forgotten meanwhile does not come back.
-- Returns 1; 0 when it has changed meanwhile.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
