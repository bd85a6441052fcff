-- Puts new entries into the lists of their readers. KEYS: the high-water mark, then lists. ARGV: the most that a list
-- holds, how many are left when it would hold more, the lowest and the highest entry of the batch that this call is a part
-- of, the batch's name; then for each list how many entries and the entries, oldest first.
-- A list that is not there stays away: its owner has not looked for long, or it is to be made anew.
local most, left, at, pushed = tonumber(ARGV[1]), tonumber(ARGV[2]), 6, 0

-- No list holds an entry above the mark. A batch that begins above it need not look into the lists, which halves its cost;
-- nor need its other parts, unless another batch has come in between.
local mark = redis.call('HMGET', KEYS[1], 'id', 'batch')
local in_order = mark[1] and (mark[2] == ARGV[5] or tonumber(mark[1]) < tonumber(ARGV[3]))
if in_order then
  redis.call('HSET', KEYS[1], 'id', ARGV[4], 'batch', ARGV[5])
else
  local higher = mark[1] and tonumber(mark[1]) > tonumber(ARGV[4])
  redis.call('HSET', KEYS[1], 'id', higher and mark[1] or ARGV[4], 'batch', '')
end

-- Entries below what the list holds already come out of order: after an outage, or from two workers.
local function insert(key, from, to)
  local tail, fresh = tonumber(redis.call('LINDEX', key, -1)), {}
  for i = to, from, -1 do
    -- Below the end of a list that has been cut, nothing is complete, and the database is asked.
    if tonumber(ARGV[i]) > tail then fresh[#fresh + 1] = ARGV[i] end
  end
  if #fresh == 0 then return 0 end
  local oldest, above = tonumber(fresh[#fresh]), {}
  while tonumber(redis.call('LINDEX', key, 0)) >= oldest do
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

for i = 2, #KEYS do
  local key, count = KEYS[i], tonumber(ARGV[at])
  local from, to = at + 1, at + count
  local head = not in_order and redis.call('LINDEX', key, 0)
  if in_order or head then
    local length
    if in_order or tonumber(head) < tonumber(ARGV[from]) then
      length = redis.call('LPUSHX', key, unpack(ARGV, from, to))
    else
      length = insert(key, from, to)
    end
    -- One that is being made keeps its mark.
    if length > most and tonumber(redis.call('LINDEX', key, -1)) >= 0 then
      redis.call('LTRIM', key, 0, left - 1)
    end
    if length > 0 then pushed = pushed + count end
  end
  at = to + 1
end
return pushed
