-- commit(run, log, data, due, clock, pause)
--       (id, step, visit, fence, outcome, record, outputs, pause_ms, keep_frozen,
--        seq, decision, due_at, n_set, field, value, …, removed field, …)
-- step '' : a decision alone. decision '' : an outcome alone.
-- outcome, decision: events as JSON; record: the visit as JSON; outputs: sealed, '' for none.
-- due_at '' takes the run out of the due-set; pause: limit hash of a provider to be paused.
-- Two parts: the outcome lands whenever the fence holds; the decision only when nothing that
-- it could depend on happened since seq (the caller's claim). Each part is atomic.
-- Returns {'committed' | 'news' | 'lost', now}.
local run, log, data, due = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, step, number, fence = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local _, now = clock(KEYS[5])
local head = redis.call('HMGET', run, 'seq', 'end')
if not head[1] then return {'lost', now} end

local seq = tonumber(head[1])
local current = seq == tonumber(ARGV[10]) and not head[2]
if step ~= '' then
  local visit = visit_of(run, step)
  if not visit or visit.n ~= number or visit.f ~= fence
     or (visit.p ~= 'held' and visit.p ~= 'calling') then
    return {'lost', now}
  end
  redis.call('RPUSH', log, ARGV[5])
  -- Sends that the timekeeper made meanwhile are not the lease holder's to forget.
  local landed = cjson.decode(ARGV[6])
  landed.x, landed.s = visit.x, visit.s
  put_visit(run, step, landed)
  if ARGV[7] ~= '' then redis.call('HSET', data, 'o:' .. step, ARGV[7]) end
  if ARGV[9] == '' then redis.call('HDEL', data, 'q:' .. step) end
  if tonumber(ARGV[8]) > 0 then
    redis.call('HSET', KEYS[6], 'until', int(now + tonumber(ARGV[8])))
  end
  seq = seq + 1
end
if not current or ARGV[11] == '' then
  redis.call('HSET', run, 'seq', int(seq))
  if step ~= '' then redis.call('ZADD', due, 'LT', now + 1000, id) end
  return {'news', now}
end

redis.call('RPUSH', log, ARGV[11])
local last = 13 + 2 * tonumber(ARGV[13])
for i = 14, last, 2 do redis.call('HSET', run, ARGV[i], ARGV[i + 1]) end
for i = last + 1, #ARGV do redis.call('HDEL', run, ARGV[i]) end
redis.call('HSET', run, 'seq', int(seq + 1))
if ARGV[12] == '' then redis.call('ZREM', due, id) else redis.call('ZADD', due, ARGV[12], id) end
return {'committed', now}
