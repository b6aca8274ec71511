#!lua flags=allow-oom
-- heartbeat(workers, clock, server) (worker, ttl_ms, known, told, grace_ms)
-- Alive until now + ttl_ms; ttl 0 retires it. known, told: as in lib.lua, '' where nothing is
-- watched.
-- Returns {now, missing, known, life}.
local _, now = clock(KEYS[2])
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
if ARGV[3] == '' then return {now, 0, 0, ''} end
local missing, known, life = witnessed(KEYS[3], now, tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5]))
return {now, missing, known, life}
