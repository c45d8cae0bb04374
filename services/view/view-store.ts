import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import moleculer from 'moleculer';
import { recordView, takeViews } from './scripts.ts';

/** Views of one article that are to be written together, under an id that makes them count once. */
export interface GatheredViews {
  flushId: string;
  articleId: string;
  views: number;
}

export interface TakeOptions {
  /** Batches that began so long ago. */
  batchAgeMs: number;
  /** Claims that were taken so long ago and not done: their node has died, or forgot them. */
  claimAgeMs: number;
  limit: number;
  /** Articles whose batch is taken whatever its age. */
  articleIds: readonly string[];
}

/** Where views are gathered before they are written. Errors: `VIEWS_UNAVAILABLE` (503, retryable). */
export interface ViewStore {
  /** Views of the article's batch with this one; 0 where the user has counted for the article within the window. */
  record(articleId: string, userId: string): Promise<number>;
  take(options: TakeOptions): Promise<GatheredViews[]>;
  /** They are written. */
  done(flushIds: readonly string[]): Promise<void>;
  /** They could not be written: anybody may take them at once. */
  giveBack(flushIds: readonly string[]): Promise<void>;
}

interface ScriptedRedis extends Redis {
  recordView(...values: (string | number)[]): Promise<number>;
  takeViews(...values: (string | number)[]): Promise<string[]>;
}

/** Views in Redis; see scripts.ts for the keys. The client must not queue commands while it is not connected. */
export function redisViewStore(client: Redis, options: { namespace: string; windowMs: number }): ViewStore {
  client.defineCommand('recordView', { numberOfKeys: 3, lua: recordView });
  client.defineCommand('takeViews', { numberOfKeys: 3, lua: takeViews });
  const redis = client as ScriptedRedis;
  const prefix = `${options.namespace}:{view}`;
  const keys = { waiting: `${prefix}:waiting`, claimed: `${prefix}:claimed`, claims: `${prefix}:claims` };
  const batchPrefix = `${prefix}:batch:`;

  return {
    record: (articleId, userId) =>
      reachable(() => {
        const seen = `${prefix}:seen:${articleId}:${userId}`;
        return redis.recordView(seen, batchPrefix + articleId, keys.waiting, options.windowMs, articleId, randomUUID());
      }),
    take: (wanted) =>
      reachable(async () => {
        const { batchAgeMs, claimAgeMs, limit, articleIds } = wanted;
        const flat = await redis.takeViews(
          keys.waiting,
          keys.claimed,
          keys.claims,
          batchPrefix,
          batchAgeMs,
          claimAgeMs,
          limit,
          ...articleIds,
        );
        const taken: GatheredViews[] = [];
        for (let at = 0; at < flat.length; at += 3) {
          taken.push({ flushId: flat[at]!, articleId: flat[at + 1]!, views: Number(flat[at + 2]) });
        }
        return taken;
      }),
    done: (flushIds) =>
      reachable(async () => {
        if (flushIds.length === 0) return;
        await Promise.all([redis.hdel(keys.claimed, ...flushIds), redis.zrem(keys.claims, ...flushIds)]);
      }),
    giveBack: (flushIds) =>
      reachable(async () => {
        if (flushIds.length === 0) return;
        await redis.zadd(keys.claims, 'XX', ...flushIds.flatMap((id) => [0, id]));
      }),
  };
}

async function reachable<Answer>(run: () => Promise<Answer>): Promise<Answer> {
  try {
    return await run();
  } catch (cause) {
    const message = 'Views can not be counted at the moment: try again.';
    throw Object.assign(new moleculer.Errors.MoleculerRetryableError(message, 503, 'VIEWS_UNAVAILABLE'), { cause });
  }
}
