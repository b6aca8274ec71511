#!lua flags=allow-oom
-- postpone(run, due) (id, seq, due_at)
-- Only while nothing happened since seq: whoever changed the run set its time better.
-- Never back into the due-set.
if redis.call('HGET', KEYS[1], 'seq') == ARGV[2] then
  redis.call('ZADD', KEYS[2], 'XX', ARGV[3], ARGV[1])
end
return 1
