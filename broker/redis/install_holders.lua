-- Orders of one lot; all orders of one buyer stand in one call.
-- KEYS: installing, the lot's buyers, the lot's row.
-- ARGV: epoch, then pairs: user, "<order>:<epoch>:<seq>:<quantity>;".
-- Gives {"FENCED"} or {"OK"}.
local call = redis.call
local fine, installing = pcall(call, 'GET', KEYS[1])
if not fine or installing ~= ARGV[1] then return { 'FENCED' } end -- guard: epoch_check
-- Before its lot, which would delete it: the recovery begins anew.
if call('EXISTS', KEYS[3]) == 0 then return { 'FENCED' } end -- guard: install_order
local users, fields = {}, {}
for i = 2, #ARGV, 2 do
  local user = ARGV[i]
  if not fields[user] then users[#users + 1] = user end
  fields[user] = (fields[user] or '') .. ARGV[i + 1]
end
local words = {}
for i = 1, #users do
  words[#words + 1] = users[i]
  words[#words + 1] = fields[users[i]]
  if #words >= 1000 or i == #users then
    call('HSET', KEYS[2], unpack(words))
    words = {}
  end
end
return { 'OK' }
