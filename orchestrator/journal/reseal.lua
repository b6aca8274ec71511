#!lua flags=allow-oom
-- reseal(key, …) (form, field, old, new, …)
-- Sealed values come under another key: each only if it is still what was read, whatever becomes of
-- the others. form: 's' for a string, 'h' for a field of a hash, 'l' for a place in a list. A key may
-- stand there several times; what it holds lives as long as before.
-- Returns of each whether it was replaced.
local done = {}
for i, key in ipairs(KEYS) do
  local at = 4 * i - 3
  local form, field, old, new = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  done[i] = 0
  if form == 's' and redis.call('GET', key) == old then
    redis.call('SET', key, new, 'KEEPTTL')
    done[i] = 1
  elseif form == 'h' and redis.call('HGET', key, field) == old then
    redis.call('HSET', key, field, new)
    done[i] = 1
  elseif form == 'l' and redis.call('LINDEX', key, field) == old then
    redis.call('LSET', key, field, new)
    done[i] = 1
  end
end
return done
