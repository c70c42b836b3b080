"""The steps of the book of sessions as scripts of Redis: `relay/sessions/account.py` once more, in Lua.

Redis runs a script from beginning to end before it does anything else, so each is one atomic step. A suite takes the
same steps, at random, here and there, and wants the same outcomes; whoever changes one changes both.

* An account is one string, packed by cmsgpack: `{sessions, evicted}`, in the orders of `Account`. A session is
  `{id, event, began, seen, until, dead after, keys, about, leaving or false}`, `leaving` `{at, code, key, by, until}`.
  No JSON is read or written: cjson does not tell an empty list from an empty map, and shortens numbers to 14 digits.
* Texts are bytes here, and are compared as bytes: Lua's `<` goes by the locale that the server was started in.
* The string runs out by itself when all that it says is over. That its account stands in the index is noticed by
  whoever reads the index, or when new accounts come: then some are looked at, round and round.
* Times are Redis' own (TIME), in ms; only tests give another.
"""

from __future__ import annotations

from hashlib import sha1
from typing import NamedTuple

from relay.sessions.memory_book import SWEPT
from relay.sessions.model import MAX_EVICTED, MAX_SESSIONS

LINGER_MS = 1_000
"""An account's string outlives what it says by so much: that it is over is judged by steps, not by its running out."""


class Script(NamedTuple):
    """A script, and the name under which Redis knows it once it has run."""

    text: str
    sha: str


def _script(body: str) -> Script:
    text = _COMMON + body
    # What Redis calls it: no secret hangs on it.
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


_COMMON = (
    f"local MAX_SESSIONS, MAX_EVICTED, SWEPT, LINGER_MS = {MAX_SESSIONS}, {MAX_EVICTED}, {SWEPT}, {LINGER_MS}\n"
    """
local ID, EVENT, BEGAN, SEEN, UNTIL, DEAD_AFTER, KEYS_OF, ABOUT, LEAVING = 1, 2, 3, 4, 5, 6, 7, 8, 9
local AT, OUT = 1, 5

local now
if ARGV[1] == '' then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
else
  now = tonumber(ARGV[1])
end

local function text_before(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

local function has(keys, key)
  for _, one in ipairs(keys) do
    if one == key then return true end
  end
  return false
end

local function find(list, id)
  for _, one in ipairs(list) do
    if one[ID] == id then return one end
  end
end

local function remember(evicted, gone)
  -- Whoever went before its time is cut at once, for its room is free from now on.
  for _, one in ipairs(gone) do one[2][AT] = math.min(one[2][AT], now) end
  table.sort(gone, function(a, b)
    if a[2][AT] ~= b[2][AT] then return a[2][AT] < b[2][AT] end
    return text_before(a[1], b[1])
  end)
  for _, one in ipairs(gone) do evicted[#evicted + 1] = one end
  while #evicted > MAX_EVICTED do table.remove(evicted, 1) end
end

-- Let go of what is over; return whether anything was.
local function pass_time(account)
  local sessions, gone, over = {}, {}, false
  for _, one in ipairs(account[1]) do
    local leaving = one[LEAVING]
    if (leaving and leaving[AT] <= now) or one[UNTIL] <= now or one[SEEN] + one[DEAD_AFTER] < now then
      over = true
      if leaving then gone[#gone + 1] = {one[ID], leaving} end
    else
      sessions[#sessions + 1] = one
    end
  end
  if over then
    account[1] = sessions
    remember(account[2], gone)
  end
  local evicted = {}
  for _, one in ipairs(account[2]) do
    if one[2][OUT] > now then evicted[#evicted + 1] = one end
  end
  if #evicted < #account[2] then
    account[2] = evicted
    over = true
  end
  return over
end

local function load(key)
  local text = redis.call('GET', key)
  if not text then return {{}, {}}, false end
  local account = cmsgpack.unpack(text)
  return account, pass_time(account)
end

-- Keep an account; return whether it is new to the index.
local function save(key, index, name, account)
  if #account[1] == 0 and #account[2] == 0 then
    redis.call('DEL', key)
    redis.call('ZREM', index, name)
    return false
  end
  local last = now
  for _, one in ipairs(account[1]) do
    local leaving, over = one[LEAVING], math.min(one[UNTIL], one[SEEN] + one[DEAD_AFTER])
    if leaving then over = math.max(over, leaving[AT], leaving[OUT]) end
    last = math.max(last, over)
  end
  for _, one in ipairs(account[2]) do last = math.max(last, one[2][OUT]) end
  redis.call('SET', key, cmsgpack.pack(account), 'PX', string.format('%.0f', last - now + LINGER_MS))
  return redis.call('ZADD', index, 0, name) == 1
end
"""
)

ADMIT = _script("""
-- KEYS: the account, the index, whose turn it is to be looked at.
local name, id, event, until_, dead_after, about, began, place = unpack(ARGV, 2, 9)
until_, dead_after = tonumber(until_), tonumber(dead_after)
local account, passed = load(KEYS[1])

local function done(answer, changed)
  if changed and save(KEYS[1], KEYS[2], name, account) then
    local turn = redis.call('GET', KEYS[3])
    local looked = redis.call('ZRANGEBYLEX', KEYS[2], turn and '(' .. turn or '-', '+', 'LIMIT', 0, SWEPT)
    for _, other in ipairs(looked) do
      if redis.call('EXISTS', place .. other) == 0 then redis.call('ZREM', KEYS[2], other) end
    end
    if #looked == SWEPT then redis.call('SET', KEYS[3], looked[SWEPT]) else redis.call('DEL', KEYS[3]) end
  end
  return answer
end

local function counted(key)
  local found = {}
  for _, one in ipairs(account[1]) do
    if not one[LEAVING] and one[ID] ~= id and (not key or has(one[KEYS_OF], key)) then found[#found + 1] = one end
  end
  return found
end

local function full(limit, key)
  local first = false
  for _, one in ipairs(account[1]) do
    local leaving = one[LEAVING]
    if leaving and (not key or has(one[KEYS_OF], key)) and (not first or leaving[AT] < first) then
      first = leaving[AT]
    end
  end
  return done({'full', limit, counted(key), first and math.max(0, first - now)}, passed)
end

local evicted, known = find(account[2], id), find(account[1], id)
if evicted then return done({'evicted', evicted[2]}, passed) end
if known and known[LEAVING] then
  known[SEEN] = math.max(known[SEEN], now)
  return done({'seated', known, {}}, true)
end
if not known and #account[1] >= MAX_SESSIONS then return full(0) end

local limits, going = {}, {}
for at = 10, #ARGV, 6 do
  local key, most, order, code, grace, memory = unpack(ARGV, at, at + 5)
  most, memory = tonumber(most), tonumber(memory)
  if not known or not has(known[KEYS_OF], key) then
    limits[#limits + 1] = {key, most}
    local chosen = {}
    for _, one in ipairs(counted(key)) do
      if not going[one[ID]] then chosen[#chosen + 1] = one end
    end
    local too_many = #chosen + 1 - most
    if most == 0 or (too_many > 0 and order ~= 'oldest_first' and order ~= 'newest_first') then
      return full((at - 4) / 6, key)
    end
    local cut = now + tonumber(grace)
    for number = 1, too_many do
      local one = chosen[order == 'newest_first' and #chosen + 1 - number or number]
      going[one[ID]] = {cut, code, key, id, memory and cut + memory or one[UNTIL]}
    end
  end
end
for _, one in ipairs(account[1]) do one[LEAVING] = going[one[ID]] or one[LEAVING] end

local seated = known
if known then
  known[SEEN], known[UNTIL] = math.max(known[SEEN], now), until_
  if about ~= '' then known[ABOUT] = about end
else
  began = began == '' and now or math.min(tonumber(began), now)
  seated = {id, event, began, now, until_, dead_after, {}, about == '' and '{}' or about, false}
  local at = #account[1] + 1
  while at > 1 do
    local before = account[1][at - 1]
    if before[BEGAN] < began or (before[BEGAN] == began and text_before(before[ID], id)) then break end
    at = at - 1
  end
  table.insert(account[1], at, seated)
end
for _, limit in ipairs(limits) do
  if not has(seated[KEYS_OF], limit[1]) then table.insert(seated[KEYS_OF], limit[1]) end
end

-- Of those that bear the key there is one too many during a grace, never two: who has to go first goes now.
local hurried = {}
for _, limit in ipairs(limits) do
  local there, leaving = 0, {}
  for _, one in ipairs(account[1]) do
    if has(one[KEYS_OF], limit[1]) then
      there = there + 1
      if one[LEAVING] then leaving[#leaving + 1] = one end
    end
  end
  table.sort(leaving, function(a, b)
    if a[LEAVING][AT] ~= b[LEAVING][AT] then return a[LEAVING][AT] < b[LEAVING][AT] end
    if a[BEGAN] ~= b[BEGAN] then return a[BEGAN] < b[BEGAN] end
    return text_before(a[ID], b[ID])
  end)
  for number = 1, math.min(#leaving, there - limit[2] - 1) do
    local one = leaving[number]
    if one[LEAVING][AT] > now then
      one[LEAVING][AT] = now
      hurried[one[ID]] = true
    end
  end
end
local told = {}
for _, one in ipairs(account[1]) do
  if going[one[ID]] or hurried[one[ID]] then told[#told + 1] = one end
end
pass_time(account)
return done({'seated', seated, told}, true)
""")

SAW = _script("""
-- KEYS: the index, then the account of each sign. ARGV: for each its name, the session, how long ago that was.
local lives = {}
for number = 2, #KEYS do
  local name, id, ago = unpack(ARGV, 3 * number - 4, 3 * number - 2)
  local account, changed = load(KEYS[number])
  local evicted, known = find(account[2], id), find(account[1], id)
  local life = {'gone'}
  if known then
    local seen = now - tonumber(ago)
    if known[SEEN] < seen then
      known[SEEN], changed = seen, true
    end
    life = known[LEAVING] and {'leaving', known[LEAVING]} or {'live'}
  elseif evicted then
    life = {'evicted', evicted[2]}
  end
  if changed then save(KEYS[number], KEYS[1], name, account) end
  lives[#lives + 1] = life
end
return lives
""")

RELEASE = _script("""
local account, changed = load(KEYS[1])
local sessions, was_there = {}, 0
for _, one in ipairs(account[1]) do
  if one[ID] == ARGV[3] then
    was_there, changed = 1, true
    if one[LEAVING] then remember(account[2], {{one[ID], one[LEAVING]}}) end
  else
    sessions[#sessions + 1] = one
  end
end
account[1] = sessions
if changed then save(KEYS[1], KEYS[2], ARGV[2], account) end
return was_there
""")

DISMISS = _script("""
local name, id, code, by, grace, memory = unpack(ARGV, 2, 7)
local account, changed = load(KEYS[1])
local known, answer = find(account[1], id), false
if known then
  local cut = now + tonumber(grace)
  if not known[LEAVING] or cut < known[LEAVING][AT] then
    known[LEAVING] = {cut, code, '', by, memory == '' and known[UNTIL] or cut + tonumber(memory)}
    changed = true
  end
  answer = known
  pass_time(account)
end
if changed then save(KEYS[1], KEYS[2], name, account) end
return answer
""")

OF = _script("""
local account, changed = load(KEYS[1])
if changed then save(KEYS[1], KEYS[2], ARGV[2], account) end
return account[1]
""")

ACCOUNTS = _script("""
-- Return who has sessions among the next so many accounts, and the last one that was looked at; '' at the end.
local place, after, count = ARGV[2], ARGV[3], tonumber(ARGV[4])
local looked, found = redis.call('ZRANGEBYLEX', KEYS[1], '(' .. after, '+', 'LIMIT', 0, count), {}
for _, name in ipairs(looked) do
  local account = load(place .. name)
  if #account[1] > 0 then found[#found + 1] = name end
  if redis.call('EXISTS', place .. name) == 0 then redis.call('ZREM', KEYS[1], name) end
end
return {found, #looked == count and looked[count] or ''}
""")

FIND = _script("""
-- Return who of the next so many accounts has a session, or false, and the last one that was looked at; '' at the end.
local place, after, count, session = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local looked = redis.call('ZRANGEBYLEX', KEYS[1], '(' .. after, '+', 'LIMIT', 0, count)
for _, name in ipairs(looked) do
  for _, one in ipairs(load(place .. name)[1]) do
    if one[ID] == session then return {name, ''} end
  end
end
return {false, #looked == count and looked[count] or ''}
""")
