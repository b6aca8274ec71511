#!lua flags=no-writes
-- page(runs) (after, until, since, limit, run_prefix, done_prefix)
-- Runs behind `after`, newest first; without one, or when it is gone, from those accepted at until.
-- Reads run:<id> and done:<id>: same node, by prefix.
-- Returns {{id, accepted, control hash, what it was put away as, if it was}, …}.
local runs = KEYS[1]
local rank = ARGV[1] ~= '' and redis.call('ZREVRANK', runs, ARGV[1])
local first = rank and rank + 1 or redis.call('ZCOUNT', runs, '(' .. ARGV[2], '+inf')
local found = redis.call('ZREVRANGE', runs, first, first + ARGV[4] - 1, 'WITHSCORES')
local reply = {}
for i = 1, #found, 2 do
  if tonumber(found[i + 1]) < tonumber(ARGV[3]) then break end
  local plain = redis.call('HGETALL', ARGV[5] .. found[i])
  local done = #plain == 0 and redis.call('GET', ARGV[6] .. found[i])
  reply[#reply + 1] = {found[i], found[i + 1], plain, done}
end
return reply
