#!lua
-- accept(run, log, data, due, runs, plan, clock [, key])
--       (id, digest, plan, name, lane, due_after, inputs, print, key_value, key_life, run_prefix,
--        deadline, within_ms, accounts, counted, n_reads, step, fields, …, n_starts, start, …)
-- run, log, data, due, runs, plan, key: as in keys.py; clock: test offset.
-- deadline: of the run, ms; within_ms: the same from now; 0 for none, the earlier one counts.
-- accounts: as in engine/state.py, '' for none.
-- counted: as in counts.py.
-- plan and inputs, print, key_value are sealed; plan is '' when the caller trusts it is stored.
-- Atomic: the run key, the plan, the run and its place in the due-set, or none of them.
-- The key's entry has a life of its own, from its last use: it outlives the run that it stands for,
-- and is asked before the run is. Reads run:<id> and done:<id> of that run: same node, by prefix.
-- Returns {'new', now} | {'known', run, print, accepted, whether it is there} | {'plan-needed'}.
local run, due, runs, plan = KEYS[1], KEYS[4], KEYS[5], KEYS[6]
local key = KEYS[8]
local _, now = clock(KEYS[7])

-- Sent twice by a client that missed the answer: the run stays as it has become.
local done = string.sub(ARGV[11], 1, -5) .. 'done:'
local accepted = redis.call('HGET', run, 'accepted')
  or redis.call('EXISTS', done .. ARGV[1]) == 1 and redis.call('ZSCORE', runs, ARGV[1])
if accepted then return {'new', tonumber(accepted)} end
if key then
  local known = redis.call('HMGET', key, 'run', 'print', 'at')
  if known[1] then
    redis.call('PEXPIRE', key, ARGV[10])
    local there = redis.call('EXISTS', ARGV[11] .. known[1], done .. known[1])
    return {'known', known[1], known[2], tonumber(known[3] or '0'), there}
  end
end
if redis.call('EXISTS', plan) == 0 and ARGV[3] == '' then return {'plan-needed'} end

local at = 16
if ARGV[3] ~= '' then
  redis.call('HSETNX', plan, 'body', ARGV[3])
  for i = 1, tonumber(ARGV[at]) do
    redis.call('HSETNX', plan, 'r:' .. ARGV[at + 2 * i - 1], ARGV[at + 2 * i])
  end
end
at = at + 2 * tonumber(ARGV[at]) + 1

local starts = {}
for i = 1, tonumber(ARGV[at]) do starts[i] = ARGV[at + i] end
local deadline, within = tonumber(ARGV[12]), tonumber(ARGV[13])
if within > 0 and (deadline == 0 or now + within < deadline) then deadline = now + within end
accept_run(run, due, runs, now, {
  id = ARGV[1], plan = ARGV[2], name = ARGV[4], lane = ARGV[5], starts = starts,
  check = now + tonumber(ARGV[6]), inputs = ARGV[7], deadline = deadline, batch = '',
  accounts = ARGV[14],
  key = key, print = ARGV[8], value = ARGV[9], life = ARGV[10],
})
counted(due, ARGV[15], 1)
return {'new', now}
