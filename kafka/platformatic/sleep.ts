/** Waits of loops that are woken when something changes. */
export class Sleep {
  readonly #sleepers = new Set<() => void>();
  readonly #backoffs = new Set<() => void>();
  #ended = false;

  /** Until something changes, or, with a time, until that is over: a backoff is not cut short by changes, only by the end. */
  wait(timeoutMs?: number): Promise<void> {
    if (this.#ended) return Promise.resolve();
    return new Promise((resolve) => {
      const waiting = timeoutMs === undefined ? this.#sleepers : this.#backoffs;
      const wake = () => {
        clearTimeout(timer);
        waiting.delete(wake);
        resolve();
      };
      const timer = timeoutMs === undefined ? undefined : setTimeout(wake, timeoutMs);
      waiting.add(wake);
    });
  }

  /** Something changed. */
  wake(): void {
    for (const wake of [...this.#sleepers]) wake();
  }

  /** Ends all waits, and those that come. */
  end(): void {
    this.#ended = true;
    for (const wake of [...this.#sleepers, ...this.#backoffs]) wake();
  }
}
