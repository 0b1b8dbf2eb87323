-- What the shard says of itself.  KEYS: meta.
-- Gives {"OK", epoch, boot}; "" where one is missing or of a wrong type.
local fine, meta = pcall(redis.call, 'HMGET', KEYS[1], 'epoch', 'boot')
if not fine then return { 'OK', '', '' } end
return { 'OK', meta[1] or '', meta[2] or '' }
