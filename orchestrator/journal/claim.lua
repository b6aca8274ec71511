-- claim(run, log, data, due, workers, clock)
--      (id, step, visit, worker, hold_ms, check_ms, plan_prefix, lane_prefix)
-- Atomic: the visit's lease and fence, the event, the run's next check, the lane's mark.
-- Reads plan:<digest> (which data the step reads) and writes lane:<lane>: same node, by prefix.
-- A visit is free when it is ready, when its wait is over, when it is parked and due to be looked
-- up, or when its lease died with its worker; in the last case a call may have been executed, and
-- `d` (doubt, 2: lost) says so.
-- Returns {verdict, now, control hash, {data field, value, …}}.
local run, log, data, due = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, step, number, worker = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local _, now = clock(KEYS[6])

local function answer(verdict, fields)
  return {verdict, now, redis.call('HGETALL', run), fields or {}}
end

local function dead(visit)
  local beat = redis.call('ZSCORE', KEYS[5], visit.w)
  return visit.u <= now or not beat or tonumber(beat) <= now
end

local head = redis.call('HMGET', run, 'end', 'ending', 'paused', 'plan', 'lane')
if not head[4] then return {'absent', now, {}, {}} end
if head[1] then return answer('finished') end

local visit = visit_of(run, step)
if not visit or visit.n ~= number then return answer('stale') end
local phase = visit.p
local looks = phase == 'unknown' and (visit.u or 0) > 0 and visit.u <= now
if phase == 'succeeded' or phase == 'failed' or phase == 'settled'
   or (phase == 'unknown' and not looks) then
  return answer(phase)
end
if phase == 'cancelled' then return answer('stale') end

local in_flight = phase == 'held' or phase == 'calling'
if in_flight and not dead(visit) then return answer('busy') end
if phase == 'waiting' and visit.u > now then return answer('waiting') end
-- A run on its way to its end begins nothing more, but what may have been executed is looked up.
if head[2] and not in_flight and not looks then return answer('stale') end
-- A dead lease is taken over in a pause all the same: what its call came to must land.
if head[3] == '1' and not in_flight then return answer('paused') end

if phase == 'calling' then visit.d = 2 end
local sent = visit.s or 0
visit.p, visit.f, visit.w, visit.u = 'held', (visit.f or 0) + 1, worker, now + tonumber(ARGV[5])
put_visit(run, step, visit)
redis.call('HINCRBY', run, 'seq', 1)
redis.call('RPUSH', log, '{"e":"claimed","t":' .. int(now) .. ',"s":' .. quoted(step)
  .. ',"n":' .. int(number) .. ',"f":' .. int(visit.f) .. ',"w":' .. quoted(worker)
  .. ',"u":' .. int(visit.u) .. (phase == 'calling' and ',"d":2' or '') .. '}')

check_by(due, id, now, now + tonumber(ARGV[6]))
local lane = ARGV[8] .. head[5]
local newest = tonumber(redis.call('HGET', lane, 'claimed') or '0')
if sent > newest then redis.call('HSET', lane, 'claimed', int(sent)) end

local names = {}
for word in string.gmatch(redis.call('HGET', ARGV[7] .. head[4], 'r:' .. step) or '', '%S+') do
  names[#names + 1] = word
end
if visit.a then names[#names + 1] = 'q:' .. step end
local fields = {}
if #names > 0 then
  local values = redis.call('HMGET', data, unpack(names))
  for i, name in ipairs(names) do
    if values[i] then
      fields[#fields + 1] = name
      fields[#fields + 1] = values[i]
    end
  end
end
return answer('claimed', fields)
