-- heartbeat(workers, clock) (worker, ttl_ms): alive until now + ttl_ms; ttl 0 retires it.
local _, now = clock(KEYS[2])
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
return now
