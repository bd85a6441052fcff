-- Stores a list that has been made, together with what has been pushed meanwhile. KEYS: the list, the high-water mark. ARGV: the mark, the most
-- that a list holds, seconds to live; then the entries, newest first. Answers 0 when the list has been dropped or
-- somebody else makes it by now.
if redis.call('LINDEX', KEYS[1], -1) ~= ARGV[1] then return 0 end
local pushed, most, merged, a, f = redis.call('LRANGE', KEYS[1], 0, -2), tonumber(ARGV[2]), {}, 1, 4
while (a <= #pushed or f <= #ARGV) and #merged < most do
  local x, y = tonumber(pushed[a] or -1), tonumber(ARGV[f] or -1)
  merged[#merged + 1] = x >= y and pushed[a] or ARGV[f]
  if x >= y then a = a + 1 end
  if y >= x then f = f + 1 end
end
redis.call('DEL', KEYS[1])
redis.call('RPUSH', KEYS[1], unpack(merged))
redis.call('EXPIRE', KEYS[1], ARGV[3])
-- It may hold entries that have not been pushed yet (push.lua).
local mark = redis.call('HGET', KEYS[2], 'id')
if not mark or tonumber(mark) < tonumber(merged[1]) then
  redis.call('HSET', KEYS[2], 'id', merged[1], 'batch', '')
end
return 1
