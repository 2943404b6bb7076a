-- Reads the log of one document, which is begun where there is none.
--
-- KEYS: meta, stream. ARGV: the epoch of a log that is begun, its first nonce, the run of the server, the first offset to
-- read ('-' all), how long meta stays.
--
-- Answers the epoch, the last offset and its nonce, the server's clock, and the entries.
local known = redis.call('HMGET', KEYS[1], 'e', 'o', 'n')
if not known[1] then
  -- What is left of a log whose meta was lost belongs to nobody.
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'e', ARGV[1], 'o', '0', 'n', ARGV[2], 'r', ARGV[3], 'b', '0')
  known = { ARGV[1], '0', ARGV[2] }
end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
return { known[1], known[2], known[3], now, redis.call('XRANGE', KEYS[2], ARGV[4], '+') }
