/**
 * Runs `work` again and again, one at a time: `everyMs` after the end of the last run, or at once when it is woken; after an
 * error with growing pauses of up to ten times that. `stop` waits for the run in hand.
 */
export class Loop {
  readonly #options: { everyMs: number; work(): Promise<unknown>; onError(error: unknown): void };
  #running: Promise<void> | null = null;
  #stopping = false;
  #woken = false;
  #endPause: (() => void) | null = null;

  constructor(options: { everyMs: number; work(): Promise<unknown>; onError(error: unknown): void }) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  wake(): void {
    this.#woken = true;
    this.#endPause?.();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#endPause?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#stopping) {
      this.#woken = false;
      try {
        await this.#options.work();
        failures = 0;
      } catch (error) {
        failures++;
        this.#options.onError(error);
      }
      // a wake-up does not cut short the pause after an error: what woke it would fail again
      await this.#pause(this.#options.everyMs * Math.min(10, 1 + failures), failures > 0);
    }
  }

  async #pause(ms: number, unwakeable: boolean): Promise<void> {
    if (this.#stopping || (this.#woken && !unwakeable)) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#endPause = () => {
        if (unwakeable && !this.#stopping) return;
        clearTimeout(timer);
        resolve();
      };
    });
    this.#endPause = null;
  }
}
