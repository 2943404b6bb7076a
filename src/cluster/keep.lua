-- Changes what is kept of a document with an authority, if whoever asks looks after it.
--
-- KEYS: meta, stream, what is kept, who looks after it, what is set aside. ARGV: who asks ('' anybody), the channel, the run of
-- the server, a nonce, how far offsets leap after a restart, how long it stays what is set aside, and how long a document that
-- is saved ('0' for ever); then what to do, each with its own arguments: 'saving' version; 'saved' version; 'may' a version that
-- the app may have, of what was lost; 'snapshot' version, document, the offset up to which it has everything; 'aside' record,
-- how many bytes at its end are what is set aside, which several processes may have; 'by'; 'create' kind, version, document, the version that is saved, the version there must be ('' none), what its log says of
-- it ('' nothing).
--
-- Answers 'done'; 'lost' where somebody else looks after it, or 'stale' where there is another version, and then everything
-- is as it was.
local meta, stream, kept, lease, aside = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local token, channel, run, nonce, leap = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local aside_ttl, stays = ARGV[6], ARGV[7]

local function text(value)
  return string.format('%d', value)
end

if token ~= '' and redis.call('GET', lease) ~= token then
  return 'lost'
end

local known = redis.call('HMGET', meta, 'e', 'o', 'n', 'r', 'v', 'l', 'b')
local arguments = { saving = 1, saved = 1, may = 1, snapshot = 3, aside = 2, by = 0, create = 6 }
local index = 8
-- What must be so before anything is done.
while index <= #ARGV do
  local what = ARGV[index]
  if what == 'create' and (not known[1] or (known[5] or '') ~= ARGV[index + 5]) then
    return 'stale'
  end
  if what ~= 'create' and what ~= 'aside' and not known[5] then
    return 'stale'
  end
  index = index + 1 + arguments[what]
end

-- Its log says that the document is another one from here on.
local function say(payload)
  local top, at = tonumber(known[2]), tonumber(known[2])
  if known[4] ~= run then
    at = top + leap
  end
  local time = redis.call('TIME')
  local now = text(time[1] * 1000 + math.floor(time[2] / 1000))
  local value = nonce .. ' ' .. known[3] .. ' ' .. text(top) .. ' ' .. now .. ' ' .. payload
  redis.call('XADD', stream, text(at + 1) .. '-0', 'd', value)
  local length, bytes = tonumber(known[6] or '0') + 1, tonumber(known[7] or '0') + #value
  redis.call('HSET', meta, 'o', text(at + 1), 'n', nonce, 'r', run, 'l', text(length), 'b', text(bytes))
  local reply = table.concat({ known[1], nonce, known[3], text(top), text(at + 1), now, 'a' }, ' ')
  redis.call('PUBLISH', channel, '0000000000000000 0 ' .. reply .. '\n' .. #payload .. ':' .. payload)
  return text(at + 1)
end

index = 8
while index <= #ARGV do
  local what = ARGV[index]
  local first = index + 1
  if what == 'saving' then
    redis.call('HSET', kept, 'saving', ARGV[first])
  elseif what == 'saved' then
    redis.call('HSET', kept, 'saved', ARGV[first])
    redis.call('HDEL', kept, 'saving', 'may')
    -- Whoever looks after it may be gone before it is said again.
    if stays ~= '0' and known[5] == ARGV[first] then
      for _, key in ipairs({ meta, stream, kept }) do
        redis.call('PEXPIRE', key, stays)
      end
    end
  elseif what == 'may' then
    if tonumber(ARGV[first]) > tonumber(redis.call('HGET', kept, 'may') or '0') then
      redis.call('HSET', kept, 'may', ARGV[first])
    end
  elseif what == 'snapshot' then
    -- One that was overtaken is of no use, nor is one of what was lost.
    local base, offset = tonumber(redis.call('HGET', kept, 'base') or '0'), tonumber(ARGV[first + 2])
    if tonumber(ARGV[first]) >= base and tonumber(ARGV[first]) <= tonumber(known[5]) and offset <= tonumber(known[2]) then
      redis.call('HSET', kept, 'base', ARGV[first], 'doc', ARGV[first + 1])
      redis.call('HSET', meta, 'sv', ARGV[first], 'so', ARGV[first + 2], 'm', '0')
    end
  elseif what == 'aside' then
    local body, is_there = string.sub(ARGV[first], -tonumber(ARGV[first + 1])), false
    for _, record in ipairs(redis.call('LRANGE', aside, 0, -1)) do
      is_there = is_there or string.sub(record, -#body) == body
    end
    if not is_there then
      redis.call('RPUSH', aside, ARGV[first])
      redis.call('LTRIM', aside, -8, -1)
    end
    redis.call('PEXPIRE', aside, aside_ttl)
  elseif what == 'by' then
    redis.call('HSET', kept, 'by', token)
  elseif what == 'create' then
    local kind, version, doc, saved, payload = ARGV[first], ARGV[first + 1], ARGV[first + 2], ARGV[first + 3], ARGV[first + 5]
    redis.call('HSET', kept, 'kind', kind, 'base', version, 'doc', doc, 'saved', saved, 'by', token)
    redis.call('HDEL', kept, 'saving')
    local at = known[2]
    if payload ~= '' then
      at = say(payload)
    end
    redis.call('HSET', meta, 'v', version, 'sv', version, 'so', at, 'm', '0')
    redis.call('PERSIST', meta)
    redis.call('PERSIST', stream)
    redis.call('PERSIST', kept)
  end
  index = first + arguments[what]
end
return 'done'
