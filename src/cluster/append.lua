-- Appends a batch of publications to the log of one document, and tells every process of it.
--
-- KEYS: meta, stream, what this process did last, what is kept of a document with an authority, then a key for each client
-- session of the batch.
-- ARGV: the channel, this process, number of the batch, the run of the server, the epoch and the last offset that the caller
-- has seen with its nonce, the nonce of this attempt, how far offsets leap after a restart, most entries and bytes of the
-- stream, how long stream and client sessions stay, how long meta stays, when the oldest of the publications was published by
-- this server's clock, how many they are; then of each: the place of its client session among the keys (0 none), the client's
-- number ('' none), where it must stand, what it says. Where: '' anywhere; 'o7' directly behind offset 7; 'v7+2' at version 7 of
-- the document, which it takes 2 further; 'v+1' at any; 'v9+1c' at version 9, where the one before of this batch that takes a
-- version was appended, too.
--
-- What a batch has become is kept under its number: a call that is sent again because nobody knows whether it arrived is
-- answered, and nothing of it is done twice.
--
-- A document with an authority has a version in its meta. Of its stream nothing goes that is not in its snapshot, and while
-- somebody writes to it it stays: that it may expire is said by whoever has saved it. So what takes no version is not taken where
-- as much of that as a stream may hold stands there since the snapshot.
local meta, stream, attempt, kept = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local channel, process, number, run, epoch = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local seen, seen_nonce, nonce, leap = tonumber(ARGV[6]), ARGV[7], ARGV[8], tonumber(ARGV[9])
local most_entries, most_bytes = tonumber(ARGV[10]), tonumber(ARGV[11])
local stream_ttl, meta_ttl, published, count = tonumber(ARGV[12]), ARGV[13], tonumber(ARGV[14]), tonumber(ARGV[15])

local function text(value)
  return string.format('%d', value)
end

-- A stream is trimmed by portions, each a sixteenth of what it may have: to look at entries for how much they are costs more
-- than to append them. Those that are full stand in meta: the last offset of each, how many entries it has and how many bytes.
-- Drops the oldest, until a portion fits. Nothing goes that stands behind an offset, where one is given. Returns the portions
-- that stay, and how many entries and bytes went.
local portion_entries, portion_bytes = math.floor(most_entries / 16), math.floor(most_bytes / 16)
local function trim(portions, length, bytes, last)
  local entries_left, bytes_left = most_entries - math.max(portion_entries - 1, 0), most_bytes - portion_bytes
  local went, bytes_went, last_gone, rest = 0, 0, nil, 1
  for offset, entries, size, behind in string.gmatch(portions, '(%d+) (%d+) (%d+)\n()') do
    local fits = length - went <= entries_left and bytes - bytes_went <= bytes_left
    if fits or (last and tonumber(offset) > last) then
      break
    end
    went, bytes_went, last_gone, rest = went + entries, bytes_went + size, offset, behind
  end
  if last_gone then
    redis.call('XTRIM', stream, 'MINID', text(last_gone + 1))
  end
  return string.sub(portions, rest), went, bytes_went
end

local before = redis.call('GET', attempt)
if before then
  local done, reply = string.match(before, '^(%d+) (.*)$')
  if done == number then
    return { 'done', reply }
  end
  if tonumber(done) > tonumber(number) then
    -- It was on its way for so long that the batches behind it are done: its process has given it up.
    return { 'late' }
  end
end

local time = redis.call('TIME')
local clock = time[1] * 1000 + math.floor(time[2] / 1000)
local now = text(clock)
if clock - published > stream_ttl then
  -- Its process stood still, it may be, and what a client was told of it meanwhile may be forgotten here.
  return { 'old' }
end

local known = redis.call('HMGET', meta, 'e', 'o', 'n', 'r', 'l', 'b', 'pl', 'pb', 'x', 'v', 'sv', 'so', 'm')
local top, top_nonce = tonumber(known[2] or 0), known[3]
if known[1] ~= epoch or top < seen or (top == seen and top_nonce ~= seen_nonce) then
  return { 'forked' }
end

local version, snapshot, snapshot_at = tonumber(known[10] or '-1'), tonumber(known[11] or '-1'), tonumber(known[12] or '0')
local is_kept, begun_at = version >= 0, version
-- Bytes of what takes no version.
local beside = tonumber(known[13] or '0')
for index = 1, is_kept and 0 or count do
  -- What was kept of it is gone: whoever has it open is to load it again.
  if string.sub(ARGV[14 + index * 4], 1, 1) == 'v' then
    return { 'forked' }
  end
end

-- The server has been another, or has begun anew, since this was written last: it may have lost what stood behind. Those
-- offsets are not given a second time, so that nobody takes one history for the other.
local at = top
if known[4] ~= run then
  at = top + leap
end
local length, bytes, in_portions, bytes_in_portions = 0, 0, 0, 0
local renewed = tonumber(known[9] or '0')
local has_expired = not is_kept and clock - renewed >= stream_ttl
if not has_expired then
  length, bytes = tonumber(known[5] or '0'), tonumber(known[6] or '0')
  in_portions, bytes_in_portions = tonumber(known[7] or '0'), tonumber(known[8] or '0')
end

local full = {}
-- Its first is what comes before.
local applied, changed, outcomes, said = {}, {}, {}, { '' }
local offset, previous, previous_text, previous_nonce, is_broken = at, top, text(top), top_nonce, false
for index = 1, count do
  local first = 12 + index * 4
  local session, own, where, payload = tonumber(ARGV[first]), ARGV[first + 1], ARGV[first + 2], ARGV[first + 3]
  local key = session > 0 and own ~= '' and KEYS[4 + session]
  if key and not applied[key] then
    -- No number: its client was told what was applied of it, and nothing more will be.
    applied[key] = tonumber(redis.call('GET', key) or '0') or math.huge
  end
  local behind, at_version, further, follows
  if where ~= '' then
    behind = string.match(where, '^o(%d+)$')
    at_version, further, follows = string.match(where, '^v(%d*)%+(%d+)(c?)$')
  end
  -- What it was made behind has no place: another's has that version now.
  is_broken = is_broken and follows == 'c'
  if key and tonumber(own) <= applied[key] then
    outcomes[index] = applied[key] == math.huge and 'f' or 'd'
  elseif behind and tonumber(behind) ~= previous then
    outcomes[index] = 's' .. text(previous)
  elseif further and at_version ~= '' and (is_broken or tonumber(at_version) ~= version) then
    outcomes[index] = 's' .. text(version)
    is_broken = true
  elseif is_kept and not further and version ~= snapshot and beside + #payload > most_bytes then
    outcomes[index] = 'l'
  else
    if further then
      version = version + tonumber(further)
    end
    offset = offset + 1
    local offset_text = text(offset)
    local value = nonce .. ' ' .. previous_nonce .. ' ' .. previous_text .. ' ' .. now .. ' ' .. payload
    redis.call('XADD', stream, offset_text .. '-0', 'd', value)
    if not further then
      beside = beside + #value
    end
    length, bytes = length + 1, bytes + #value
    if length - in_portions >= portion_entries or bytes - bytes_in_portions >= portion_bytes then
      full[#full + 1] = offset_text .. ' ' .. text(length - in_portions) .. ' ' .. text(bytes - bytes_in_portions) .. '\n'
      in_portions, bytes_in_portions = length, bytes
    end
    if key then
      applied[key] = tonumber(own)
      changed[key] = own
    end
    outcomes[index] = 'a'
    said[#said + 1] = #payload
    said[#said + 1] = ':'
    said[#said + 1] = payload
    previous, previous_text, previous_nonce = offset, offset_text, nonce
  end
end

for key, own in pairs(changed) do
  redis.call('SET', key, own, 'PX', ARGV[12])
end
local heard = 0
local reply = table.concat({ epoch, nonce, top_nonce, text(top), text(at + 1), now, table.concat(outcomes, ',') }, ' ')
redis.call('SET', attempt, number .. ' ' .. reply, 'PX', ARGV[12])
if #said > 1 then
  if #full > 0 or has_expired then
    local portions = (not has_expired and redis.call('HGET', meta, 'p') or '') .. table.concat(full)
    local went, bytes_went
    portions, went, bytes_went = trim(portions, length, bytes, is_kept and version ~= snapshot and snapshot_at)
    length, bytes = length - went, bytes - bytes_went
    in_portions, bytes_in_portions = in_portions - went, bytes_in_portions - bytes_went
    redis.call('HSET', meta, 'p', portions, 'pl', text(in_portions), 'pb', text(bytes_in_portions))
  end
  if is_kept then
    beside = version == snapshot and 0 or beside
    redis.call('HSET', meta, 'o', text(offset), 'n', nonce, 'r', run, 'l', text(length), 'b', text(bytes), 'm', text(beside))
  else
    redis.call('HSET', meta, 'o', text(offset), 'n', nonce, 'r', run, 'l', text(length), 'b', text(bytes))
  end
  -- Each command costs as much as the rest of the script: not every message has to say again when all of it expires.
  if not is_kept and (clock < renewed or clock - renewed >= stream_ttl / 8) then
    redis.call('HSET', meta, 'x', now)
    redis.call('PEXPIRE', meta, meta_ttl)
    redis.call('PEXPIRE', stream, ARGV[12])
  end
  if is_kept and version ~= begun_at then
    redis.call('HSET', meta, 'v', text(version))
    for _, key in ipairs({ meta, stream, kept }) do
      redis.call('PERSIST', key)
    end
  end
  said[1] = process .. ' ' .. number .. ' ' .. reply .. '\n'
  heard = redis.call('PUBLISH', channel, table.concat(said))
end
return { 'done', reply, heard }
