-- Pause, resume, close, change of limit.
-- KEYS: meta, the lot's row.  ARGV: epoch, boot, state, limit.  Gives {"FENCED"} or {"OK", level}.
local call = redis.call
local FENCED = { 'FENCED' }
local fine, meta = pcall(call, 'HMGET', KEYS[1], 'epoch', 'boot')
if not fine or not meta[1] then return FENCED end
if meta[1] ~= ARGV[1] or meta[2] ~= ARGV[2] then return FENCED end -- guard: epoch_check
local good, row = pcall(call, 'HMGET', KEYS[2], 'state', 'available', 'limit', 'version')
if not good or not row[1] then return FENCED end
local version = tonumber(row[4])
if not row[2] or not version then return FENCED end
if row[1] ~= ARGV[3] or row[3] ~= ARGV[4] then
  version = version + 1
  -- Deletes nothing, but is allowed when the memory is full, and then the next one is as well.
  call('HDEL', KEYS[2], '-')
  call('HSET', KEYS[2], 'state', ARGV[3], 'limit', ARGV[4], 'version', tostring(version))
end
return { 'OK', ARGV[3] .. ':' .. row[2] .. ':' .. ARGV[4] .. ':' .. version }
