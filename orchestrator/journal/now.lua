#!lua flags=no-writes
-- now(clock): ms, Redis' clock.
local _, now = clock(KEYS[1])
return now
