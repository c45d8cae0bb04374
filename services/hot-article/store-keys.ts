/**
 * How the hot lists lie in Redis. All of it is derived from `hot_article` and can be thrown away at any time.
 *
 *     <namespace>:{hot2}:generations              HASH   live:<day> and building:<day> → generation; server → run id
 *     <namespace>:{hot2}:<day>:<gen>:cards        HASH   member → "<rev> <boardId> <ms> <card>"; "#" → marks the key as made
 *     <namespace>:{hot2}:<day>:<gen>:<list>       ZSET   member → what the formula stores, every article of the list
 *     <namespace>:{hot2}:<day>:<gen>:lists        SET    the lists that there are
 *     <namespace>:{hot2}:rebuild                  STRING the lock of whoever rebuilds
 *     <namespace>:{hot2}:lag                      HASH   node id → "<Redis time, ms> <JSON>"
 *
 * Each article is in four lists: `all`, `board:<id>`, `hour:<n>`, `hour:<n>:board:<id>`; n is the hour since 1970 in which it
 * was made, and ms in its card the time. (The 2 is the version of this layout: nodes of two versions do not meet.)
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
  const prefix = `${namespace}:{hot2}:`;
  return { prefix, generations: `${prefix}generations`, rebuildLock: `${prefix}rebuild`, lag: `${prefix}lag` };
}

/** What the keys of one generation of a day start with. */
export function generationPrefix(keys: StoreKeys, day: string, generation: string): string {
  return `${keys.prefix}${day}:${generation}:`;
}
