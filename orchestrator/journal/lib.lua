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

local function quoted(text)
  return cjson.encode(text)
end
