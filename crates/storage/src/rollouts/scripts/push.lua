-- Adds a block and the units that are new to their sets, once for each sequence number.
-- KEYS: fields of the rollout, last sequence of the replica, pending counts, names of the sets.
-- ARGV: sequence, block, most pending counts, seconds to keep a sequence, prefix of sets, most units
-- of a set, seconds to keep a set; then for each unit its set, fingerprint and observation.
local fields, last, pending, names = unpack(KEYS)
local sequence, block, most_pending, keep_sequence = unpack(ARGV)
local prefix, most_units, keep_set = ARGV[5], tonumber(ARGV[6]), ARGV[7]
if redis.call('HGET', fields, 'ended') ~= '0' then
  return 'ended'
end
if tonumber(sequence) <= tonumber(redis.call('GET', last) or -1) then
  return 'known'
end
if redis.call('LLEN', pending) >= tonumber(most_pending) then
  return 'full'
end
redis.call('SET', last, sequence, 'EX', keep_sequence)
redis.call('RPUSH', pending, 'b' .. block)
local sizes = {}
for i = 8, #ARGV, 3 do
  local name = ARGV[i]
  local set = prefix .. name
  if not sizes[name] then
    sizes[name] = redis.call('SCARD', set)
    redis.call('SADD', names, name)
  end
  if sizes[name] < most_units and redis.call('SADD', set, ARGV[i + 1]) == 1 then
    sizes[name] = sizes[name] + 1
    redis.call('RPUSH', pending, 'u' .. ARGV[i + 2])
  end
end
for name in pairs(sizes) do
  redis.call('EXPIRE', prefix .. name, keep_set)
end
return 'added'
