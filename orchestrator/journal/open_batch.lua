#!lua
-- open_batch(head, rows, index, uploaded rows, uploaded index, plan, batches, active, clock)
--           (id, plan body, n_reads, step, fields, …, field, value, …)
-- head …: as in keys.py. plan body: sealed, '' when the caller trusts it is stored.
-- field, value: of the head, among them 'print': what the rows are told apart by.
-- Atomic: the batch with all its rows, or none of it. One that is there already stays as it is, and
-- what was uploaded again is forgotten.
-- Returns {'new'} | {'known', print} | {'plan-needed'} | {'gone'} (the upload is too old).
local head, plan = KEYS[1], KEYS[6]
local _, now = clock(KEYS[9])
local print = redis.call('HGET', head, 'print')
if print then
  redis.call('DEL', KEYS[4], KEYS[5])
  return {'known', print}
end
if redis.call('EXISTS', plan) == 0 and ARGV[2] == '' then return {'plan-needed'} end
if redis.call('EXISTS', KEYS[4]) == 0 then return {'gone'} end
if ARGV[2] ~= '' then redis.call('HSETNX', plan, 'body', ARGV[2]) end
local at = 3 + 2 * tonumber(ARGV[3])
for i = 4, at, 2 do redis.call('HSETNX', plan, 'r:' .. ARGV[i], ARGV[i + 1]) end
for i = at + 1, #ARGV, 2 do redis.call('HSET', head, ARGV[i], ARGV[i + 1]) end
redis.call('HSET', head, 'at', int(now), 'next', 0)
redis.call('RENAME', KEYS[4], KEYS[2])
redis.call('RENAME', KEYS[5], KEYS[3])
redis.call('PERSIST', KEYS[2])
redis.call('PERSIST', KEYS[3])
redis.call('ZADD', KEYS[7], now, ARGV[1])
redis.call('SADD', KEYS[8], ARGV[1])
return {'new'}
