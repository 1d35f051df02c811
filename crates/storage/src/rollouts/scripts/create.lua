-- Starts a rollout, unless the last one of the model has not ended.
-- KEYS: last rollout by model, fields of the rollout, its pending counts, transitions, sets of units.
-- ARGV: model, id, record, prefix of fields, prefix of transitions, seconds to keep an ended rollout.
local models, fields, pending, transitions, sets = unpack(KEYS)
local model, id, record, prefix_fields, prefix_transitions, keep = unpack(ARGV)
local last = redis.call('HGET', models, model)
if last and redis.call('HGET', prefix_fields .. last, 'ended') == '0' then
  return last
end
if redis.call('HGET', fields, 'ended') == '0' then
  return id
end
if last and last ~= id then
  redis.call('EXPIRE', prefix_fields .. last, keep)
  redis.call('EXPIRE', prefix_transitions .. last, keep)
end
redis.call('DEL', fields, pending, transitions, sets)
redis.call('HSET', fields, 'record', record, 'revision', 1, 'counted', 0, 'ended', 0)
redis.call('HSET', models, model, id)
return false
