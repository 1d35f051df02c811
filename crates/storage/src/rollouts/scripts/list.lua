-- Returns id and revision of the last rollout of each model.
-- KEYS: last rollout by model. ARGV: prefix of fields.
local rollouts = {}
for _, id in ipairs(redis.call('HVALS', KEYS[1])) do
  local revision = redis.call('HGET', ARGV[1] .. id, 'revision')
  if revision then
    table.insert(rollouts, id)
    table.insert(rollouts, revision)
  end
end
return rollouts
