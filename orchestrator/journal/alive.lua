#!lua flags=no-writes
-- alive(workers, clock): worker incarnations whose heartbeat has not ended.
local _, now = clock(KEYS[2])
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. int(now), '+inf')
