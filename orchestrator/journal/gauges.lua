#!lua flags=no-writes
-- gauges(due, doubt, leader, clock, limit …) (long_ms, stuck_ms)
-- limit …: hashes as in keys.py.
-- Cost: a few lookups for each limit, however many runs there are.
-- Returns {now, unfinished, due later than in long_ms, due longer ago than stuck_ms, when the first
-- is due, in doubt, since when the first is, whether somebody keeps time, when that ticked last,
-- {gate, urgent, bulk: us from now, calls under way, factor, paused until}, …}, times in ms.
local due, doubt = KEYS[1], KEYS[2]
local us, now = clock(KEYS[4])

local function first(key)
  return redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2] or '0'
end

local limits = {}
for i = 5, #KEYS do
  local has = redis.call('HMGET', KEYS[i], 'gate', 'urgent', 'bulk', 'factor', 'cut', 'until')
  local limit = {}
  for place = 1, 3 do limit[place] = int(math.max(0, tonumber(has[place] or '0') - us)) end
  limit[4] = redis.call('ZCOUNT', KEYS[i] .. ':busy', '(' .. int(now), '+inf')
  limit[5] = string.format('%.4f', factor_of(has[4], has[5], now))
  limit[6] = has[6] or '0'
  limits[#limits + 1] = limit
end
return {
  now,
  redis.call('ZCARD', due),
  redis.call('ZCOUNT', due, '(' .. int(now + tonumber(ARGV[1])), '+inf'),
  redis.call('ZCOUNT', due, '-inf', '(' .. int(now - tonumber(ARGV[2]))),
  first(due),
  redis.call('ZCARD', doubt),
  first(doubt),
  redis.call('EXISTS', KEYS[3]),
  redis.call('GET', KEYS[3] .. ':at') or '0',
  limits,
}
