#!lua
-- accept(run, log, data, due, runs, plan, clock [, key])
--       (id, digest, plan, name, lane, due_after, inputs, print, key_value, key_life, run_prefix,
--        deadline, within_ms, n_reads, step, fields, …, n_starts, start, …)
-- run, log, data, due, runs, plan, key: as in keys.py; clock: test offset.
-- deadline: of the run, ms; within_ms: the same from now; 0 for none, the earlier one counts.
-- plan and inputs, print, key_value are sealed; plan is '' when the caller trusts it is stored.
-- Atomic: the run key, the plan, the run and its place in the due-set, or none of them.
-- The key's entry has a life of its own, from its last use: it outlives the run that it stands for,
-- and is asked before the run is. Reads run:<id> of that run: same node, by prefix.
-- Returns {'new', now} | {'known', run, print, accepted, whether it is there} | {'plan-needed'}.
local run, log, data, due, runs, plan = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local key = KEYS[8]
local _, now = clock(KEYS[7])

-- Sent twice by a client that missed the answer: the run stays as it has become.
local accepted = redis.call('HGET', run, 'accepted')
if accepted then return {'new', tonumber(accepted)} end
if key then
  local known = redis.call('HMGET', key, 'run', 'print', 'at')
  if known[1] then
    redis.call('PEXPIRE', key, ARGV[10])
    local there = redis.call('EXISTS', ARGV[11] .. known[1])
    return {'known', known[1], known[2], tonumber(known[3] or '0'), there}
  end
end
if redis.call('EXISTS', plan) == 0 and ARGV[3] == '' then return {'plan-needed'} end

local at = 14
if ARGV[3] ~= '' then
  redis.call('HSETNX', plan, 'body', ARGV[3])
  for i = 1, tonumber(ARGV[at]) do
    redis.call('HSETNX', plan, 'r:' .. ARGV[at + 2 * i - 1], ARGV[at + 2 * i])
  end
end
at = at + 2 * tonumber(ARGV[at]) + 1

local starts = {}
for i = 1, tonumber(ARGV[at]) do
  local step = ARGV[at + i]
  starts[i] = quoted(step)
  put_visit(run, step, {n = 1, p = 'ready', s = now})
end
local check, deadline, within = now + tonumber(ARGV[6]), tonumber(ARGV[12]), tonumber(ARGV[13])
if within > 0 and (deadline == 0 or now + within < deadline) then deadline = now + within end
if deadline > 0 then
  redis.call('HSET', run, 'deadline', int(deadline))
  check = math.min(check, deadline)
end
redis.call('HSET', run, 'plan', ARGV[2], 'name', ARGV[4], 'lane', ARGV[5],
           'accepted', int(now), 'seq', '1')
redis.call('RPUSH', log, '{"e":"accepted","t":' .. int(now) .. ',"plan":' .. quoted(ARGV[2])
  .. ',"name":' .. quoted(ARGV[4]) .. ',"lane":' .. quoted(ARGV[5])
  .. ',"starts":[' .. table.concat(starts, ',') .. ']'
  .. (deadline > 0 and ',"u":' .. int(deadline) or '') .. '}')
redis.call('HSET', data, 'inputs', ARGV[7])
if key then
  redis.call('HSET', data, 'key', ARGV[9])
  redis.call('HSET', key, 'run', ARGV[1], 'print', ARGV[8], 'at', int(now))
  redis.call('PEXPIRE', key, ARGV[10])
end
redis.call('ZADD', runs, now, ARGV[1])
redis.call('ZADD', due, check, ARGV[1])
return {'new', now}
