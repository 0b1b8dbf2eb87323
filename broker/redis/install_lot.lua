-- A lot as PostgreSQL has it; coming again, or behind its holders, it deletes none of them.
-- KEYS: installing, lots, the lot's row, its buyers.  ARGV: epoch, lot, state, available, limit.
-- Gives {"FENCED"} or {"OK"}.
local call = redis.call
local fine, installing = pcall(call, 'GET', KEYS[1])
if not fine or installing ~= ARGV[1] then return { 'FENCED' } end -- guard: epoch_check
if call('SADD', KEYS[2], ARGV[2]) == 0 then return { 'OK' } end -- guard: install_once
call('DEL', KEYS[3], KEYS[4])
call('HSET', KEYS[4], '-', '') -- So that it is there: without it nobody can be served.
call('HSET', KEYS[3], 'state', ARGV[3], 'available', ARGV[4], 'limit', ARGV[5], 'version', '1')
return { 'OK' }
