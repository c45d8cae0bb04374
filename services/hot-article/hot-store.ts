import type { Redis } from 'ioredis';
import type { Wanted } from '../../ranking/best-of.ts';
import { addDays, type Day } from '../../ranking/days.ts';
import { articleIdOf, memberOf } from '../../ranking/order.ts';
import type { HotItem } from './hot-lists.ts';
import type { HotRow } from './hot-row.ts';
import { generationPrefix, type StoreKeys } from './store-keys.ts';
import * as scripts from './store-scripts.ts';

/** What became of a row that was pushed to Redis; see `pushScript`. */
export type PushAnswer = 'written' | 'same' | 'newer' | 'missing';

/** Which days can be read, and which are being built. */
export interface Generations {
  live: ReadonlyMap<Day, string>;
  building: ReadonlyMap<Day, string>;
}

/** Articles in one script call: Redis serves nobody else meanwhile. */
const pushAtOnce = 250;
const unlinkAtOnce = 500;

/** The hot lists in Redis (see `store-keys.ts`). Every method throws what the client throws where Redis is away. */
export class HotStore {
  readonly #redis: Scripted;
  readonly #keys: StoreKeys;
  readonly #hotDays: number;
  readonly #expiries = new Map<Day, number>();

  /** `hotDays`: for how many days lists are kept. The client stays the caller's to close. */
  constructor(redis: Redis, keys: StoreKeys, hotDays: number) {
    for (const [name, lua] of Object.entries(commands)) redis.defineCommand(name, { numberOfKeys: 1, lua });
    this.#redis = redis as unknown as Scripted;
    this.#keys = keys;
    this.#hotDays = hotDays;
  }

  /**
   * Writes rows that have a day; deleted ones come off the lists. Answers in the order of the rows. `building`: only to what is
   * being built.
   */
  async push(rows: readonly HotRow[], to: 'all' | 'building' = 'all'): Promise<PushAnswer[]> {
    const parts: Promise<unknown>[] = [];
    for (let at = 0; at < rows.length; at += pushAtOnce) {
      const args = rows.slice(at, at + pushAtOnce).flatMap((row) => this.#pushed(row));
      parts.push(this.#redis.hotPush(this.#keys.generations, this.#keys.prefix, to, ...args));
    }
    return ((await Promise.all(parts)) as PushAnswer[][]).flat();
  }

  /** The first of some buckets, of one board or (`boardId` null) of all; null where Redis has no lists of one of the days. */
  async read(boardId: string | null, wanted: readonly Wanted[]): Promise<HotItem[][] | null> {
    const { generations, prefix } = this.#keys;
    const args = wanted.flatMap(({ bucket, take }) => [bucket.day, listOf(bucket.hour, boardId), take]);
    const answer = (await this.#redis.hotRead(generations, prefix, ...args)) as (string | null)[][] | null;
    if (answer === null) return null;
    const lists: HotItem[][] = [];
    for (let at = 0; at < answer.length; at += 2) {
      const found = answer[at] as string[];
      const items = answer[at + 1]!.map((card, index) => itemOf(found[index * 2]!, found[index * 2 + 1]!, card));
      if (items.includes(null)) return null;
      lists.push(items as HotItem[]);
    }
    return lists;
  }

  async generations(): Promise<Generations> {
    const fields = await this.#redis.hgetall(this.#keys.generations);
    const live = new Map<Day, string>();
    const building = new Map<Day, string>();
    for (const [field, generation] of Object.entries(fields)) {
      if (field.startsWith('live:')) live.set(field.slice('live:'.length), generation);
      else if (field.startsWith('building:')) building.set(field.slice('building:'.length), generation);
    }
    return { live, building };
  }

  /** Begins a generation of the day beside the live one: from now on every push goes to both. */
  async begin(day: Day, generation: string): Promise<void> {
    const { generations, prefix } = this.#keys;
    const abandoned = await this.#redis.hotBegin(generations, prefix, day, generation, this.#expiryOf(day));
    if (typeof abandoned === 'string') await this.#unlink(day, abandoned);
  }

  /** Makes the generation that was built the live one. False where it is no longer being built (a flush, another builder). */
  async swap(day: Day, generation: string): Promise<boolean> {
    const { generations, prefix } = this.#keys;
    const [done, before] = (await this.#redis.hotSwap(generations, prefix, day, generation)) as [number, string?];
    if (done !== 1) {
      await this.#unlink(day, generation);
      return false;
    }
    if (typeof before === 'string') await this.#unlink(day, before);
    return true;
  }

  /** Takes a day away that is no longer kept. */
  async drop(day: Day): Promise<void> {
    const { live, building } = await this.generations();
    await this.#redis.hdel(this.#keys.generations, `live:${day}`, `building:${day}`);
    for (const generation of [live.get(day), building.get(day)]) {
      if (generation !== undefined) await this.#unlink(day, generation);
    }
  }

  /**
   * Compares the server with the one that the lists were written to. Where it is another one, no list is live any more, and
   * true is the answer.
   */
  async forgetOtherServer(): Promise<boolean> {
    const runId = /^run_id:(\S+)/m.exec(await this.#serverInfo())?.[1];
    if (runId === undefined) return false;
    const { live, building } = await this.generations();
    if ((await this.#redis.hotSameServer(this.#keys.generations, runId)) !== 1) return false;
    for (const [day, generation] of [...live, ...building]) await this.#unlink(day, generation);
    return true;
  }

  /** Takes the lock of whoever rebuilds, or renews it; false where another one has it. */
  async lockRebuild(token: string, ms: number): Promise<boolean> {
    return (await this.#redis.hotLock(this.#keys.rebuildLock, token, ms)) === 1;
  }

  async unlockRebuild(token: string): Promise<void> {
    await this.#redis.hotUnlock(this.#keys.rebuildLock, token);
  }

  /** Says how far this node's consumer is, as JSON; what others said longer than `forgetMs` ago is taken away. */
  async publishLag(nodeId: string, json: string, forgetMs: number): Promise<void> {
    await this.#redis.hotPublishLag(this.#keys.lag, nodeId, json, forgetMs);
  }

  async readLag(): Promise<{ nodeId: string; ageMs: number; json: string }[]> {
    const answer = (await this.#redis.hotReadLag(this.#keys.lag)) as (string | number)[];
    const lags = [];
    for (let at = 0; at < answer.length; at += 3) {
      lags.push({ nodeId: String(answer[at]), ageMs: Number(answer[at + 1]), json: String(answer[at + 2]) });
    }
    return lags;
  }

  #pushed(row: HotRow): string[] {
    if (row.day === null) throw new Error(`Article ${row.articleId} has no day yet and can't be listed.`);
    const [rev, board, ms] = [row.rev.toString(), row.boardId ?? '', String(row.createdAtMs ?? 0)];
    const card = row.deleted ? '' : JSON.stringify({ t: row.title ?? '', l: row.likes, c: row.comments, v: row.views });
    return [
      memberOf(row.articleId),
      rev,
      row.day,
      board,
      ms,
      row.deleted ? '' : String(row.score),
      `${rev} ${board} ${ms} ${card}`,
      String(this.#expiryOf(row.day)),
    ];
  }

  async #serverInfo(): Promise<string> {
    try {
      return await this.#redis.info('server');
    } catch (error) {
      if ((error as Error).name === 'ReplyError') return ''; // not allowed here: then restarts can't be told
      throw error;
    }
  }

  /** By UTC, with a day to spare for every time zone. */
  #expiryOf(day: Day): number {
    const known = this.#expiries.get(day);
    if (known !== undefined) return known;
    const expiryMs = Date.parse(`${addDays(day, this.#hotDays + 2)}T00:00:00Z`);
    if (this.#expiries.size > 100) this.#expiries.clear();
    this.#expiries.set(day, expiryMs);
    return expiryMs;
  }

  /** Nobody writes to a generation that `generations` does not name, so its keys can go one by one. */
  async #unlink(day: Day, generation: string): Promise<void> {
    const base = generationPrefix(this.#keys, day, generation);
    let cursor = '0';
    do {
      const [next, lists] = await this.#redis.sscan(`${base}lists`, cursor, 'COUNT', unlinkAtOnce);
      if (lists.length > 0) await this.#redis.unlink(...lists.map((list) => `${base}${list}`));
      cursor = next;
    } while (cursor !== '0');
    await this.#redis.unlink(`${base}lists`, `${base}cards`);
  }
}

const commands = {
  hotPush: scripts.pushScript,
  hotRead: scripts.readScript,
  hotBegin: scripts.beginScript,
  hotSwap: scripts.swapScript,
  hotSameServer: scripts.sameServerScript,
  hotLock: scripts.lockScript,
  hotUnlock: scripts.unlockScript,
  hotPublishLag: scripts.publishLagScript,
  hotReadLag: scripts.readLagScript,
};

type Scripted = Redis & Record<keyof typeof commands, (key: string, ...args: (string | number)[]) => Promise<unknown>>;

/** The name of a list: see `store-keys.ts`. */
function listOf(hour: number | null, boardId: string | null): string {
  const board = boardId === null ? null : `board:${boardId}`;
  return hour === null ? (board ?? 'all') : [`hour:${hour}`, ...(board === null ? [] : [board])].join(':');
}

/** Null for a card that is not as it should be: the list is not to be trusted then. */
function itemOf(member: string, stored: string, text: string | null): HotItem | null {
  const [, createdAtMs, card] = (text === null ? null : /^\d+ \d* (\d+) (\{.*\})$/s.exec(text)) ?? [];
  if (card === undefined) return null;
  const { t, l, c, v } = JSON.parse(card) as { t: string; l: number; c: number; v: number };
  return {
    articleId: articleIdOf(member),
    title: t,
    stored: Number(stored),
    createdAtMs: Number(createdAtMs),
    likes: l,
    comments: c,
    views: v,
  };
}
