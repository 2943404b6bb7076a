-- Reads the log of one document, which is begun where there is none.
--
-- KEYS: meta, stream, what is kept of a document with an authority, who looks after that. ARGV: the epoch of a log that is
-- begun, its first nonce, the run of the server, the first offset to read ('-' all), how long meta stays, whether what is
-- kept is wanted ('1').
--
-- Answers the epoch, the last offset and its nonce, the server's clock, and the entries. Where it is wanted and there, the
-- version and what is kept follow: kind, snapshot with its version, the version that is saved, and the one of a save that was
-- begun; who has loaded it, and who looks after it.
local known = redis.call('HMGET', KEYS[1], 'e', 'o', 'n', 'v')
if not known[1] then
  -- What is left of a log whose meta was lost belongs to nobody.
  redis.call('DEL', KEYS[2], KEYS[3])
  redis.call('HSET', KEYS[1], 'e', ARGV[1], 'o', '0', 'n', ARGV[2], 'r', ARGV[3])
  known = { ARGV[1], '0', ARGV[2], false }
end
if not known[4] then
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
end
local time = redis.call('TIME')
local now = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
local answer = { known[1], known[2], known[3], now, redis.call('XRANGE', KEYS[2], ARGV[4], '+') }
if ARGV[6] == '1' then
  answer[6] = redis.call('GET', KEYS[4]) or ''
  if known[4] then
    local kept = redis.call('HMGET', KEYS[3], 'kind', 'base', 'doc', 'saved', 'saving', 'by')
    answer[7] = known[4]
    for index = 1, 6 do
      answer[7 + index] = kept[index] or ''
    end
  end
end
return answer
