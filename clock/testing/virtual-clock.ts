import type { Clock } from '../clock.ts';

interface Timer {
  atMs: number;
  order: number;
  callback: () => void;
}

/** Time that only moves when a test says so. Callbacks of one moment run in the order in which they were asked for. */
export class VirtualClock implements Clock {
  #nowMs = 0;
  #order = 0;
  readonly #timers = new Set<Timer>();
  readonly #startWallMs = 1_700_000_000_000;

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#startWallMs + this.#nowMs;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + Math.max(0, ms), order: this.#order++, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  get pendingTimers(): number {
    return this.#timers.size;
  }

  /** All promise callbacks have run, and what follows from them without time passing. */
  settled(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  /** Moves time on; everything that becomes due runs, with all that follows from it. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      await this.settled();
      const next = this.#next();
      if (!next || next.atMs > untilMs) break;
      this.#fire(next);
    }
    this.#nowMs = untilMs;
    await this.settled();
  }

  /** Moves time on until the condition holds. Throws where it does not within `limitMs`. Answers how long it took, in ms. */
  async until(condition: () => boolean, limitMs: number): Promise<number> {
    const startMs = this.#nowMs;
    for (;;) {
      await this.settled();
      if (condition()) return this.#nowMs - startMs;
      const next = this.#next();
      if (!next || next.atMs > startMs + limitMs) {
        throw new Error(`did not come true within ${limitMs} ms: ${condition.toString()}`);
      }
      this.#fire(next);
    }
  }

  /** Moves time on until the work is done. */
  async finish<Result>(work: Promise<Result>): Promise<Result> {
    let done = false;
    const mark = () => {
      done = true;
    };
    work.then(mark, mark);
    await this.until(() => done, Number.POSITIVE_INFINITY);
    return work;
  }

  #next(): Timer | null {
    let next: Timer | null = null;
    for (const timer of this.#timers) {
      if (!next || timer.atMs < next.atMs || (timer.atMs === next.atMs && timer.order < next.order)) next = timer;
    }
    return next;
  }

  #fire(timer: Timer): void {
    this.#timers.delete(timer);
    this.#nowMs = timer.atMs;
    timer.callback();
  }
}
