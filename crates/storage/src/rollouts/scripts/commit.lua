-- Stores a decision and removes the counts that it used, when the holder has the lease and decided
-- from the stored record.
-- KEYS: fields of the rollout, lease, pending counts, transitions, names of the sets.
-- ARGV: holder, revision, record, counted, ended, most transitions, prefix of sets, new transitions.
local fields, lease, pending, transitions, names = unpack(KEYS)
local holder, revision, record, counted, ended, most, prefix = unpack(ARGV)
if redis.call('GET', lease) ~= holder then
  return 'lost'
end
local stored = redis.call('HMGET', fields, 'revision', 'counted', 'ended')
if stored[3] ~= '0' or tonumber(revision) ~= tonumber(stored[1]) + 1 then
  return 'changed'
end
local used = tonumber(counted) - tonumber(stored[2])
if used > 0 then
  redis.call('LTRIM', pending, used, -1)
end
redis.call('HSET', fields, 'record', record, 'revision', revision, 'counted', counted, 'ended', ended)
for i = 8, #ARGV do
  redis.call('RPUSH', transitions, ARGV[i])
end
redis.call('LTRIM', transitions, -most, -1)
if ended == '1' then
  for _, name in ipairs(redis.call('SMEMBERS', names)) do
    redis.call('UNLINK', prefix .. name)
  end
  redis.call('UNLINK', names, pending, lease)
end
return 'stored'
