#!lua flags=allow-oom
-- tick(leader, due, workers, clock)
--     (me, lease_ms, limit, hold_ms, run_prefix, lane_prefix, version, newer_ms)
-- Be or stay the one timekeeper; take up to limit runs that are due and hold each for
-- hold_ms, so that a timekeeper that dies here delays them, no more.
-- Cost: the runs taken, however many there are.
-- Redis' clock may have gone back (a step by NTP, a replica that took over): <leader>:at has the
-- latest time that was seen. Then all that was to be looked at within the next minute is looked at
-- now, and heartbeats and a lane's mark that lie ahead are taken back: dead workers stay dead.
-- A run of a higher version than the caller's is left as it is, and due again after newer_ms. The
-- leader's value is "version me", and a higher version takes the lead from a lower one, which could
-- not look after all runs; a lower one does not take it back.
-- Returns {leading, now, {live worker, …}, {run, lane claimed, lane fresh, control hash}, …}.
-- run that was left.
local leader, due, workers = KEYS[1], KEYS[2], KEYS[3]
local _, now = clock(KEYS[4])
local known = redis.call('MGET', leader, leader .. ':at')
local holder, latest = known[1], tonumber(known[2] or '0')
local version, me = tonumber(ARGV[7]), ARGV[7] .. ' ' .. ARGV[1]
local theirs = holder and tonumber(string.match(holder, '^(%d+) ') or '1')
if holder and holder ~= me and theirs >= version then return {0, now, {}} end
redis.call('SET', leader, me, 'PX', ARGV[2])

if now < latest then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, now, latest + 60000)) do
    redis.call('ZADD', due, now, id)
  end
  -- Who was alive lives on as long; who was not, and has not beaten since, does not come back.
  for _, worker in ipairs(redis.call('ZRANGEBYSCORE', workers, '(' .. int(latest), '+inf')) do
    redis.call('ZINCRBY', workers, now - latest, worker)
  end
  redis.call('ZREMRANGEBYSCORE', workers, now + 60000, latest)
end
if now < latest or now > latest + 1000 then redis.call('SET', leader .. ':at', int(now)) end

redis.call('ZREMRANGEBYSCORE', workers, '-inf', now - 86400000)
-- The lane's marks. One that lies ahead was made before Redis' clock went back.
local function marks_of(lane, batch)
  local names = batch and {'bulk-claimed', 'bulk-fresh'} or {'claimed', 'fresh'}
  local marks = redis.call('HMGET', lane, names[1], names[2])
  for i, name in ipairs(names) do
    marks[i] = marks[i] or '0'
    if tonumber(marks[i]) > now + 1000 then
      redis.call('HDEL', lane, name)
      marks[i] = '0'
    end
  end
  return marks[1], marks[2]
end

-- A release that knows of no set of runs in doubt leaves runs out of it, and in it.
local function in_doubt(id, hash)
  for i = 1, #hash, 2 do
    if string.sub(hash[i], 1, 2) == 's:' and string.find(hash[i + 1], '"p":"unknown"', 1, true) then
      doubted(due, id, now)
      return
    end
  end
end

local doubt = string.sub(due, 1, -4) .. 'doubt'
for _, id in ipairs(redis.call('ZRANDMEMBER', doubt, 5)) do
  local head = redis.call('HMGET', ARGV[5] .. id, 'plan', 'end')
  if not head[1] or head[2] then redis.call('ZREM', doubt, id) end
end

local reply = {1, now, redis.call('ZRANGEBYSCORE', workers, '(' .. int(now), '+inf')}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, ARGV[3])) do
  local hash = redis.call('HGETALL', ARGV[5] .. id)
  local head = redis.call('HMGET', ARGV[5] .. id, 'lane', 'v', 'batch')
  if #hash == 0 then
    redis.call('ZREM', due, id)
  elseif tonumber(head[2] or '1') > version then
    redis.call('ZADD', due, now + tonumber(ARGV[8]), id)
    reply[#reply + 1] = {id, '0', '0', {}}
  else
    redis.call('ZADD', due, now + tonumber(ARGV[4]), id)
    in_doubt(id, hash)
    local claimed, fresh = marks_of(ARGV[6] .. head[1], head[3])
    reply[#reply + 1] = {id, claimed, fresh, hash}
  end
end
return reply
