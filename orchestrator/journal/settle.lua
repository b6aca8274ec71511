#!lua flags=allow-oom
-- settle(run, log, due, clock, data [, head, open, parked, out, stops, house])
--       (id [, batch, row, summary, record, least])
-- The duties of a finished run are done: it leaves the due-set, its requests are forgotten.
-- head …: of the run's batch, as in keys.py. summary: as ``count`` in lib.lua has it; record: sealed.
-- The batch counts the run, keeps its record, and has its place in the window back. One that fails
-- more often than it may is stopped, as by a person: of the rows since it last went on, `least` at
-- least must have ended.
-- Idempotent: all of it is done once.
-- Returns {whether this call did it, whether the caller is to fill the window}.
local _, now = clock(KEYS[4])
if redis.call('HDEL', KEYS[1], 'outbox') == 0 then return {0, 0} end
redis.call('RPUSH', KEYS[2], '{"e":"settled","t":' .. int(now) .. '}')
redis.call('ZREM', KEYS[3], ARGV[1])
-- It is put away when nobody is likely to look at it any more, or to take its end back.
redis.call('ZADD', string.sub(KEYS[3], 1, -4) .. 'ended', now + 60000, ARGV[1])
for _, field in ipairs(redis.call('HKEYS', KEYS[5])) do
  if string.sub(field, 1, 2) == 'q:' then redis.call('HDEL', KEYS[5], field) end
end
if #KEYS == 5 then return {1, 0} end

local head, open, parked, out, stops = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
redis.call('SREM', open, ARGV[3])
redis.call('SREM', parked, ARGV[3])
count(head, ARGV[4], 1)
redis.call('HSET', out, ARGV[3], ARGV[4] .. '\n' .. ARGV[5])

local stop = 'batch:' .. ARGV[2]
local h = redis.call('HMGET', head, 'ratio', 'n:succeeded', 'n:failed', 'n:cancelled', 'base',
                     'base:failed', 'window', 'next', 'total', 'over')
local ratio, failed = tonumber(h[1] or '0'), tonumber(h[3] or '0') - tonumber(h[6] or '0')
local ended = tonumber(h[2] or '0') + tonumber(h[3] or '0') + tonumber(h[4] or '0')
  - tonumber(h[5] or '0')
if ratio > 0 and ended >= tonumber(ARGV[6]) and failed > ratio * ended
   and string.sub(ARGV[4], 1, 6) == 'failed' and not h[10] then
  local tail = ',"by":"durazzo","code":"failure-ratio"}'
  if redis.call('HSETNX', stops, stop, '{"t":' .. int(now) .. tail) == 1 then
    redis.call('RPUSH', KEYS[11], '{"e":"stopped","t":' .. int(now) .. ',"p":' .. quoted(stop) .. tail)
    redis.call('LTRIM', KEYS[11], -1000, -1)
  end
end

-- Rows are admitted some at a time. One worker is asked; should it die, the timekeeper fills it.
local window = tonumber(h[7] or '0')
local room, rest = window - redis.call('SCARD', open), tonumber(h[9] or '0') - tonumber(h[8] or '0')
if rest <= 0 or h[10] or redis.call('HEXISTS', stops, stop) == 1
   or room < math.min(rest, math.max(1, math.min(64, math.floor(window / 8)))) then
  return {1, 0}
end
return {1, redis.call('SET', head .. ':filling', '1', 'NX', 'PX', 1000) and 1 or 0}
