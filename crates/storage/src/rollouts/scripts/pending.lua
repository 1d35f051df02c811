-- Returns the number of counts that are used already, and the next ones.
-- KEYS: fields of the rollout, pending counts. ARGV: the most counts to return.
local counted = redis.call('HGET', KEYS[1], 'counted')
return { tonumber(counted or 0), redis.call('LRANGE', KEYS[2], 0, ARGV[1] - 1) }
