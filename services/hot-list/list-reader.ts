import { ranked } from '../../ranking/order.ts';
import type { Circuit } from '../hot-article/circuit.ts';
import type { ListQuery, ScoredItem } from '../hot-article/hot-lists.ts';

export type RankedItem = ScoredItem & { rank: number };

export interface List {
  items: RankedItem[];
  /** When it was read, ms since 1970. */
  readAtMs: number;
  /** `memory`: neither Redis nor MySQL could be read, this is the last answer that there was. */
  from: 'redis' | 'mysql' | 'memory';
}

export interface ListReaderOptions {
  /** Null where Redis does not have the list. `nowMs`: time of day at which the list is to be right. */
  readRedis(query: ListQuery, nowMs: number): Promise<ScoredItem[] | null>;
  readMysql(query: ListQuery, nowMs: number): Promise<ScoredItem[]>;
  redisCircuit: Circuit;
  mysqlCircuit: Circuit;
  /** Time of day, ms. */
  nowMs(): number;
  /** Monotonic, ms. */
  monotonicMs(): number;
  /** For so long a list is given again without reading. */
  freshMs: number;
  /** So many lists are remembered for when nothing can be read. */
  remembered: number;
}

/** Nothing could be read, and there is no earlier answer. */
export class HotListUnavailableError extends Error {
  override readonly name = 'HotListUnavailableError';
  readonly code = 'HOT_LIST_UNAVAILABLE';
  readonly retryable = true;
}

/** Reads a list from Redis, else from MySQL, else from memory; requests for one list at the same time are one read. */
export class ListReader {
  readonly #options: ListReaderOptions;
  /** Least recently read first. */
  readonly #lists = new Map<string, { list: List; atMs: number }>();
  readonly #reading = new Map<string, Promise<List>>();
  /** Reads of MySQL that are under way, and those that begin when they have ended. */
  readonly #readingTruth = new Map<string, Promise<unknown>>();
  readonly #nextTruth = new Map<string, Promise<List>>();

  constructor(options: ListReaderOptions) {
    this.#options = options;
  }

  /** Throws `HotListUnavailableError`. */
  read(query: ListQuery): Promise<List> {
    const key = keyOf(query);
    const known = this.#lists.get(key);
    if (known !== undefined && this.#options.monotonicMs() - known.atMs < this.#options.freshMs) {
      return Promise.resolve(known.list);
    }
    let reading = this.#reading.get(key);
    if (reading === undefined) {
      reading = this.#load(key, query).finally(() => this.#reading.delete(key));
      this.#reading.set(key, reading);
    }
    return reading;
  }

  /**
   * Reads MySQL, beginning after this call: what was committed before it is in the list. Throws what MySQL throws, and
   * `CircuitOpenError`.
   */
  readTruth(query: ListQuery): Promise<List> {
    const key = keyOf(query);
    let next = this.#nextTruth.get(key);
    if (next === undefined) {
      next = (this.#readingTruth.get(key) ?? Promise.resolve()).then(() => {
        this.#nextTruth.delete(key);
        const reading = this.#loadMysql(key, query);
        const over = reading
          .catch(() => {}) // its own callers hear of it
          .then(() => {
            if (this.#readingTruth.get(key) === over) this.#readingTruth.delete(key);
          });
        this.#readingTruth.set(key, over);
        return reading;
      });
      this.#nextTruth.set(key, next);
    }
    return next;
  }

  async #load(key: string, query: ListQuery): Promise<List> {
    const { readRedis, redisCircuit, nowMs, monotonicMs } = this.#options;
    const readAtMs = nowMs();
    const atMs = monotonicMs();
    try {
      const items = await redisCircuit.run(() => readRedis(query, readAtMs));
      if (items !== null) return this.#remember(key, { items: ranked(items), readAtMs, from: 'redis' }, atMs);
    } catch {
      // away: the circuit remembers it
    }
    try {
      return await this.#loadMysql(key, query);
    } catch (cause) {
      const last = this.#lists.get(key);
      if (last === undefined) {
        throw new HotListUnavailableError('Neither Redis nor MySQL answers, and there is no earlier list.', { cause });
      }
      return { ...last.list, from: 'memory' };
    }
  }

  async #loadMysql(key: string, query: ListQuery): Promise<List> {
    const { readMysql, mysqlCircuit, nowMs, monotonicMs } = this.#options;
    const readAtMs = nowMs();
    const atMs = monotonicMs();
    const items = await mysqlCircuit.run(() => readMysql(query, readAtMs));
    return this.#remember(key, { items: ranked(items), readAtMs, from: 'mysql' }, atMs);
  }

  #remember(key: string, list: List, atMs: number): List {
    this.#lists.delete(key);
    this.#lists.set(key, { list, atMs });
    if (this.#lists.size > this.#options.remembered) {
      const [oldest] = this.#lists.keys();
      this.#lists.delete(oldest!);
    }
    return list;
  }
}

function keyOf({ of, boardId, limit }: ListQuery): string {
  return `${'day' in of ? of.day : of.window} ${boardId ?? ''} ${limit}`;
}
