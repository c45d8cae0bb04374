import type { ConsumerLag } from '../hot-article/consumer-lag.ts';

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

  async read(): Promise<Freshness> {
    const { monotonicMs, everyMs, waitMs } = this.#options;
    if (monotonicMs() - this.#askedAtMs >= everyMs) {
      const hadAll = this.#parts.every((part) => this.#age(part) < 2 * everyMs);
      const asked = this.#ask();
      // only where the last answer is too old to give, and only the request that asks
      if (!hadAll) await within(asked, waitMs);
    }
    return this.#current();
  }

  #current(): Freshness {
    const { trustedMs, syncingAboveMs } = this.#options;
    let lagMs: number | null = null;
    let complete = true;
    for (const part of this.#parts) {
      const known = this.#known.get(part);
      if (known === undefined || this.#age(part) > trustedMs) {
        complete = false;
        continue;
      }
      if (known.lagMs !== null) lagMs = Math.max(lagMs ?? 0, known.lagMs);
      complete &&= known.complete;
    }
    return { lagMs: lagMs === null ? null : Math.round(lagMs), syncing: !complete || (lagMs ?? 0) > syncingAboveMs };
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
          return { lagMs, complete: lagMs !== null };
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
