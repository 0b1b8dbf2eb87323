-- Entries whose rows are all decided leave the journal; undone reservations give their units back.
-- KEYS: meta, journal, then for each lot of the undos: its row, its buyers.
-- ARGV: epoch, boot, lots, entries, undos; two words an entry: "<epoch>-<first seq>", rows; then
--       seven words an undo: lot number, user, order, "<epoch>:<seq>" of the rid, keep, epoch of
--       the undo, quantity.
-- keep: the order exists, its entry stays with no units, so that its ticket still finds it.
-- Gives {"FENCED"} or {"OK", codes, level of each lot}.  Codes, one an undo:
--   1 units came back   0 nothing to do   T its epoch is not installed yet
local call, find, sub = redis.call, string.find, string.sub
local FENCED = { 'FENCED' }

local fine, meta = pcall(call, 'HMGET', KEYS[1], 'epoch', 'boot', 'rows')
if not fine then return FENCED end
local epoch, rows = tonumber(meta[1]), tonumber(meta[3])
if not epoch or not rows then return FENCED end
if meta[1] ~= ARGV[1] then return FENCED end -- guard: epoch_check
if meta[2] ~= ARGV[2] then return FENCED end -- guard: epoch_check

local lot_count, entry_count, undo_count = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local undo_base = 5 + 2 * entry_count

local lots = {}
for i = 1, lot_count do
  local good, row = pcall(call, 'HMGET', KEYS[2 * i + 1], 'state', 'available', 'limit', 'version')
  if not good then return FENCED end
  local lot = { state = row[1], fields = {}, users = {}, changed = false }
  lots[i] = lot
  if lot.state then
    lot.available, lot.limit, lot.version = tonumber(row[2]), tonumber(row[3]), tonumber(row[4])
    if not lot.available or not lot.limit or not lot.version then return FENCED end
    local read, there = pcall(call, 'HGET', KEYS[2 * i + 2], '-')
    if not read or not there then return FENCED end -- guard: lost_key
  end
end
for i = 0, undo_count - 1 do
  local at = undo_base + 7 * i
  local number, user = tonumber(ARGV[at + 1]), ARGV[at + 2]
  local lot = lots[number]
  if lot.fields[user] == nil then
    local good, field = pcall(call, 'HGET', KEYS[2 * number + 2], user)
    if not good or (field and not lot.state) then return FENCED end
    lot.fields[user] = field
    lot.users[#lot.users + 1] = user
  end
end

-- `entry` is "<order>:<epoch>:<seq>": the units of exactly this reservation, if still held.
local function undo(lot, user, entry, keep, of_epoch, units)
  if of_epoch > epoch then return 'T' end
  -- Committed before the epoch was raised: what was installed has counted it.  Should PostgreSQL have
  -- failed over, it was never given back there, and must not be here.
  if of_epoch < epoch then return '0' end -- guard: undo_epoch
  local field = lot.fields[user] or ''
  local from, to, held = find(field, '^' .. entry .. ':(%d+);')
  if not from then
    from, to, held = find(field, ';' .. entry .. ':(%d+);')
    if from then from = from + 1 end
  end
  -- An order of this epoch leaves an entry for good: without one, the buyers have been lost.
  if not from and keep and of_epoch == epoch and lot.state then return 'F' end
  if not from or held == '0' then return '0' end -- guard: undo_once
  if not lot.state then return '0' end
  if from then
    if held ~= '0' then units = tonumber(held) end
    local left = keep and entry .. ':0;' or ''
    lot.fields[user] = sub(field, 1, from - 1) .. left .. sub(field, to + 1)
  end
  lot.changed = true
  lot.available = lot.available + units
  lot.version = lot.version + 1
  return '1'
end

local codes = {}
for i = 0, undo_count - 1 do
  local at = undo_base + 7 * i
  local lot, entry = lots[tonumber(ARGV[at + 1])], ARGV[at + 3] .. ':' .. ARGV[at + 4]
  codes[i + 1] = undo(lot, ARGV[at + 2], entry,
    ARGV[at + 5] == '1', tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7]))
  if codes[i + 1] == 'F' then return FENCED end
end

-- XDEL first: it finds a wrong type before anything is written, and it is allowed when the memory
-- is full, which opens the way for the rest: what is given back must get in then.
local good = true
local gone = 0
for i = 0, math.max(entry_count - 1, 0) do
  local entry = entry_count > 0 and ARGV[6 + 2 * i] or '0-1'
  local deleted
  good, deleted = pcall(call, 'XDEL', KEYS[2], entry)
  if not good then return FENCED end
  if deleted == 1 and entry_count > 0 then gone = gone + tonumber(ARGV[7 + 2 * i]) end
end
if gone > 0 then call('HSET', KEYS[1], 'rows', tostring(math.max(rows - gone, 0))) end
for i = 1, lot_count do
  local lot = lots[i]
  if lot.changed then
    call('HSET', KEYS[2 * i + 1], 'available', tostring(lot.available),
      'version', tostring(lot.version))
    for k = 1, #lot.users do
      local user = lot.users[k]
      local field = lot.fields[user]
      if field == '' then
        call('HDEL', KEYS[2 * i + 2], user)
      elseif field then
        call('HSET', KEYS[2 * i + 2], user, field)
      end
    end
  end
end

local answer = { 'OK', table.concat(codes, ',') }
for i = 1, lot_count do
  local lot = lots[i]
  answer[2 + i] = lot.state and
    (lot.state .. ':' .. lot.available .. ':' .. lot.limit .. ':' .. lot.version) or ''
end
return answer
