-- Puts a lot into the hot counter unless it is there.
-- KEYS: meta, lots, the lot's row, its buyers.  ARGV: epoch, boot, lot, state, available, limit.
-- Gives {"FENCED"} or {"OK", level}.
local call = redis.call
local FENCED = { 'FENCED' }
local fine, meta = pcall(call, 'HMGET', KEYS[1], 'epoch', 'boot')
if not fine or not meta[1] then return FENCED end
if meta[1] ~= ARGV[1] or meta[2] ~= ARGV[2] then return FENCED end -- guard: epoch_check
local good, row = pcall(call, 'HMGET', KEYS[3], 'state', 'available', 'limit', 'version')
if not good then return FENCED end
if not row[1] then
  local added, problem = pcall(call, 'SADD', KEYS[2], ARGV[3])
  if not added then
    local text = type(problem) == 'table' and problem.err or tostring(problem)
    if string.find(text, 'WRONGTYPE', 1, true) then return FENCED end
    return { err = text }
  end
  call('HSET', KEYS[4], '-', '')
  call('HSET', KEYS[3], 'state', ARGV[4], 'available', ARGV[5], 'limit', ARGV[6], 'version', '1')
  row = { ARGV[4], ARGV[5], ARGV[6], '1' }
end
if not row[2] or not row[3] or not row[4] then return FENCED end
return { 'OK', row[1] .. ':' .. row[2] .. ':' .. row[3] .. ':' .. row[4] }
