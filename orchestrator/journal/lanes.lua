#!lua flags=no-writes
-- lanes(due, active) (cursor, count, run_prefix, batch_prefix)
-- The lanes of about `count` runs that have not ended; at cursor 0 those of batches as well that have
-- rows which are no runs yet. From call to call with the cursor that was returned, until it is 0: then
-- every run was met that was there all the time.
-- Reads run:<id> and batch:<id>: same node, by prefix.
-- Returns {cursor, {lane, …}}, each lane once.
local lanes, seen = {}, {}

local function add(key)
  local lane = redis.call('HGET', key, 'lane')
  if lane and not seen[lane] then
    seen[lane] = true
    lanes[#lanes + 1] = lane
  end
end

local page = redis.call('ZSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
for i = 1, #page[2], 2 do add(ARGV[3] .. page[2][i]) end
if ARGV[1] == '0' then
  for _, batch in ipairs(redis.call('SMEMBERS', KEYS[2])) do add(ARGV[4] .. batch) end
end
return {page[1], lanes}
