/**
 * How the hot lists lie in Redis. All of it is derived from `hot_article` and can be thrown away at any time.
 *
 *     <namespace>:{hot}:generations              HASH   live:<day> and building:<day> → generation; server → run id
 *     <namespace>:{hot}:<day>:<gen>:cards        HASH   member → "<rev> <boardId> <card>"; "#" → marks the key as made
 *     <namespace>:{hot}:<day>:<gen>:all          ZSET   member → score, every article of the day
 *     <namespace>:{hot}:<day>:<gen>:board:<id>   ZSET   the same for one board
 *     <namespace>:{hot}:<day>:<gen>:boards       SET    boards that have such a set
 *     <namespace>:{hot}:rebuild                  STRING the lock of whoever rebuilds
 *     <namespace>:{hot}:lag                      HASH   node id → "<Redis time, ms> <JSON>"
 *
 * A member is the article's id with leading zeros to 20 digits, so that Redis' order of equal scores is the order of ids. A
 * card is JSON `{t,l,c,v}`: title, likes, comments, views; an article that is not listed (deleted) has an empty card and is
 * in no sorted set, and its rev stays, so that an older write that comes late is refused. A list is readable only
 * while `generations` names a live one for its day and its cards are there: after a flush, an eviction or a restart without
 * data, readers go to MySQL and the day is built anew. Keys of a day expire one day after the day is no longer kept. The
 * braces keep all keys in one slot of a Redis cluster. Redis must not evict (`maxmemory-policy noeviction`).
 */
export interface StoreKeys {
  /** What every key starts with. */
  prefix: string;
  generations: string;
  rebuildLock: string;
  lag: string;
}

export function storeKeys(namespace: string): StoreKeys {
  const prefix = `${namespace}:{hot}:`;
  return { prefix, generations: `${prefix}generations`, rebuildLock: `${prefix}rebuild`, lag: `${prefix}lag` };
}

/** What the keys of one generation of a day start with. */
export function generationPrefix(keys: StoreKeys, day: string, generation: string): string {
  return `${keys.prefix}${day}:${generation}:`;
}
