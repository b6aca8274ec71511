#!lua flags=allow-oom
-- end_batch(head, rows, active, house, clock) (id, event tail)
-- A person cancels what a batch has not begun: its rows are forgotten, and counted as cancelled.
-- Atomic. A batch that was cancelled before, or has begun all its rows, stays as it is.
-- Returns how many rows were given up; -1 for no such batch.
local head, id = KEYS[1], ARGV[1]
local _, now = clock(KEYS[5])
local h = redis.call('HMGET', head, 'next', 'total', 'over')
if not h[1] then return -1 end
if h[3] then return 0 end
local left = tonumber(h[2]) - tonumber(h[1])
redis.call('HSET', head, 'over', int(now))
redis.call('HINCRBY', head, 'n:given-up', left)
redis.call('DEL', KEYS[2])
redis.call('SREM', KEYS[3], id)
redis.call('RPUSH', KEYS[4], '{"e":"batch-cancelled","t":' .. int(now) .. ',"b":' .. quoted(id) .. ARGV[2])
redis.call('LTRIM', KEYS[4], -1000, -1)
return left
