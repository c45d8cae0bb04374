import type { ConsumerLag } from '../hot-article/consumer-lag.ts';
import type { List } from './list-reader.ts';

export interface FreshnessOptions {
  sources: readonly string[];
  /** Age of the source's oldest unsent event, ms; null where nobody on this node can tell. */
  sourceLag(source: string): Promise<number | null>;
  consumerLag(): Promise<ConsumerLag>;
  /** Monotonic, ms. */
  monotonicMs(): number;
  /** How often it is asked at most; all requests share the answer. */
  everyMs: number;
  /** How long a request waits for an answer at most. */
  waitMs: number;
  /** Older answers are none. */
  trustedMs: number;
  /** A list that is further behind is `syncing`. */
  syncingAboveMs: number;
}

export interface Freshness {
  /** The greater of what the sources have not sent and what the consumer has not applied; null where nothing is known. */
  lagMs: number | null;
  /** Behind, or somebody could not be asked: then the lag is only that of the others. */
  syncing: boolean;
}

/** What is known of all parts together. */
export interface Knowledge {
  lagMs: number | null;
  complete: boolean;
  unwrittenMs: number;
}

interface Known extends ConsumerLag {
  atMs: number;
}

const consumer = 'consumer';

/** How far the hot list is behind the producers, without ever holding up a read. */
export class FreshnessGauge {
  readonly #options: FreshnessOptions;
  readonly #parts: string[];
  readonly #known = new Map<string, Known>();
  readonly #asking = new Map<string, Promise<void>>();
  #askedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: FreshnessOptions) {
    this.#options = options;
    this.#parts = [...options.sources.map((source) => `source ${source}`), consumer];
  }

  /** Asks, where the last answers are old. Waits for it only where they are too old to give, and not for long. */
  async refresh(): Promise<void> {
    const { monotonicMs, everyMs, waitMs } = this.#options;
    if (monotonicMs() - this.#askedAtMs < everyMs) return;
    const hadAll = this.#parts.every((part) => this.#age(part) < 2 * everyMs);
    const asked = this.#ask();
    if (!hadAll) await within(asked, waitMs);
  }

  /** How far a list from there is behind. */
  of(from: List['from']): Freshness {
    const { lagMs, complete, unwrittenMs } = this.#current();
    const behindMs = from === 'redis' && unwrittenMs > 0 ? Math.max(lagMs ?? 0, unwrittenMs) : lagMs;
    return {
      lagMs: behindMs === null ? null : Math.round(behindMs),
      syncing: !complete || (behindMs ?? 0) > this.#options.syncingAboveMs,
    };
  }

  #current(): Knowledge {
    const { trustedMs } = this.#options;
    const all: Knowledge = { lagMs: null, complete: true, unwrittenMs: 0 };
    for (const part of this.#parts) {
      const known = this.#known.get(part);
      if (known === undefined || this.#age(part) > trustedMs) {
        all.complete = false;
        continue;
      }
      if (known.lagMs !== null) all.lagMs = Math.max(all.lagMs ?? 0, known.lagMs);
      all.complete &&= known.complete;
      all.unwrittenMs = Math.max(all.unwrittenMs, known.unwrittenMs);
    }
    return all;
  }

  #ask(): Promise<unknown> {
    const { sources, sourceLag, consumerLag, monotonicMs } = this.#options;
    this.#askedAtMs = monotonicMs();
    const ask = (part: string, call: () => Promise<ConsumerLag>) => {
      const asking =
        this.#asking.get(part) ??
        call()
          .then((lag) => void this.#known.set(part, { ...lag, atMs: monotonicMs() }))
          .catch(() => {}) // what it said before grows old
          .finally(() => this.#asking.delete(part));
      this.#asking.set(part, asking);
      return asking;
    };
    return Promise.all([
      ...sources.map((source) =>
        ask(`source ${source}`, async () => {
          const lagMs = await sourceLag(source);
          return { lagMs, complete: lagMs !== null, unwrittenMs: 0 };
        }),
      ),
      ask(consumer, consumerLag),
    ]);
  }

  #age(part: string): number {
    return this.#options.monotonicMs() - (this.#known.get(part)?.atMs ?? Number.NEGATIVE_INFINITY);
  }
}

async function within(work: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}
