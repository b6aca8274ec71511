-- Shared by every script: put in front of it when it is registered.

-- Redis' clock in microseconds and milliseconds; the offset is for tests only.
local function clock(key)
  local t = redis.call('TIME')
  local offset = tonumber(redis.call('GET', key) or '0')
  local us = (t[1] * 1000000 + t[2]) + offset * 1000
  return us, math.floor(us / 1000)
end

local function int(n)
  return string.format('%.0f', n)
end

-- Visits are flat JSON objects of scalars (engine/state.py, Visit), so cjson keeps them whole.
local function visit_of(run, step)
  local text = redis.call('HGET', run, 's:' .. step)
  return text and cjson.decode(text)
end

local function put_visit(run, step, visit)
  redis.call('HSET', run, 's:' .. step, cjson.encode(visit))
end

-- Of what is counted for good (counts.py): the field by so much more. Fields come from documents, so
-- that there is a last one: the rest of its kind is one. `due` says where the counts are.
local function counted(due, field, by)
  local counts = string.sub(due, 1, -4) .. 'counts'
  local stands = redis.call('HINCRBY', counts, field, by)
  -- Only one that is new can be too many.
  if stands == tonumber(by) and redis.call('HLEN', counts) > 20000 then
    redis.call('HDEL', counts, field)
    redis.call('HINCRBY', counts, string.match(field, '^[^|]*') .. '|other', by)
  end
end

-- The run is in doubt (keys.py, doubt) from now on, if it is not already. Whether it was not.
local function doubted(due, id, now)
  return redis.call('ZADD', string.sub(due, 1, -4) .. 'doubt', 'NX', now, id) == 1
end

-- Look at the run again by `at`, or by its deadline (text, false for none) if that comes before:
-- another branch's earlier check stays, one that is past does not.
local function check_by(due, run, now, at, deadline)
  local last = tonumber(deadline or '0')
  if last > now and last < at then at = last end
  local old = tonumber(redis.call('ZSCORE', due, run) or '0')
  if old <= now or old > at then redis.call('ZADD', due, at, run) end
end

-- A worker holds a call for so long until its turn, and is sent it so much ahead of that. ms.
local HOLD, AHEAD = 250, 200

-- How much of its rate a scope is used at: less after a refusal, and all of it within a minute.
local function factor_of(factor, cut, now)
  return math.min(1, tonumber(factor or '1') + math.max(0, now - tonumber(cut or '0')) / 60000)
end

-- A scope at this moment, times in us: when its gate and the ends of its lines allow another call.
-- A scope's `at` is when it was last written: where that lies ahead, Redis' clock went back, and the
-- rest goes back with it.
local function scope_of(key, interval, burst, most, us, now, me)
  local has = redis.call('HMGET', key, 'gate', 'urgent', 'bulk', 'at', 'until', 'factor', 'cut',
                         'sent', 'back')
  local gone_back = math.max(0, tonumber(has[4] or '0') - us)
  local scope = {key = key, most = most, paused = tonumber(has[5] or '0'),
                 sent = tonumber(has[8] or '0'), back = tonumber(has[9] or '0')}
  scope.interval, scope.slack = interval, interval * (burst - 1)
  scope.gap = interval / factor_of(has[6], has[7], now)
  for i, name in ipairs({'gate', 'urgent', 'bulk'}) do
    local at = tonumber(has[i] or '0') - gone_back
    -- No line is a month long: a rate that was set by mistake does not outlive its correction.
    scope[name] = at > us + 2592000000000 and us or at
  end
  if most > 0 then
    redis.call('ZREMRANGEBYSCORE', key .. ':busy', '-inf', now)
    scope.full = not redis.call('ZSCORE', key .. ':busy', me)
                 and redis.call('ZCARD', key .. ':busy') >= most
  end
  return scope
end

-- When the call may be made, by every scope or by none. keys from `key` on are limit hashes, with an
-- (interval_us, burst, concurrency) triple each from `arg` on. bulk: the run is a batch's.
-- The gate (GCRA) has every call, so that no span of time has more than rate * span + burst. In front
-- of it are two lines for those that must wait, each at the full rate: a place is taken once, and
-- whoever comes when it has come goes through the gate. Where the gate is taken by then (urgent
-- calls took it, or its own time was missed), it takes a place at its line's end.
-- Urgent calls do not see the line of the bulk, and bulk does not go while urgent ones wait; but
-- of those that are put back by urgent ones every tenth gets its next place among these.
-- Returns when the call is to be made, ms, at most HOLD ahead; or nil, until when the visit waits,
-- and whether it has a new place (a paused provider has no line). Writes the visit's place.
local function turn_of(visit, us, now, key, arg, bulk, me, lease)
  local scopes, paused, full = {}, 0, false
  local gate, lines = us, {urgent = us, bulk = us}
  for i = key, #KEYS do
    local at = arg + 3 * (i - key)
    local scope = scope_of(KEYS[i], tonumber(ARGV[at]), tonumber(ARGV[at + 1]),
                           tonumber(ARGV[at + 2]), us, now, me)
    scopes[#scopes + 1] = scope
    paused, full = math.max(paused, scope.paused), full or scope.full
    gate = math.max(gate, scope.gate - scope.slack * scope.gap / scope.interval)
    for name, earliest in pairs(lines) do
      lines[name] = math.max(earliest, scope[name] - scope.slack)
    end
  end
  if paused > now then return nil, paused, false end

  local latest, line = us + HOLD * 1000, (bulk and not visit.pf) and 'bulk' or 'urgent'
  local come = visit.v and visit.v <= now + HOLD
  local place = come and math.max(gate, visit.v * 1000)
  local pays = not come or full or place > latest or (line == 'bulk' and lines.urgent > place)
  local first, back = scopes[1], nil
  if pays then
    if come and line == 'bulk' and first and first.urgent > us then
      back = first.back + 1
      if back == 10 then line, visit.pf, back = 'urgent', 1, 0 end
    end
    place = math.max(gate, lines[line], full and us + 500000 or 0)
    if line == 'bulk' then place = math.max(place, math.min(lines.urgent, us + 1000000)) end
  end
  local goes = place <= latest and not full and (line == 'urgent' or lines.urgent <= place)
  if place > us then place = math.ceil(place / 1000) * 1000 end
  local at = math.max(now, math.floor(place / 1000))
  if goes and line == 'bulk' and first and first.back > 0 then back = 0 end

  for i, scope in ipairs(scopes) do
    local fields = {'at', int(us)}
    if goes then
      fields[3], fields[4] = 'gate', int(math.max(scope.gate, place) + scope.gap)
      fields[5], fields[6] = 'sent', int(scope.sent + 1)
      if scope.most > 0 then redis.call('ZADD', scope.key .. ':busy', at + lease, me) end
    end
    if pays then
      -- Who waits finds nothing left of the burst.
      local from = place > us and place + scope.slack or us
      fields[#fields + 1] = line
      fields[#fields + 1] = int(math.max(scope[line], from) + scope.interval)
    end
    if back and i == 1 then
      fields[#fields + 1] = 'back'
      fields[#fields + 1] = int(back)
    end
    redis.call('HSET', scope.key, unpack(fields))
  end
  if goes then
    visit.v, visit.pf = nil, nil
    return at
  end
  visit.v = at
  return nil, at - AHEAD, true
end

-- A provider has refused to be called that fast: its scope is used less. At most once a second, for
-- what is refused by then went out before; by a third where many were refused since the last time,
-- by little where it was one of many.
local function slow_down(key, now)
  local refused = redis.call('HINCRBY', key, 'refused', 1)
  local has = redis.call('HMGET', key, 'factor', 'cut', 'sent')
  local cut = tonumber(has[2] or '0')
  if cut <= now and cut > now - 1000 then return end
  local share = refused / (20 + math.max(refused, tonumber(has[3] or '0')))
  local less = math.min(0.3, math.max(0.03, 6 * share))
  local factor = math.max(0.05, (1 - less) * factor_of(has[1], has[2], now))
  redis.call('HSET', key, 'factor', string.format('%.4f', factor), 'cut', int(now), 'sent', 0,
             'refused', 0)
end

-- What a worker remembers, held against what the server has (`server`, keys.py): of calls without
-- a key, how many were begun (known), and in which life of the server that was told ('' where it
-- has no id). A server that has fewer has lost what it acknowledged. What was told in another life
-- is held against what this one came back with: others may have begun as many since.
-- Returns how many are missing at least, how many are known now, this life, and until when (ms)
-- nothing without a key is begun: after a restart every worker is heard first.
local function witnessed(server, now, known, told, grace)
  local info = redis.pcall('INFO', 'server')
  local life = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
  local has = redis.call('HMGET', server, 'begun', 'life', 'kept', 'since')
  local begun, kept = tonumber(has[1] or '0'), tonumber(has[3] or '0')
  local since = tonumber(has[4] or '0')
  if life ~= '' and life ~= has[2] then
    -- The first that a journal ever sees is no restart.
    kept, since = begun, has[2] and now or 0
    redis.call('HSET', server, 'life', life, 'kept', int(kept), 'since', int(since))
  elseif since > now then
    -- Redis' clock went back: no grace is as long as that.
    since = now
    redis.call('HSET', server, 'since', int(since))
  end
  local another = told ~= '' and life ~= '' and told ~= life
  local missing = known - (another and kept or begun)
  if missing > 0 then
    begun, kept = math.max(begun, known), math.max(kept, known)
    redis.call('HSET', server, 'begun', int(begun), 'kept', int(kept), 'rewound', int(now),
               'missing', int(missing))
  end
  return math.max(missing, 0), begun, life, since > 0 and since + grace or 0
end

local function quoted(text)
  return cjson.encode(text)
end

-- A run begins: control hash, first event, values, places among the due and among all. `r` has id,
-- plan, name, lane, starts, inputs (sealed), check (when to look at it at the latest, ms), deadline
-- (ms, 0 for none), batch and accounts ('' for none); with a run key also key (its hash), print and
-- value (both sealed), life (ms).
local function accept_run(run, due, runs, now, r)
  local starts, check = {}, r.check
  for i, step in ipairs(r.starts) do
    starts[i] = quoted(step)
    put_visit(run, step, {n = 1, p = 'ready', s = now})
  end
  local last, batch = '', ''
  if r.deadline > 0 then
    redis.call('HSET', run, 'deadline', int(r.deadline))
    check, last = math.min(check, r.deadline), ',"u":' .. int(r.deadline)
  end
  if r.batch ~= '' then
    redis.call('HSET', run, 'batch', r.batch)
    batch = ',"b":' .. quoted(r.batch)
  end
  local accounts = ''
  if r.accounts ~= '' then
    -- A worker that does not know of accounts would call by another: it leaves the run alone.
    redis.call('HSET', run, 'accounts', r.accounts, 'v', '2')
    accounts = ',"ac":' .. quoted(r.accounts)
  end
  redis.call('HSET', run, 'plan', r.plan, 'name', r.name, 'lane', r.lane,
             'accepted', int(now), 'seq', '1')
  redis.call('RPUSH', run .. ':log', '{"e":"accepted","t":' .. int(now) .. ',"plan":' .. quoted(r.plan)
    .. ',"name":' .. quoted(r.name) .. ',"lane":' .. quoted(r.lane)
    .. ',"starts":[' .. table.concat(starts, ',') .. ']' .. last .. batch .. accounts .. '}')
  redis.call('HSET', run .. ':data', 'inputs', r.inputs)
  if r.key then
    redis.call('HSET', run .. ':data', 'key', r.value)
    redis.call('HSET', r.key, 'run', r.id, 'print', r.print, 'at', int(now))
    redis.call('PEXPIRE', r.key, r.life)
  end
  redis.call('ZADD', runs, now, r.id)
  redis.call('ZADD', due, check, r.id)
end

-- What a batch counts of a run that has ended (by 1) or goes on again (by -1). summary: "end code
-- sum=number,…", where a code is '-' for none. Of codes a hundred are told apart.
local function count(head, summary, by)
  local ending, code, sums = string.match(summary, '^(%S+) (%S+) ?(%S*)')
  redis.call('HINCRBY', head, 'n:' .. ending, by)
  if code ~= '-' then
    local field = 'c:' .. code
    if redis.call('HEXISTS', head, field) == 0 and redis.call('HLEN', head) > 130 then
      field = 'c:other'
    end
    if redis.call('HINCRBY', head, field, by) == 0 then redis.call('HDEL', head, field) end
  end
  for sum, number in string.gmatch(sums, '([^=,]+)=(%d+)') do
    redis.call('HINCRBY', head, 's:' .. sum, by * number)
  end
end
