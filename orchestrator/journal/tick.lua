-- tick(leader, due, workers, clock) (me, lease_ms, limit, hold_ms, run_prefix, lane_prefix)
-- Be or stay the one timekeeper; take up to limit runs that are due and hold each for
-- hold_ms, so that a timekeeper that dies here delays them, no more.
-- Cost: the runs taken, however many there are.
-- Returns {leading, now, {live worker, …}, {run, lane claimed, control hash}, …}.
local leader, due, workers = KEYS[1], KEYS[2], KEYS[3]
local _, now = clock(KEYS[4])
local holder = redis.call('GET', leader)
if holder and holder ~= ARGV[1] then return {0, now, {}} end
redis.call('SET', leader, ARGV[1], 'PX', ARGV[2])

redis.call('ZREMRANGEBYSCORE', workers, '-inf', now - 86400000)
local reply = {1, now, redis.call('ZRANGEBYSCORE', workers, '(' .. int(now), '+inf')}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, ARGV[3])) do
  local hash = redis.call('HGETALL', ARGV[5] .. id)
  if #hash == 0 then
    redis.call('ZREM', due, id)
  else
    redis.call('ZADD', due, now + tonumber(ARGV[4]), id)
    local lane = redis.call('HGET', ARGV[5] .. id, 'lane')
    local claimed = redis.call('HGET', ARGV[6] .. lane, 'claimed') or '0'
    reply[#reply + 1] = {id, claimed, hash}
  end
end
return reply
