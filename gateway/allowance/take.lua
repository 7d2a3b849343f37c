-- A token bucket: KEYS[1]; ARGV: tokens a second, tokens it holds, how many are needed, how many are wanted.
-- Answers how many were taken, and, where there are fewer than needed, after how many milliseconds there will be enough.
local rate, size, need, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
local bucket = redis.call('HMGET', KEYS[1], 'left', 'at')
local left = tonumber(bucket[1]) or size
left = math.min(size, left + math.max(0, now - (tonumber(bucket[2]) or now)) * rate / 1000)
local taken, wait = 0, 0
if left >= need then
  taken = math.min(want, math.floor(left))
else
  wait = math.ceil((need - left) * 1000 / rate)
end
redis.call('HSET', KEYS[1], 'left', tostring(left - taken), 'at', tostring(now))
redis.call('PEXPIRE', KEYS[1], math.ceil(size * 1000 / rate) + 1000)
return {taken, wait}
