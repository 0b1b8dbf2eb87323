-- Fences the shard and deletes everything of it.
-- KEYS: meta, journal, lots, installing.  ARGV: epoch.  Gives {"FENCED"} or {"OK"}.
-- Refused when Redis has this epoch or a later one, or it is being installed.  Keys of a
-- wrong type do not stop it: this is what repairs them.
local call = redis.call
local epoch = tonumber(ARGV[1])
local fine, present = pcall(call, 'HGET', KEYS[1], 'epoch')
present = fine and present and tonumber(present) or 0
if present >= epoch then return { 'FENCED' } end -- guard: epoch_check
local read, other = pcall(call, 'GET', KEYS[4])
other = read and other and tonumber(other) or 0
if other >= epoch then return { 'FENCED' } end -- guard: epoch_check
local prefix = string.sub(KEYS[1], 1, -5)
local good, lots = pcall(call, 'SMEMBERS', KEYS[3])
call('DEL', KEYS[1])
call('DEL', KEYS[2])
if good then
  for i = 1, #lots do call('DEL', prefix .. 'lot:' .. lots[i], prefix .. 'u:' .. lots[i]) end
end
call('DEL', KEYS[3], KEYS[4])
call('SET', KEYS[4], ARGV[1])
return { 'OK' }
