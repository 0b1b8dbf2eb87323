-- Takes units for a whole batch, or finds what a ticket already has.
-- KEYS: meta, journal, then for each lot: its row, its buyers.
-- ARGV: epoch, boot, cap, lots, rows; the lot ids; then four words a row: order, user,
--       "<lot number>:<quantity>:<kind>", payload (the journal's copy of the row).
-- Gives {"FENCED"} or {"OK", first seq, rows taken, codes, level of each lot}.  Codes, one a row:
--   R taken (seqs are consecutive)   S<epoch>:<seq> seen   B busy   F lot missing   W waiting
--   P paused   C closed   L limit   O sold out   E probe found nothing
-- All checks come before the first write, and the first write is the only one that can fail.
-- Ids have 63 bits and stay strings; a number here is at most 2^36.
local call, find, match = redis.call, string.find, string.match
local gmatch, sub = string.gmatch, string.sub
local ARGV, KEYS, tostring, tonumber = ARGV, KEYS, tostring, tonumber -- Locals are faster.
local epoch = ARGV[1]
local FENCED = { 'FENCED' }
local SEQ_MAX = 68719000000

local fine, meta = pcall(call, 'HMGET', KEYS[1], 'epoch', 'boot', 'seq', 'rows')
if not fine then return FENCED end
local seq, rows = tonumber(meta[3]), tonumber(meta[4])
if not seq or not rows or seq > SEQ_MAX then return FENCED end
if meta[1] ~= epoch then return FENCED end -- guard: epoch_check
if meta[2] ~= ARGV[2] then return FENCED end -- guard: epoch_check

-- What was journalled and not settled must still be there.
if rows > 0 then
  local good, entries = pcall(call, 'XLEN', KEYS[2])
  if not good or entries == 0 then return FENCED end -- guard: lost_key
end

local cap, lot_count, row_count = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local base = 5 + lot_count

-- What the rows ask for; the same few words come again and again.
local specs, lots = {}, {}
for i = 1, lot_count do
  lots[i] = { id = ARGV[5 + i], users = {}, fields = {}, units = 0 }
end
for i = 0, row_count - 1 do
  local word = ARGV[base + 4 * i + 3]
  local spec = specs[word]
  if not spec then
    local lot, quantity, kind = match(word, '^(%d+):(%d+):(%a+)$')
    spec = { lot = lots[tonumber(lot)], quantity = tonumber(quantity), kind = kind }
    spec.text = quantity
    specs[word] = spec
  end
  local lot, user = spec.lot, ARGV[base + 4 * i + 2]
  if lot.fields[user] == nil then
    lot.fields[user] = false
    lot.users[#lot.users + 1] = user
  end
end

-- Lots and buyers, read once.
for i = 1, lot_count do
  local lot = lots[i]
  local good, row = pcall(call, 'HMGET', KEYS[2 * i + 1], 'state', 'available', 'limit', 'version')
  if not good then return FENCED end
  lot.state = row[1]
  if lot.state then
    lot.available, lot.limit, lot.version = tonumber(row[2]), tonumber(row[3]), tonumber(row[4])
    if not lot.available or not lot.limit or not lot.version then return FENCED end
  end
  if #lot.users > 0 then
    local users, fields = lot.users, lot.fields
    local held
    good, held = pcall(call, 'HMGET', KEYS[2 * i + 2], '-', unpack(users))
    if not good then return FENCED end
    if lot.state and not held[1] then return FENCED end -- guard: lost_key
    for k = 1, #users do fields[users[k]] = held[k + 1] end
  end
end

local function held_by(field)
  local sum = 0
  for quantity in gmatch(field, ':(%d+);') do sum = sum + tonumber(quantity) end
  return sum
end

-- Where the order stands in the field, and as what.
local function entry_of(field, order)
  local from, to, at, of, quantity = find(field, '^' .. order .. ':(%d+):(%d+):(%d+);')
  if from then return from, to, at, of, quantity end
  from, to, at, of, quantity = find(field, ';' .. order .. ':(%d+):(%d+):(%d+);')
  if from then from = from + 1 end
  return from, to, at, of, quantity
end

local refusals = { waiting = 'W', paused = 'P', closed = 'C', settled = 'C' }

local first, taken = seq + 1, 0
local codes, payloads, sizes, touched = {}, {}, {}, {}

local function decide(order, user, payload, spec)
  local lot, kind, quantity = spec.lot, spec.kind, spec.quantity
  local field = lot.fields[user]
  if field then
    local from, to, at, of, units = entry_of(field, order)
    if from then
      local replace = kind == 'late' and units == '0'
      if not replace then return 'S' .. at .. ':' .. of end -- guard: seen_check
      field = sub(field, 1, from - 1) .. sub(field, to + 1)
    end
  end
  if kind == 'probe' then return lot.state and 'E' or 'F' end
  if rows >= cap then return 'B' end
  if not lot.state then return 'F' end
  if kind == 'ordinary' then
    if lot.state ~= 'open' then return refusals[lot.state] or 'F' end
    if (field and held_by(field) or 0) + quantity > lot.limit then return 'L' end
  end
  if lot.available < quantity then return 'O' end

  seq, rows, taken = seq + 1, rows + 1, taken + 1
  lot.available = lot.available - quantity
  if lot.units == 0 then touched[#touched + 1] = lot end
  lot.units = lot.units + quantity
  if lot.changed == nil then lot.changed = {} end
  lot.changed[user] = true
  lot.fields[user] = (field or '') .. order .. ':' .. epoch .. ':' .. seq .. ':' .. spec.text .. ';'
  payloads[taken] = payload
  sizes[taken] = #payload
  return 'R'
end

for i = 0, row_count - 1 do
  local at = base + 4 * i
  codes[i + 1] = decide(ARGV[at + 1], ARGV[at + 2], ARGV[at + 4], specs[ARGV[at + 3]])
end

if taken > 0 then
  local units = {}
  for i = 1, #touched do units[i] = touched[i].id .. ':' .. touched[i].units .. ';' end
  -- The journal first: this is where a full memory, a wrong type or an id that is not larger shows,
  -- and nothing has been written yet.
  local good, problem = pcall(call, 'XADD', KEYS[2], epoch .. '-' .. first, 'rows', tostring(taken),
    'lots', table.concat(units), 'sizes', table.concat(sizes, ','), 'data', table.concat(payloads))
  if not good then
    local text = type(problem) == 'table' and problem.err or tostring(problem)
    if find(text, 'WRONGTYPE', 1, true) or find(text, 'in XADD', 1, true) then return FENCED end
    return { err = text }
  end
  for i = 1, lot_count do
    local lot = lots[i]
    if lot.units > 0 then
      lot.version = lot.version + 1
      call('HSET', KEYS[2 * i + 1], 'available', tostring(lot.available),
        'version', tostring(lot.version))
      local words, count = {}, 0
      for k = 1, #lot.users do
        local user = lot.users[k]
        if lot.changed[user] then
          words[count + 1] = user
          words[count + 2] = lot.fields[user]
          count = count + 2
        end
      end
      call('HSET', KEYS[2 * i + 2], unpack(words))
    end
  end
  call('HSET', KEYS[1], 'seq', tostring(seq), 'rows', tostring(rows))
end

local answer = { 'OK', tostring(first), tostring(taken), table.concat(codes, ',') }
for i = 1, lot_count do
  local lot = lots[i]
  answer[4 + i] = lot.state and
    (lot.state .. ':' .. lot.available .. ':' .. lot.limit .. ':' .. lot.version) or ''
end
return answer
