#!lua
-- admit(head, open, rows, out, due, runs, clock, stops, active)
--      (batch, expected, run_prefix, due_after, key_life, drop, counted, n_starts, start, …,
--       number, 'new', inputs, key, print, value, … | number, summary, record, '', '', '', …)
-- The next rows of a batch become runs, which its window has room for. `expected`: how many were
-- admitted when the caller looked. drop: block of rows that is admitted with these, '' for none.
-- counted: as in counts.py, of a run that is accepted.
-- key: hash of the row's run key, '' for none; print, value: sealed, as accept.lua has them.
-- A row that is none becomes no run: summary and record say why.
-- Whoever sees room for more from here on may fill it.
-- Atomic: all of these rows or none. Two that admit at once do it once.
-- Writes run:<id>, its log and its data: same node, by prefix.
-- Returns {'admitted', now} | {'moved' | 'full' | 'stopped' | 'over', now}.
local head, open, out = KEYS[1], KEYS[2], KEYS[4]
local id, first = ARGV[1], tonumber(ARGV[2])
local _, now = clock(KEYS[7])
local h = redis.call('HMGET', head, 'next', 'plan', 'name', 'lane', 'window', 'total', 'within', 'over',
                     'accounts', 'at', 'lost')
if not h[1] or h[8] then return {'over', now} end
if tonumber(h[1]) ~= first then return {'moved', now} end
if redis.call('HEXISTS', KEYS[8], 'batch:' .. id) == 1 then return {'stopped', now} end

local starts, rows = {}, {}
for i = 1, tonumber(ARGV[8]) do starts[i] = ARGV[8 + i] end
for i = 9 + #starts, #ARGV, 6 do
  local row = {number = ARGV[i], summary = ARGV[i + 1], value = ARGV[i + 2], key = ARGV[i + 3],
               print = ARGV[i + 4], key_value = ARGV[i + 5]}
  -- Taken meanwhile, by somebody outside this batch.
  if row.key ~= '' and redis.call('EXISTS', row.key) == 1 then return {'moved', now} end
  rows[#rows + 1] = row
end
local fresh = 0
for _, row in ipairs(rows) do
  if row.summary == 'new' then fresh = fresh + 1 end
end
if fresh > 0 and redis.call('SCARD', open) + fresh > tonumber(h[5]) then return {'full', now} end

-- What Redis is known to have lost may have been admissions: those rows come again, first of all, and
-- may have been called for already. begin.lua has them looked up.
local lost = tonumber(redis.call('HGET', string.sub(KEYS[5], 1, -4) .. 'server', 'rewound') or '0')
if lost > tonumber(h[11] or '0') and tonumber(h[10]) <= lost then
  redis.call('HSET', head, 'lost', int(lost),
             'lost:to', int(tonumber(rows[1].number) + 1000 + 10 * tonumber(h[5])))
end
local within = tonumber(h[7] or '0')
for _, row in ipairs(rows) do
  if row.summary == 'new' then
    local run = id .. '-' .. row.number
    accept_run(ARGV[3] .. run, KEYS[5], KEYS[6], now, {
      id = run, plan = h[2], name = h[3], lane = h[4], starts = starts,
      check = now + tonumber(ARGV[4]), inputs = row.value,
      deadline = within > 0 and now + within or 0, batch = id, accounts = h[9] or '',
      key = row.key ~= '' and row.key or nil, print = row.print, value = row.key_value,
      life = ARGV[5],
    })
    redis.call('SADD', open, row.number)
  else
    count(head, row.summary, 1)
    redis.call('HSET', out, row.number, row.summary .. '\n' .. row.value)
  end
end
if fresh > 0 then counted(KEYS[5], ARGV[7], fresh) end
redis.call('HSET', head, 'next', int(first + #rows))
if ARGV[6] ~= '' then redis.call('HDEL', KEYS[3], ARGV[6]) end
redis.call('DEL', head .. ':filling')
if first + #rows >= tonumber(h[6]) then redis.call('SREM', KEYS[9], id) end
return {'admitted', now}
