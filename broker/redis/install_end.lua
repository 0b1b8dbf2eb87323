-- Everything is in: meta opens the shard under the new epoch.
-- KEYS: installing, meta.  ARGV: epoch, boot.  Gives {"FENCED"} or {"OK"}.
local call = redis.call
local fine, installing = pcall(call, 'GET', KEYS[1])
if not fine or installing ~= ARGV[1] then return { 'FENCED' } end -- guard: epoch_check
call('DEL', KEYS[1], KEYS[2])
call('HSET', KEYS[2], 'epoch', ARGV[1], 'boot', ARGV[2], 'seq', '0', 'rows', '0')
return { 'OK' }
