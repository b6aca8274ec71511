#!lua flags=allow-oom
-- put_away(run, log, data, done, ended, kept) (id, seq, events, place, done_value, over)
-- kept: the set, of two, that it is to stand in; as in keys.py.
-- seq, events: how far it was when done_value was made of it. over: when it ended, ms.
-- done_value '': it cannot be put away, and is looked at again `over` ms later; 0 for never, unless
-- it ends anew. place: where it stood in `ended`; somebody who moved it knows better.
-- Atomic: it is in one form or in the other.
-- Returns 1 when it was put away.
local run, id = KEYS[1], ARGV[1]
if tonumber(redis.call('ZSCORE', KEYS[5], id) or '-1') ~= tonumber(ARGV[4]) then return 0 end
if ARGV[5] == '' then
  if ARGV[6] == '0' then redis.call('ZREM', KEYS[5], id)
  else redis.call('ZINCRBY', KEYS[5], ARGV[6], id) end
  return 0
end
local head = redis.call('HMGET', run, 'end', 'outbox', 'seq')
if not head[1] or head[2] or head[3] ~= ARGV[2]
   or redis.call('LLEN', KEYS[2]) ~= tonumber(ARGV[3]) then
  return 0
end
redis.call('SET', KEYS[4], ARGV[5])
redis.call('DEL', run, KEYS[2], KEYS[3])
redis.call('ZREM', KEYS[5], id)
redis.call('ZADD', KEYS[6], ARGV[6], id)
return 1
