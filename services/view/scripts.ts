/**
 * Views in Redis. All keys share the hash tag `{view}`, so that a script may reach those of any article on a cluster too:
 *
 *     …:{view}:seen:<article>:<user>   the user has counted for the article lately; expires
 *     …:{view}:batch:<article>         hash { id, views }: views that nobody writes yet, and the id of their flush
 *     …:{view}:waiting                 sorted set: article → when its batch began (ms, Redis' clock)
 *     …:{view}:claimed                 hash: flush id → "<article>:<views>", taken by a node that writes them
 *     …:{view}:claims                  sorted set: flush id → when it was taken (ms, Redis' clock)
 *
 * A batch gets its flush id with its first view, and that id is unique in MySQL: so whatever Redis or a node forgets, repeats
 * or brings back from an old copy, no view counts twice.
 */

const now = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`;

/**
 * Keys: seen, batch, waiting. Arguments: window in ms, article, a flush id for a new batch. Answers the views of the batch, 0
 * where this one does not count.
 */
export const recordView = `${now}
if not redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then return 0 end
redis.call('HSETNX', KEYS[2], 'id', ARGV[3])
redis.call('ZADD', KEYS[3], 'NX', now, ARGV[2])
return redis.call('HINCRBY', KEYS[2], 'views', 1)`;

/**
 * Takes batches for writing. Keys: waiting, claimed, claims. Arguments: prefix of the batch keys, least age of a batch (ms),
 * least age of a claim that its node has left behind (ms), most batches, then articles that are taken at any age. Answers
 * flush id, article, views of each, in one flat list.
 */
export const takeViews = `${now}
local limit = tonumber(ARGV[4])
local taken = {}
local function take(article)
  local key = ARGV[1] .. article
  local batch = redis.call('HMGET', key, 'id', 'views')
  redis.call('ZREM', KEYS[1], article)
  redis.call('DEL', key)
  if not batch[1] or not batch[2] then return end
  redis.call('HSET', KEYS[2], batch[1], article .. ':' .. batch[2])
  redis.call('ZADD', KEYS[3], now, batch[1])
  table.insert(taken, batch[1])
  table.insert(taken, article)
  table.insert(taken, batch[2])
end
for index = 5, #ARGV do take(ARGV[index]) end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now - ARGV[3], 'LIMIT', 0, limit)) do
  local article, views = string.match(redis.call('HGET', KEYS[2], id) or '', '^(%d+):(%d+)$')
  if article then
    redis.call('ZADD', KEYS[3], now, id)
    table.insert(taken, id)
    table.insert(taken, article)
    table.insert(taken, views)
  else
    redis.call('ZREM', KEYS[3], id)
  end
end
for _, article in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2], 'LIMIT', 0, limit)) do
  take(article)
end
return taken`;
