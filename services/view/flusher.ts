import { setTimeout as pause } from 'node:timers/promises';
import type { GatheredViews, ViewStore } from './view-store.ts';

export interface FlusherOptions {
  store: ViewStore;
  /** Writes them to the database, each flush id once. */
  write(gathered: readonly GatheredViews[]): Promise<void>;
  /** Views of an article after which they are written at once. */
  flushCount: number;
  /** The longest that a view waits before it is written. */
  flushMs: number;
  /** After so long a claim counts as left behind. Longer than writing takes, even with its retries. */
  claimTimeoutMs: number;
  logger: { info(...args: unknown[]): void; warn(...args: unknown[]): void };
  /** Default: a timer. Resolves early when `signal` is aborted. */
  sleep?(ms: number, signal: AbortSignal): Promise<void>;
}

/** Batches taken at once. */
const maxBatches = 200;
const longestBackoffMs = 5000;

/**
 * How long the loop pauses, and how old a batch must be to be taken, so that with the pause none waits longer than `flushMs`.
 */
export function flushTimes(flushMs: number): { pauseMs: number; batchAgeMs: number } {
  const pauseMs = Math.max(10, Math.min(500, Math.floor(flushMs / 4)));
  return { pauseMs, batchAgeMs: Math.max(0, flushMs - pauseMs) };
}

/** The pause after so many failed rounds in a row. */
export function backoffMs(pauseMs: number, failures: number): number {
  return Math.min(longestBackoffMs, pauseMs * 2 ** failures);
}

/**
 * Writes gathered views by count or by time, whichever comes first. Any number of nodes may run one on the same store: each
 * batch is taken by one of them, and one that was left behind by another.
 */
export class ViewFlusher {
  readonly #options: FlusherOptions;
  readonly #full = new Set<string>();
  #wake = new AbortController();
  #running: Promise<void> | undefined;
  #stopping = false;
  /** Rounds that failed in a row. */
  #failures = 0;

  constructor(options: FlusherOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#loop();
  }

  /** Ends after the round under way. What is not written yet stays in the store, for other nodes or the next start. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#wake.abort();
    await this.#running;
  }

  /** A view was recorded; `views` are those of its batch. A full batch is written at once. */
  recorded(articleId: string, views: number): void {
    if (views < this.#options.flushCount || this.#full.has(articleId)) return;
    this.#full.add(articleId);
    // A backoff is not cut short.
    if (this.#failures === 0) this.#wake.abort();
  }

  /** One round: take, write, done. Answers whether there may be more at once. */
  async round(): Promise<boolean> {
    const { store, write, flushMs, claimTimeoutMs } = this.#options;
    const articleIds = [...this.#full].slice(0, maxBatches);
    for (const articleId of articleIds) this.#full.delete(articleId);
    const { batchAgeMs } = flushTimes(flushMs);
    const taken = await store.take({ batchAgeMs, claimAgeMs: claimTimeoutMs, limit: maxBatches, articleIds });
    if (taken.length === 0) return false;
    const flushIds = taken.map(({ flushId }) => flushId);
    try {
      await write(taken);
    } catch (error) {
      await store.giveBack(flushIds).catch(() => undefined);
      throw error;
    }
    await store.done(flushIds);
    return taken.length >= maxBatches || this.#full.size > 0;
  }

  async #loop(): Promise<void> {
    const { logger, flushMs, sleep = sleepUntil } = this.#options;
    const { pauseMs } = flushTimes(flushMs);
    while (!this.#stopping) {
      let more = false;
      try {
        more = await this.round();
        if (this.#failures > 0) logger.info('Views are written again.');
        this.#failures = 0;
      } catch (error) {
        if (this.#failures === 0)
          logger.warn(`Views could not be written (${inWords(error)}); they are kept and tried again.`);
        this.#failures++;
      }
      if (more || this.#stopping) continue;
      await sleep(backoffMs(pauseMs, this.#failures), this.#wake.signal);
      this.#wake = new AbortController();
    }
  }
}

async function sleepUntil(ms: number, signal: AbortSignal): Promise<void> {
  await pause(ms, undefined, { signal }).catch(() => undefined);
}

/** An error and what was behind it, without stacks: it is tried again anyway. */
function inWords(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message} ${error.cause.message}` : error.message;
}
