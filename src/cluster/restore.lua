-- Puts into Redis what it has lost of a document with an authority, all at once: nobody writes in between.
--
-- KEYS: meta, stream, what is kept, who looks after it. ARGV: the channel, the run of the server, a nonce, how far offsets leap
-- after a restart, the epoch, the version there must be ('' none: the document begins anew), what it is, the version of its
-- snapshot, the snapshot, the version that is saved, what its log says of that, how many batches; then of each: how many
-- versions it takes, what it says.
--
-- Answers 'done', or 'stale' where there is another version, and then everything is as it was.
local meta, stream, kept, lease = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local channel, run, nonce, leap, epoch, at = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
local count = tonumber(ARGV[12])

local function text(value)
  return string.format('%d', value)
end

local known = redis.call('HMGET', meta, 'e', 'o', 'n', 'r', 'v', 'l', 'b')
if known[1] ~= epoch or (known[5] or '') ~= at then
  return 'stale'
end

local top, offset = tonumber(known[2]), tonumber(known[2])
if known[4] ~= run then
  offset = top + leap
end
local first, previous, previous_nonce, bytes = offset + 1, top, known[3], tonumber(known[7] or '0')
local time = redis.call('TIME')
local now = text(time[1] * 1000 + math.floor(time[2] / 1000))
local said, outcomes = {}, {}
local function say(payload)
  local value = nonce .. ' ' .. previous_nonce .. ' ' .. text(previous) .. ' ' .. now .. ' ' .. payload
  offset = offset + 1
  redis.call('XADD', stream, text(offset) .. '-0', 'd', value)
  previous, previous_nonce, bytes = offset, nonce, bytes + #value
  said[#said + 1] = #payload .. ':' .. payload
  outcomes[#outcomes + 1] = 'a'
end

local version = tonumber(at)
if at == '' then
  version = tonumber(ARGV[8])
  redis.call('HSET', kept, 'kind', ARGV[7], 'base', ARGV[8], 'doc', ARGV[9], 'saved', ARGV[10])
  redis.call('HSET', kept, 'by', redis.call('GET', lease) or '')
  redis.call('HDEL', kept, 'saving')
  say(ARGV[11])
  redis.call('HSET', meta, 'sv', ARGV[8], 'so', text(offset))
end
for index = 1, count do
  version = version + tonumber(ARGV[11 + 2 * index])
  say(ARGV[12 + 2 * index])
end
redis.call('HSET', meta, 'o', text(offset), 'n', nonce, 'r', run, 'l', text(tonumber(known[6] or '0') + #outcomes), 'b', text(bytes), 'v', text(version))
for _, key in ipairs({ meta, stream, kept }) do
  redis.call('PERSIST', key)
end
local reply = table.concat({ epoch, nonce, known[3], text(top), text(first), now, table.concat(outcomes, ',') }, ' ')
redis.call('PUBLISH', channel, '0000000000000000 0 ' .. reply .. '\n' .. table.concat(said))
return 'done'
