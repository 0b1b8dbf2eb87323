-- Counts a lot, for the reconciliation: all at one instant.
-- KEYS: meta, journal, the lot's row, its buyers.  ARGV: epoch, boot, lot.
-- Gives {"FENCED"} or {"OK", available, held, undecided, rows in the journal}.
local call = redis.call
local FENCED = { 'FENCED' }
local PAGE = 100
local fine, meta = pcall(call, 'HMGET', KEYS[1], 'epoch', 'boot', 'rows')
if not fine or not meta[1] or not meta[3] then return FENCED end
if meta[1] ~= ARGV[1] or meta[2] ~= ARGV[2] then return FENCED end -- guard: epoch_check
local good, available = pcall(call, 'HGET', KEYS[3], 'available')
if not good or not available then return FENCED end
local read, fields = pcall(call, 'HVALS', KEYS[4])
if not read then return FENCED end
if #fields == 0 then return FENCED end -- guard: lost_key
local held = 0
for i = 1, #fields do
  for quantity in string.gmatch(fields[i], ':(%d+);') do held = held + tonumber(quantity) end
end
local undecided, start = 0, '-'
while true do
  local got, entries = pcall(call, 'XRANGE', KEYS[2], start, '+', 'COUNT', tostring(PAGE))
  if not got then return FENCED end
  for i = 1, #entries do
    -- {id, {"rows", n, "lots", "<lot>:<units>;…", …}}
    local units = string.match(';' .. (entries[i][2][4] or ''), ';' .. ARGV[3] .. ':(%d+);')
    if units then undecided = undecided + tonumber(units) end
  end
  if #entries < PAGE then break end
  start = '(' .. entries[#entries][1]
end
return { 'OK', available, tostring(held), tostring(undecided), meta[3] }
