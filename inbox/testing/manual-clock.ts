import type { Clock } from '../clock.ts';

/** A clock that moves only when told. */
export class ManualClock implements Clock {
  #nowMs = 0;
  #timers = new Set<{ atMs: number; callback: () => void }>();

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.#nowMs;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + ms, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Lets whatever can run without time passing run. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Moves on by `ms`, timer by timer. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    for (;;) {
      await this.settle();
      const next = this.#next();
      if (!next || next.atMs > endMs) break;
      this.#fire(next);
    }
    this.#nowMs = endMs;
  }

  /** Moves on, timer by timer, until the work is done. */
  async until<Result>(work: Promise<Result>): Promise<Result> {
    let done = false;
    const mark = () => {
      done = true;
    };
    work.then(mark, mark);
    for (;;) {
      await this.settle();
      if (done) return work;
      const next = this.#next();
      if (!next) throw new Error('The work waits for something that is no timer.');
      this.#fire(next);
    }
  }

  #next() {
    return [...this.#timers].sort((a, b) => a.atMs - b.atMs)[0];
  }

  #fire(timer: { atMs: number; callback: () => void }): void {
    this.#timers.delete(timer);
    this.#nowMs = Math.max(this.#nowMs, timer.atMs);
    timer.callback();
  }
}
