-- One process at a time looks after a document with an authority: it alone loads and saves it, and writes its snapshots.
--
-- KEYS: meta, stream, what is kept, who looks after it. ARGV: who asks, for how long, whether it has the document open ('1'),
-- how long a document stays that is saved ('0' for ever).
--
-- Answers 2 where whoever asks looks after it from now on, 1 where still, 0 where another does; with the version that is saved, the
-- one of a save that was begun and whose end was not noted, and one that the app may have of what was lost ('' none).
local meta, stream, kept, lease = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local token, ttl, is_open, stays = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local holder = redis.call('GET', lease)
local noted = redis.call('HMGET', kept, 'saved', 'saving', 'may')
local saved, saving, may = noted[1] or '', noted[2] or '', noted[3] or ''
if holder and holder ~= token then
  return { 0, saved, saving, may }
end
redis.call('SET', lease, token, 'PX', ttl)
if is_open == '1' then
  local known = redis.call('HMGET', meta, 'v', 'sv')
  if known[1] then
    if not holder then
      redis.call('HSET', kept, 'by', token)
    end
    local is_saved = stays ~= '0' and saved == known[1]
    for _, key in ipairs({ meta, stream, kept }) do
      if is_saved then
        redis.call('PEXPIRE', key, stays)
      else
        redis.call('PERSIST', key)
      end
    end
  end
end
return { holder and 1 or 2, saved, saving, may }
