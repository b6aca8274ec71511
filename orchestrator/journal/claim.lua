#!lua
-- claim(run, log, data, due, workers, clock)
--      (id, step, visit, worker, hold_ms, check_ms, plan_prefix, lane_prefix, version,
--       mine, send, mark)
-- A run of a higher version than the caller's, or a visit in a phase that is none of this
-- release's, is left as it is.
-- Atomic: the visit's lease and fence, the event, the run's next check, the lane's mark.
-- Reads plan:<digest> (which data the step reads) and writes lane:<lane>: same node, by prefix.
-- A visit is free when it is ready, when its wait is over, when it is parked and due to be looked
-- up, or when its lease died with its worker; in the last case a call may have been executed, and
-- `d` (doubt, 2: lost) says so.
-- mine '1': the caller drives nothing of this visit, so that a lease of its own that was never
-- used is one whose claim it had no answer to.
-- send: number of the message that is claimed, 0 for none. Only the latest one marks its lane: of an
-- earlier one the visit does not know the time, and a mark that is too new makes all that still waits
-- in the lane look lost.
-- mark: the lane's field that the message counts in, 'fresh' for a run's very first; those of batches
-- have fields of their own, as they have lists.
-- 'late': the run's deadline has passed and nobody has decided upon that yet.
-- Returns {verdict, now, control hash, {data field, value, …}}.
local run, log, data, due = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, step, number, worker = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local _, now = clock(KEYS[6])

local function answer(verdict, fields)
  return {verdict, now, redis.call('HGETALL', run), fields or {}}
end

local function dead(visit)
  if ARGV[10] == '1' and visit.p == 'held' and visit.w == worker then return true end
  local beat = redis.call('ZSCORE', KEYS[5], visit.w)
  return visit.u <= now or not beat or tonumber(beat) <= now
end

local head = redis.call('HMGET', run, 'end', 'ending', 'paused', 'plan', 'lane', 'v', 'deadline', 'batch')
if not head[4] then return {'absent', now, {}, {}} end
if tonumber(head[6] or '1') > tonumber(ARGV[9]) then return {'newer', now, {}, {}} end
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
local late = head[7] and tonumber(head[7]) <= now and not head[2]
if phase == 'waiting' and visit.u > now and not late then return answer('waiting') end
if not (in_flight or looks or phase == 'ready' or phase == 'waiting') then
  return {'newer', now, {}, {}}
end
-- A run on its way to its end begins nothing more, but what may have been executed is looked up.
if head[2] and not in_flight and not looks then return answer('stale') end
if late and not in_flight and not looks then return answer('late') end
-- A dead lease is taken over in a pause all the same: what its call came to must land.
if head[3] == '1' and not in_flight then return answer('paused') end

if phase == 'calling' then
  visit.d = 2
  counted(due, 'lost', 1)
end
local sent = visit.s or 0
if (visit.x or 1) > 1 then visit.xc = visit.x end
visit.p, visit.f, visit.w, visit.u = 'held', (visit.f or 0) + 1, worker, now + tonumber(ARGV[5])
put_visit(run, step, visit)
redis.call('HINCRBY', run, 'seq', 1)
redis.call('RPUSH', log, '{"e":"claimed","t":' .. int(now) .. ',"s":' .. quoted(step)
  .. ',"n":' .. int(number) .. ',"f":' .. int(visit.f) .. ',"w":' .. quoted(worker)
  .. ',"u":' .. int(visit.u) .. (phase == 'calling' and ',"d":2' or '') .. '}')

check_by(due, id, now, now + tonumber(ARGV[6]), head[7])
local lane = ARGV[8] .. head[5]
local mark = head[8] and 'bulk-' .. ARGV[12] or ARGV[12]
local newest = tonumber(redis.call('HGET', lane, mark) or '0')
local latest = ARGV[11] == '0' or tonumber(ARGV[11]) == (visit.x or 1)
if latest and sent > newest then redis.call('HSET', lane, mark, int(sent)) end

local names = {}
for word in string.gmatch(redis.call('HGET', ARGV[7] .. head[4], 'r:' .. step) or '', '%S+') do
  names[#names + 1] = word
end
-- What may have been sent by a lost attempt is frozen, too.
if visit.a or visit.d then names[#names + 1] = 'q:' .. step end
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
