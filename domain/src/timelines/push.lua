-- Puts new entries into the lists of their readers. KEYS: lists. ARGV: the most that a list holds, how many are left when
-- it would hold more; then for each list how many entries and the entries, oldest first.
-- A list that is not there stays away: its owner has not looked for long, or it is to be made anew.
local most, left, at, pushed = tonumber(ARGV[1]), tonumber(ARGV[2]), 3, 0

-- Entries below what the list holds already come out of order: after an outage, or from two workers.
local function insert(key, from, to)
  local tail, fresh = tonumber(redis.call('LINDEX', key, -1)), {}
  for i = to, from, -1 do
    -- Below the end of a list that has been cut, nothing is complete, and the database is asked.
    if tonumber(ARGV[i]) > tail then fresh[#fresh + 1] = ARGV[i] end
  end
  if #fresh == 0 then return 0 end
  local oldest, above = tonumber(fresh[#fresh]), {}
  while true do
    local top = redis.call('LINDEX', key, 0)
    if tonumber(top) < oldest then break end
    above[#above + 1] = redis.call('LPOP', key)
  end
  local a, f, merged = 1, 1, {}
  while a <= #above or f <= #fresh do
    local x, y = tonumber(above[a] or 0), tonumber(fresh[f] or 0)
    merged[#merged + 1] = x >= y and above[a] or fresh[f]
    if x >= y then a = a + 1 end
    if y >= x then f = f + 1 end
  end
  local length = 0
  for i = #merged, 1, -1 do length = redis.call('LPUSH', key, merged[i]) end
  return length
end

for i = 1, #KEYS do
  local key, count = KEYS[i], tonumber(ARGV[at])
  local from, to = at + 1, at + count
  local head = redis.call('LINDEX', key, 0)
  if head then
    local length
    if tonumber(ARGV[from]) > tonumber(head) then
      length = redis.call('LPUSH', key, unpack(ARGV, from, to))
    else
      length = insert(key, from, to)
    end
    -- One that is being made keeps its mark.
    if length > most and tonumber(redis.call('LINDEX', key, -1)) >= 0 then
      redis.call('LTRIM', key, 0, left - 1)
    end
    pushed = pushed + count
  end
  at = to + 1
end
return pushed
