import type { Day } from '../../ranking/days.ts';
import { ranked } from '../../ranking/order.ts';
import type { Circuit } from '../hot-article/circuit.ts';
import type { HotItem } from '../hot-article/hot-table.ts';

export interface ListQuery {
  day: Day;
  /** Null: all boards. */
  boardId: string | null;
  limit: number;
}

export type RankedItem = HotItem & { rank: number };

export interface List {
  items: RankedItem[];
  /** When it was read, ms since 1970. */
  readAtMs: number;
  /** `memory`: neither Redis nor MySQL could be read, this is the last answer that there was. */
  from: 'redis' | 'mysql' | 'memory';
}

export interface ListReaderOptions {
  /** Null where Redis has no list of that day. */
  readRedis(query: ListQuery): Promise<HotItem[] | null>;
  readMysql(query: ListQuery): Promise<HotItem[]>;
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

  constructor(options: ListReaderOptions) {
    this.#options = options;
  }

  /** Throws `HotListUnavailableError`. */
  read(query: ListQuery): Promise<List> {
    const key = `${query.day} ${query.boardId ?? ''} ${query.limit}`;
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

  async #load(key: string, query: ListQuery): Promise<List> {
    const { readRedis, readMysql, redisCircuit, mysqlCircuit, nowMs, monotonicMs } = this.#options;
    const readAtMs = nowMs();
    const atMs = monotonicMs();
    const fresh = (items: HotItem[], from: List['from']): List => {
      const list = { items: ranked(items), readAtMs, from };
      this.#remember(key, { list, atMs });
      return list;
    };
    try {
      const items = await redisCircuit.run(() => readRedis(query));
      if (items !== null) return fresh(items, 'redis');
    } catch {
      // away: the circuit remembers it
    }
    try {
      return fresh(await mysqlCircuit.run(() => readMysql(query)), 'mysql');
    } catch (cause) {
      const last = this.#lists.get(key);
      if (last === undefined) {
        throw new HotListUnavailableError('Neither Redis nor MySQL answers, and there is no earlier list.', { cause });
      }
      return { ...last.list, from: 'memory' };
    }
  }

  #remember(key: string, entry: { list: List; atMs: number }): void {
    this.#lists.delete(key);
    this.#lists.set(key, entry);
    if (this.#lists.size <= this.#options.remembered) return;
    const [oldest] = this.#lists.keys();
    this.#lists.delete(oldest!);
  }
}
