#!lua flags=allow-oom
-- commit(run, log, data, due, clock, pause, effect, busy …)
--       (id, step, visit, fence, outcome, record, outputs, pause_ms, keep_frozen, effect_ms,
--        adopted, seq, decision, due_at, standing, attempt, attempt_ms, took_ms, doubt, parked,
--        n_set, field, value, …, n_counted, counted, by, …, removed field, …)
-- step '' : a decision alone. decision '' : an outcome alone.
-- outcome, decision: events as JSON; record: the visit as JSON; outputs: sealed, '' for none.
-- due_at '' takes the run out of the due-set; pause: limit hash of a provider to be paused.
-- pause_ms: 0 for not at all; ' refused' behind it where it was called too fast. busy …: zsets that
-- count the call as under way.
-- effect: string that says whose a provider's effect is; effect_ms: how long, 0 for no effect.
-- adopted '1': the effect was looked up, and is this intent's only if it is nobody else's.
-- standing: what the decision leaves a run of a batch at: 'parked' (in doubt), 'idle' (it waits for
-- long) or 'busy'; only what is busy takes a place in the batch's window.
-- attempt, attempt_ms: as in counts.py, of an outcome that is a call's end, '' for another;
-- counted: of the decision. All of them are counted with what they count, or not at all.
-- doubt: what the decision makes of the run: 'in', 'out', or '' for what it was. parked: is counted
-- when it was not in doubt before.
-- fence -1: a person's word about a visit that is parked, under nobody's lease; a run that goes on
-- by it takes a place in its batch's window again.
-- Two parts: the outcome lands whenever the fence holds; the decision only when nothing that
-- it could depend on happened since seq (the caller's claim). Each part is atomic.
-- Returns {'committed' | 'news' | 'lost' | 'taken', now}.
local run, log, data, due = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, step, number, fence = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local _, now = clock(KEYS[5])
local head = redis.call('HMGET', run, 'seq', 'end', 'batch')
if not head[1] then return {'lost', now} end

local seq = tonumber(head[1])
local current, parked = seq == tonumber(ARGV[12]) and not head[2], false
if step ~= '' then
  local visit = visit_of(run, step)
  parked = fence == -1 and visit and visit.p == 'unknown'
  local held = visit and visit.f == fence and (visit.p == 'held' or visit.p == 'calling')
  if not visit or visit.n ~= number or not (parked or held) then return {'lost', now} end
  if tonumber(ARGV[10]) > 0 then
    local me = id .. '/' .. step .. '/' .. int(number)
    local owner = redis.call('GET', KEYS[7])
    if owner and owner ~= me and ARGV[11] == '1' then return {'taken', now} end
    if not owner then redis.call('SET', KEYS[7], me, 'PX', ARGV[10]) end
  end
  redis.call('RPUSH', log, ARGV[5])
  -- Sends that the timekeeper made meanwhile are not the lease holder's to forget.
  local landed = cjson.decode(ARGV[6])
  landed.x, landed.s = visit.x, visit.s
  put_visit(run, step, landed)
  if ARGV[7] ~= '' then redis.call('HSET', data, 'o:' .. step, ARGV[7]) end
  if ARGV[9] == '' then redis.call('HDEL', data, 'q:' .. step) end
  local pause, refused = string.match(ARGV[8], '^(%d+)(.*)$')
  if tonumber(pause) > 0 then
    local last = tonumber(redis.call('HGET', KEYS[6], 'until') or '0')
    redis.call('HSET', KEYS[6], 'until', int(math.max(last, now + tonumber(pause))))
  end
  if refused ~= '' then slow_down(KEYS[6], now) end
  if ARGV[16] ~= '' then
    counted(due, ARGV[16], 1)
    counted(due, ARGV[17], ARGV[18])
  end
  for i = 8, #KEYS do redis.call('ZREM', KEYS[i], id .. '/' .. step .. '/' .. int(number)) end
  seq = seq + 1
end
if not current or ARGV[13] == '' then
  redis.call('HSET', run, 'seq', int(seq))
  if step ~= '' then redis.call('ZADD', due, 'LT', now + 1000, id) end
  return {'news', now}
end

redis.call('RPUSH', log, ARGV[13])
local last = 21 + 2 * tonumber(ARGV[21])
for i = 22, last, 2 do redis.call('HSET', run, ARGV[i], ARGV[i + 1]) end
local first = last + 2
last = last + 1 + 2 * tonumber(ARGV[last + 1])
for i = first, last, 2 do counted(due, ARGV[i], ARGV[i + 1]) end
for i = last + 1, #ARGV do redis.call('HDEL', run, ARGV[i]) end
if ARGV[19] == 'in' then
  if doubted(due, id, now) and ARGV[20] ~= '' then counted(due, ARGV[20], 1) end
elseif ARGV[19] == 'out' then
  redis.call('ZREM', string.sub(due, 1, -4) .. 'doubt', id)
end
redis.call('HSET', run, 'seq', int(seq + 1))
if head[3] then
  local batch, row = string.sub(due, 1, -4) .. 'batch:' .. head[3], string.match(id, '%d+$')
  if ARGV[15] == 'parked' then
    redis.call('SADD', batch .. ':parked', row)
  else
    redis.call('SREM', batch .. ':parked', row)
  end
  if ARGV[15] ~= 'busy' then
    redis.call('SREM', batch .. ':open', row)
  elseif parked then
    redis.call('SADD', batch .. ':open', row)
  end
end
if ARGV[14] == '' then redis.call('ZREM', due, id) else redis.call('ZADD', due, ARGV[14], id) end
return {'committed', now}
