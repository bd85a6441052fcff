-- Marks a list as being made. From now on new entries reach it, so that none is lost between reading the older ones from
-- the database and storing them. KEYS: the list. ARGV: the mark (below 0), seconds to live. Answers 0 when there is a list.
local tail = redis.call('LINDEX', KEYS[1], -1)
if tail and tonumber(tail) >= 0 then return 0 end
if tail then
  -- Somebody else is at it or has died; the last one to begin is the one who may finish.
  redis.call('LSET', KEYS[1], -1, ARGV[1])
else
  redis.call('RPUSH', KEYS[1], ARGV[1])
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
