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

-- Look at the run again by `at`, or by its deadline (text, false for none) if that comes before:
-- another branch's earlier check stays, one that is past does not.
local function check_by(due, run, now, at, deadline)
  local last = tonumber(deadline or '0')
  if last > now and last < at then at = last end
  local old = tonumber(redis.call('ZSCORE', due, run) or '0')
  if old <= now or old > at then redis.call('ZADD', due, at, run) end
end

-- Every scope's token, or of none (GCRA). keys from `key` on are limit hashes, with an
-- (interval_us, burst) pair each from `arg` on. A turn that was reserved at an earlier try, and
-- has come, is not paid for twice; but those that were missed (no worker, a long lane) go one after
-- the other as well, in a line of their own, or all of them would call at once.
-- A line's `at` is when it was last joined: where that lies ahead, Redis' clock went back, and the
-- line goes back with it.
-- Returns when the call may be made, and whether the place in the line was taken (a paused
-- provider has no line). ms.
local function turn_of(visit, us, now, key, arg)
  local reserved = visit.v and visit.v <= now
  local line = (reserved and visit.v < now - 2000) and 'late' or 'tat'
  local turn, paused, arrivals = now, 0, {}
  for i = key, #KEYS do
    local at = arg + 2 * (i - key)
    local interval, burst = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
    local limit = redis.call('HMGET', KEYS[i], line, 'until', 'at')
    paused = math.max(paused, tonumber(limit[2] or '0'))
    if not reserved or line == 'late' then
      local back = math.max(0, tonumber(limit[3] or '0') - us)
      local tat = math.max(us, tonumber(limit[1] or '0') - back)
      -- No line is a month long: a rate that was set by mistake does not outlive its correction.
      if tat > us + 2592000000000 then tat = us end
      local earliest = tat - interval * (burst - 1)
      if earliest > us then turn = math.max(turn, math.ceil(earliest / 1000)) end
      arrivals[i] = tat + interval
    end
  end
  if paused > now then return math.max(turn, paused), false end
  for i, tat in pairs(arrivals) do redis.call('HSET', KEYS[i], line, int(tat), 'at', int(us)) end
  return turn, true
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
