#!lua
-- begin(run, log, data, due, clock, stops, waiters, server, limit …)
--      (id, step, visit, fence, lease_ms, check_ms, frozen, provider, keyless, known, told, grace_ms,
--       limited, stopped, interval_us, burst, concurrency, …)
-- limited, stopped: as in counts.py, of a call that has to wait.
-- stops, waiters: as in keys.py, of the provider.
-- keyless '1': nothing but the journal keeps the call from being made twice. known, told: as in
-- lib.lua, known '' where nothing is watched.
-- limit …: one hash per scope, with an (interval_us, burst, concurrency) triple each, in order.
-- frozen: the sealed request of the visit's first attempt, '' when it is already there.
-- Atomic: fence and lease checked, a token of every scope taken (or reserved) or of none, the request
-- frozen, the attempt counted: after this the provider may be called once.
-- A call that may have been made in what the server has lost is not: its visit is parked, in doubt
-- (3: rewound), to be looked up.
-- A call whose turn is at hand has begun as well: its lease counts from when it is to be made.
-- Returns {verdict, now, attempt, first, until [, missing, known, life [, when to call]]}.
local run, log, data, due = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, step, number, fence = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local us, now = clock(KEYS[5])

local visit = visit_of(run, step)
if not visit or visit.n ~= number or visit.f ~= fence or visit.p ~= 'held'
   or visit.u <= now then
  return {'lost', now, 0, 0, 0}
end
local head = redis.call('HMGET', run, 'ending', 'paused', 'deadline', 'accepted', 'batch')
local late = head[3] and tonumber(head[3]) <= now
if head[1] or head[2] == '1' or late then return {'halted', now, 0, 0, 0} end

-- A run's batch is stopped as a provider is; its waiters stand beside theirs.
local waiters = redis.call('HEXISTS', KEYS[6], ARGV[8]) == 1 and KEYS[7]
if not waiters and head[5] and redis.call('HEXISTS', KEYS[6], 'batch:' .. head[5]) == 1 then
  waiters = string.sub(KEYS[6], 1, -6) .. 'waiters:batch:' .. head[5]
end
if waiters then
  -- go_on wakes it. Nobody is sent again and again meanwhile: it looks by itself only about once
  -- an hour (spread over ten minutes), for a waiter that got lost.
  visit.p, visit.u = 'waiting', now + 3600000 + us % 600000
  put_visit(run, step, visit)
  redis.call('HINCRBY', run, 'seq', 1)
  redis.call('RPUSH', log, '{"e":"limited","t":' .. int(now) .. ',"s":' .. quoted(step)
    .. ',"n":' .. int(number) .. ',"u":' .. int(visit.u) .. ',"st":1}')
  redis.call('ZADD', due, 'LT', visit.u, id)
  redis.call('ZADD', waiters, visit.u, id .. ' ' .. int(number) .. ' ' .. step)
  counted(due, ARGV[14], 1)
  return {'stopped', now, 0, 0, visit.u}
end

local missing, known, life, heard = 0, 0, '', 0
if ARGV[9] == '1' then
  if ARGV[10] ~= '' then
    missing, known, life, heard =
      witnessed(KEYS[8], now, tonumber(ARGV[10]), ARGV[11], tonumber(ARGV[12]))
  end
  -- The run was there when writes were lost, so it may have come to this step and sent it: also to
  -- one that it comes to again afterwards. After a week it has not: what was lost was seconds, and
  -- whose an effect is is known for no longer. Once for a loss.
  local rewound, accepted = tonumber(redis.call('HGET', KEYS[8], 'rewound') or '0'), tonumber(head[4])
  -- A row of a batch may have been admitted, and called for, in what was lost, and comes again under
  -- the same id: whatever its acceptance says now, it may be as old as the loss.
  if rewound > 0 and head[5] then
    local batch = redis.call('HMGET', string.sub(due, 1, -4) .. 'batch:' .. head[5], 'lost', 'lost:to')
    local again = tonumber(batch[1] or '0') == rewound
      and tonumber(string.match(id, '%d+$')) <= tonumber(batch[2])
    if again or accepted <= rewound then accepted = 0 end
  end
  if rewound > 0 and accepted <= rewound and (visit.rw or 0) ~= rewound
     and (visit.en or accepted) < rewound + 604800000 then
    visit.p, visit.d, visit.rw = 'unknown', 3, rewound
    visit.k, visit.c = 'unknown', 'redis-rewound'
    visit.t, visit.h, visit.m, visit.l, visit.z, visit.j, visit.q = nil, nil, nil, nil, nil, nil, nil
    -- Above all that were given in what was lost: who has one of those lands nothing any more.
    visit.f = visit.f + 1000
    visit.b = visit.b or math.max(accepted, rewound - 600000)
    visit.u = math.max(now, rewound + 10000)
    put_visit(run, step, visit)
    if ARGV[7] ~= '' then redis.call('HSET', data, 'q:' .. step, ARGV[7]) end
    redis.call('HINCRBY', run, 'seq', 1)
    redis.call('RPUSH', log, '{"e":"rewound","t":' .. int(now) .. ',"s":' .. quoted(step)
      .. ',"n":' .. int(number) .. ',"f":' .. int(visit.f) .. ',"b":' .. int(visit.b)
      .. ',"u":' .. int(visit.u) .. ',"r":' .. int(rewound) .. '}')
    redis.call('ZADD', due, 'LT', visit.u, id)
    doubted(due, id, now)
    return {'rewound', now, 0, visit.b, visit.u, missing, known, life}
  end
  if heard > now then
    visit.p, visit.u = 'waiting', heard
    put_visit(run, step, visit)
    redis.call('HINCRBY', run, 'seq', 1)
    redis.call('RPUSH', log, '{"e":"limited","t":' .. int(now) .. ',"s":' .. quoted(step)
      .. ',"n":' .. int(number) .. ',"u":' .. int(visit.u) .. ',"g":1}')
    redis.call('ZADD', due, 'LT', visit.u, id)
    return {'limited', now, 0, 0, visit.u, missing, known, life}
  end
end

local me, lease = id .. '/' .. step .. '/' .. int(number), tonumber(ARGV[5])
local preferred = visit.pf
local turn, wait, placed = turn_of(visit, us, now, 9, 15, head[5], me, lease)
if not turn then
  -- Its place in the line is taken now, so that it comes back once, not again and again.
  visit.p, visit.u = 'waiting', wait
  put_visit(run, step, visit)
  redis.call('HINCRBY', run, 'seq', 1)
  redis.call('RPUSH', log, '{"e":"limited","t":' .. int(now) .. ',"s":' .. quoted(step)
    .. ',"n":' .. int(number) .. ',"u":' .. int(visit.u)
    .. (placed and ',"v":' .. int(visit.v) or '')
    .. (visit.pf ~= preferred and ',"pf":1' or '') .. '}')
  redis.call('ZADD', due, 'LT', visit.u, id)
  counted(due, ARGV[13], 1)
  return {'limited', now, 0, 0, visit.u, missing, known, life}
end

-- From here on it is this very call that may have been carried out.
if visit.d == 3 then visit.d = 1 end
visit.p, visit.a, visit.u = 'calling', (visit.a or 0) + 1, turn + lease
visit.b = visit.b or now
put_visit(run, step, visit)
if ARGV[7] ~= '' then redis.call('HSET', data, 'q:' .. step, ARGV[7]) end
redis.call('RPUSH', log, '{"e":"begun","t":' .. int(now) .. ',"s":' .. quoted(step)
  .. ',"n":' .. int(number) .. ',"a":' .. int(visit.a) .. ',"u":' .. int(visit.u) .. '}')
if ARGV[10] ~= '' then known = redis.call('HINCRBY', KEYS[8], 'begun', 1) end
return {'begun', now, visit.a, visit.b, visit.u, missing, known, life, turn}
