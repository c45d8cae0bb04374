import type { Clock } from '../../clock/clock.ts';
import { Wake } from '../../clock/wake.ts';
import type { Logger } from '../../kafka/port.ts';

export interface PollerOptions {
  source: string;
  /** Buckets of any owner that have unsent rows. */
  look(): Promise<readonly number[]>;
  /** Is there anybody to wake? While all buckets are busy nothing is asked. */
  hasIdle(): boolean;
  found(buckets: readonly number[]): void;
  shortestMs: number;
  longestMs: number;
  clock: Clock;
  log: Logger;
}

/**
 * The safety net under the nudges: one statement for all of a source's idle buckets. After a batch was sent it looks again
 * soon, and then ever more seldom; rows that only wait for a retry do not keep it awake.
 */
export class Poller {
  readonly #options: PollerOptions;
  readonly #wake = new Wake();
  #pauseMs: number;
  #stopping = false;
  #running: Promise<void> = Promise.resolve();

  constructor(options: PollerOptions) {
    this.#options = options;
    this.#pauseMs = options.shortestMs;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#wake.signal();
    await this.#running;
  }

  /** Something was sent: more may follow. */
  activity(): void {
    const wasSlow = this.#pauseMs > this.#options.shortestMs;
    this.#pauseMs = this.#options.shortestMs;
    if (wasSlow) this.#wake.signal();
  }

  async #run(): Promise<void> {
    const { clock, longestMs } = this.#options;
    while (!this.#stopping) {
      const pauseMs = this.#pauseMs;
      if (await this.#wake.wait(clock, pauseMs)) continue;
      if (!this.#options.hasIdle()) continue;
      this.#pauseMs = Math.min(longestMs, pauseMs * 2);
      await this.#look();
    }
  }

  async #look(): Promise<void> {
    const { look, found, log, source } = this.#options;
    try {
      const buckets = await look();
      if (buckets.length > 0) found(buckets);
    } catch (error) {
      log.debug(`${source}: looking for unsent rows failed: ${(error as Error).message}`);
    }
  }
}
