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

-- Look at the run again by `at`: another branch's earlier check stays, one that is past does not.
local function check_by(due, run, now, at)
  local old = tonumber(redis.call('ZSCORE', due, run) or '0')
  if old <= now or old > at then redis.call('ZADD', due, at, run) end
end

-- Every scope's token, or of none (GCRA). keys from `key` on are limit hashes, with an
-- (interval_us, burst) pair each from `arg` on. A turn that was reserved at an earlier try, and
-- has come, is not paid for twice.
-- Returns when the call may be made, and whether the place in the line was taken (a paused
-- provider has no line). ms.
local function turn_of(visit, us, now, key, arg)
  local reserved = visit.v and visit.v <= now
  local turn, paused, arrivals = now, 0, {}
  for i = key, #KEYS do
    local at = arg + 2 * (i - key)
    local interval, burst = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
    local limit = redis.call('HMGET', KEYS[i], 'tat', 'until')
    paused = math.max(paused, tonumber(limit[2] or '0'))
    if not reserved then
      local tat = math.max(us, tonumber(limit[1] or '0'))
      -- No line is a month long: a rate that was set by mistake does not outlive its correction.
      if tat > us + 2592000000000 then tat = us end
      local earliest = tat - interval * (burst - 1)
      if earliest > us then turn = math.max(turn, math.ceil(earliest / 1000)) end
      arrivals[i] = tat + interval
    end
  end
  if paused > now then return math.max(turn, paused), false end
  for i, tat in pairs(arrivals) do redis.call('HSET', KEYS[i], 'tat', int(tat)) end
  return turn, true
end

local function quoted(text)
  return cjson.encode(text)
end
