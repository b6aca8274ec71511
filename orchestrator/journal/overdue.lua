#!lua flags=allow-oom
-- overdue(ended, kept, standing, runs, clock) (limit, life_ms, standing_life_ms, done_prefix)
-- Runs whose time is over are removed, at most `limit` of either kind; a life of '' is for good.
-- Deletes done:<id>: same node, by prefix. Run keys have a life of their own.
-- Returns {how many were removed, {run that is to be put away, its place in `ended`, …}}, of these
-- at most `limit` as well.
local _, now = clock(KEYS[5])
local removed = 0
for i, life in ipairs({ARGV[2], ARGV[3]}) do
  local kept = KEYS[i + 1]
  local last = life ~= '' and int(now - tonumber(life)) or '-inf'
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', kept, '-inf', last, 'LIMIT', 0, ARGV[1])) do
    redis.call('DEL', ARGV[4] .. id)
    redis.call('ZREM', KEYS[4], id)
    redis.call('ZREM', kept, id)
    removed = removed + 1
  end
end
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', int(now), 'WITHSCORES', 'LIMIT', 0, ARGV[1])
return {removed, found}
