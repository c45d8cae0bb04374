export interface NudgerOptions {
  /** Tells everybody; may fail and may never answer. */
  send(buckets: number[]): Promise<unknown> | unknown;
  /** Runs `task` after `delayMs`; answers how to call it off. */
  schedule?(task: () => void, delayMs: number): () => void;
  /** At most one nudge in this time. Default 2. */
  intervalMs?: number;
  /** A nudge that is refused, or not answered, holds up the next one for so long. Default 1,000. */
  patienceMs?: number;
}

/**
 * Wakes the relay after a commit: a hint, so it is never awaited, never fails, and is lost where nobody can be reached.
 * Buckets that come while one nudge is on its way go out together with the next: a flood of writes, or an unreachable
 * cluster, does not pile them up.
 */
export class Nudger {
  readonly #options: NudgerOptions;
  readonly #schedule: NonNullable<NudgerOptions['schedule']>;
  readonly #waiting = new Set<number>();
  #callOff: (() => void) | null = null;
  #busy = false;
  #stopped = false;

  constructor(options: NudgerOptions) {
    this.#options = options;
    this.#schedule = options.schedule ?? byTimer;
  }

  nudge(buckets: readonly number[]): void {
    for (const bucket of buckets) this.#waiting.add(bucket);
    if (!this.#busy) this.#send();
  }

  stop(): void {
    this.#stopped = true;
    this.#callOff?.();
    this.#waiting.clear();
  }

  #send(): void {
    if (this.#waiting.size === 0 || this.#stopped) return;
    const buckets = [...this.#waiting].sort((a, b) => a - b);
    this.#waiting.clear();
    this.#busy = true;
    let over = false;
    const next = () => {
      if (over) return;
      over = true;
      this.#callOff?.();
      this.#callOff = null;
      this.#busy = false;
      this.#send();
    };
    this.#callOff = this.#schedule(next, this.#options.patienceMs ?? 1000);
    const answered = () => {
      if (over || this.#stopped) return;
      this.#callOff?.();
      this.#callOff = this.#schedule(next, this.#options.intervalMs ?? 2);
    };
    try {
      Promise.resolve(this.#options.send(buckets)).then(answered, () => {});
    } catch {
      // As one that is not answered.
    }
  }
}

function byTimer(task: () => void, delayMs: number): () => void {
  const timer = setTimeout(task, delayMs);
  return () => clearTimeout(timer);
}
