#!lua
-- writable(): nothing. The server does not start it while it refuses what claims and begins write.
return 1
