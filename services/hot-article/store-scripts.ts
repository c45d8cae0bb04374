/** The Lua scripts on the keys of `store-keys.ts`. Each runs atomically; KEYS[1] is the hash of generations. */

/**
 * Writes a set of articles to the live generation of their day and to the one being built, except where the stored rev is
 * newer. (Where one rev has two contents MySQL went back to a backup: what it says now counts.)
 *
 * ARGV: prefix, `all` or `building` (the generation being built alone), then for each article member, rev, day, board, the ms at
 * which it was made, score ('' takes it off the lists), the text to store among the cards and the time at which the day's keys
 * expire. Answers for each `written`, `same`, `newer` (Redis has a newer rev) or `missing` (the day has no generation, or its keys
 * are gone: it has to be built).
 */
export const pushScript = `
local bases = {}
local function baseOf(role, day)
  local name = role .. day
  if bases[name] == nil then
    local generation = redis.call('HGET', KEYS[1], name)
    local base = generation and (ARGV[1] .. day .. ':' .. generation .. ':')
    if base and redis.call('HEXISTS', base .. 'cards', '#') == 0 then
      redis.call('HDEL', KEYS[1], name)
      base = false
    end
    bases[name] = base
  end
  return bases[name]
end

local names = {}
local function listsOf(board, ms)
  local hour = math.floor(tonumber(ms) / 3600000)
  local ofBoard = names[board]
  if not ofBoard then
    ofBoard = {}
    names[board] = ofBoard
  end
  local lists = ofBoard[hour]
  if not lists then
    local ofHour = 'hour:' .. string.format('%.0f', hour)
    lists = {'all', 'board:' .. board, ofHour, ofHour .. ':board:' .. board}
    ofBoard[hour] = lists
  end
  return lists
end

-- what is still to be written to one generation: one command for each list, not one for each article and list
local adds, removes, cards, touched, expireAt = {}, {}, {}, {}, 0

local function put(lists, name, value)
  local values = lists[name]
  if not values then
    values = {}
    lists[name] = values
  end
  values[#values + 1] = value
end

local function flush(base)
  for list, members in pairs(removes) do redis.call('ZREM', base .. list, unpack(members)) end
  for list, scored in pairs(adds) do
    if redis.call('ZADD', base .. list, unpack(scored)) > 0 then
      -- it may be new; a list that went empty was gone, and has no expiry
      redis.call('PEXPIREAT', base .. list, expireAt)
      redis.call('SADD', base .. 'lists', list)
      redis.call('PEXPIREAT', base .. 'lists', expireAt)
    end
  end
  if #cards > 0 then redis.call('HSET', base .. 'cards', unpack(cards)) end
  adds, removes, cards, touched = {}, {}, {}, {}
end

local function write(stored, member, rev, board, ms, score, text)
  if stored == text then return 'same' end
  if stored then
    local oldRev, oldBoard, oldMs, oldCard = string.match(stored, '^(%d+) (%d*) (%d*) (.*)$')
    if tonumber(oldRev) > tonumber(rev) then return 'newer' end
    if oldCard ~= '' and (score == '' or oldBoard ~= board or oldMs ~= ms) then
      for _, list in ipairs(listsOf(oldBoard, oldMs)) do put(removes, list, member) end
    end
  end
  if score ~= '' then
    local lists = listsOf(board, ms)
    for index = 1, 4 do
      put(adds, lists[index], score)
      put(adds, lists[index], member)
    end
  end
  cards[#cards + 1] = member
  cards[#cards + 1] = text
  touched[member] = true
  return 'written'
end

local answers = {}
local ofDay = {}
for at = 3, #ARGV, 8 do
  answers[#answers + 1] = 'missing'
  put(ofDay, ARGV[at + 2], at)
end
for _, role in ipairs(ARGV[2] == 'building' and {'building:'} or {'building:', 'live:'}) do
  for day, places in pairs(ofDay) do
    local base = baseOf(role, day)
    if base then
      local members = {}
      for index, at in ipairs(places) do members[index] = ARGV[at] end
      local stored = redis.call('HMGET', base .. 'cards', unpack(members))
      for index, at in ipairs(places) do
        local member = ARGV[at]
        if touched[member] then
          flush(base)
          stored[index] = redis.call('HGET', base .. 'cards', member)
        end
        expireAt = ARGV[at + 7]
        answers[(at + 5) / 8] =
          write(stored[index], member, ARGV[at + 1], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6])
      end
      flush(base)
    end
  end
end
return answers`;

/**
 * ARGV: prefix, then for each list that is wanted day, list and how many. Answers nil where a day has no lists, else for each
 * { member, score, … } and the cards.
 */
export const readScript = `
local bases = {}
local answers = {}
for at = 2, #ARGV, 3 do
  local day = ARGV[at]
  if bases[day] == nil then
    local generation = redis.call('HGET', KEYS[1], 'live:' .. day)
    if not generation then return false end
    bases[day] = ARGV[1] .. day .. ':' .. generation .. ':'
    if redis.call('HEXISTS', bases[day] .. 'cards', '#') == 0 then return false end
  end
  local found = redis.call('ZREVRANGE', bases[day] .. ARGV[at + 1], 0, tonumber(ARGV[at + 2]) - 1, 'WITHSCORES')
  local cards = {}
  for from = 1, #found, 2000 do
    local members = {}
    for i = from, math.min(from + 1999, #found), 2 do members[#members + 1] = found[i] end
    for _, card in ipairs(redis.call('HMGET', bases[day] .. 'cards', unpack(members))) do cards[#cards + 1] = card end
  end
  answers[#answers + 1] = found
  answers[#answers + 1] = cards
end
return answers`;

/** ARGV: prefix, day, generation, expiry. Begins a generation beside the live one; answers one that was left unfinished. */
export const beginScript = `
local abandoned = redis.call('HGET', KEYS[1], 'building:' .. ARGV[2])
local cards = ARGV[1] .. ARGV[2] .. ':' .. ARGV[3] .. ':cards'
redis.call('HSET', cards, '#', '0  ')
redis.call('PEXPIREAT', cards, ARGV[4])
redis.call('HSET', KEYS[1], 'building:' .. ARGV[2], ARGV[3])
return abandoned`;

/**
 * ARGV: prefix, day, generation. Makes the generation that was built the live one. Answers { 0 } where it is no longer being
 * built or its keys are gone, else { 1, the one before }.
 */
export const swapScript = `
local building = 'building:' .. ARGV[2]
if redis.call('HGET', KEYS[1], building) ~= ARGV[3] then return {0} end
redis.call('HDEL', KEYS[1], building)
if redis.call('HEXISTS', ARGV[1] .. ARGV[2] .. ':' .. ARGV[3] .. ':cards', '#') == 0 then return {0} end
local before = redis.call('HGET', KEYS[1], 'live:' .. ARGV[2])
redis.call('HSET', KEYS[1], 'live:' .. ARGV[2], ARGV[3])
return {1, before}`;

/**
 * ARGV: run id of the server. Where the lists were written to another one (a restart may have brought back an old state, a
 * fail-over may have lost the last writes), none of them is live any more. Answers 1 where that was so.
 */
export const sameServerScript = `
if redis.call('HGET', KEYS[1], 'server') == ARGV[1] then return 0 end
local known = redis.call('EXISTS', KEYS[1])
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'server', ARGV[1])
return known`;

/** KEYS[1]: the lock; ARGV: token, ms. Takes or renews it; answers 1 where it is ours. */
export const lockScript = `
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`;

/** KEYS[1]: the lock; ARGV: token. */
export const unlockScript = `
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1`;

/** KEYS[1]: the lags; ARGV: node, JSON, forget after ms. The time is Redis' own, so that clocks of nodes do not matter. */
export const publishLagScript = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', now) .. ARGV[2])
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  local said = tonumber(string.match(all[at + 1], '^%d+'))
  if not said or now - said > tonumber(ARGV[3]) then redis.call('HDEL', KEYS[1], all[at]) end
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1`;

/** KEYS[1]: the lags. Answers node, age in ms, JSON, … */
export const readLagScript = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local all = redis.call('HGETALL', KEYS[1])
local answer = {}
for at = 1, #all, 2 do
  local said, json = string.match(all[at + 1], '^(%d+) (.*)$')
  answer[#answer + 1] = all[at]
  answer[#answer + 1] = math.max(0, now - tonumber(said))
  answer[#answer + 1] = json
end
return answer`;
