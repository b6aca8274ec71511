#!lua
-- take_out(run, log, data, done, ended, kept, standing, clock)
--         (id, done_value, wait_ms, n_fields, field, value, …, n_events, event, …, name, value, …)
-- A run that was put away stands again as it did, and is put away anew after wait_ms.
-- done_value: what the rest was made of; field, value: of its hash; name, value: sealed.
-- Atomic: it is in one form or in the other.
-- Returns 1; 0 when it has changed meanwhile.
local run, id = KEYS[1], ARGV[1]
local _, now = clock(KEYS[8])
if redis.call('GET', KEYS[4]) ~= ARGV[2] then return 0 end
local at = 5 + 2 * tonumber(ARGV[4])
for i = 5, at - 1, 2 do redis.call('HSET', run, ARGV[i], ARGV[i + 1]) end
local last = at + tonumber(ARGV[at])
for i = at + 1, last do redis.call('RPUSH', KEYS[2], ARGV[i]) end
for i = last + 1, #ARGV, 2 do redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1]) end
redis.call('DEL', KEYS[4])
redis.call('ZREM', KEYS[6], id)
redis.call('ZREM', KEYS[7], id)
redis.call('ZADD', KEYS[5], now + tonumber(ARGV[3]), id)
return 1
