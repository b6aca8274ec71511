#!lua flags=allow-oom
-- stop(stops, house, clock) (provider, tail)
-- tail: who and why, as JSON behind a time: of the stop, and of its event.
-- Atomic: the stop and its event, or neither: a provider that is stopped stays as it was stopped.
-- Returns the stop that holds.
local _, now = clock(KEYS[3])
if redis.call('HSETNX', KEYS[1], ARGV[1], '{"t":' .. int(now) .. ARGV[2]) == 1 then
  redis.call('RPUSH', KEYS[2], '{"e":"stopped","t":' .. int(now) .. ',"p":' .. quoted(ARGV[1])
    .. ARGV[2])
  redis.call('LTRIM', KEYS[2], -1000, -1)
end
return redis.call('HGET', KEYS[1], ARGV[1])
