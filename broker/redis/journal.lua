-- The journal from its head, or behind an id.
-- KEYS: meta, journal.  ARGV: epoch, boot, start ("-" or "(<epoch>-<seq>"), most entries.
-- Gives {"FENCED"} or {"OK", entries as XRANGE gives them}.
local call = redis.call
local FENCED = { 'FENCED' }
local fine, meta = pcall(call, 'HMGET', KEYS[1], 'epoch', 'boot', 'rows')
if not fine or not meta[1] or not meta[3] then return FENCED end
if meta[1] ~= ARGV[1] or meta[2] ~= ARGV[2] then return FENCED end -- guard: epoch_check
local good, entries = pcall(call, 'XRANGE', KEYS[2], ARGV[3], '+', 'COUNT', ARGV[4])
if not good then return FENCED end
local lost = ARGV[3] == '-' and #entries == 0 and meta[3] ~= '0'
if lost then return FENCED end -- guard: lost_key
return { 'OK', entries }
