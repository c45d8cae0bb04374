/** The relay's only source of time, handed in everywhere so that its loops can run under a simulated clock. */
export interface Clock {
  /** Never goes back; says nothing about the time of day. Ms. */
  monotonicMs(): number;
  /** Time of day, ms since 1970. For figures only, never for decisions. */
  wallMs(): number;
  /** Calls back once after `ms`. The answer cancels it. */
  after(ms: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

export function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => clock.after(ms, resolve));
}

/** True where the promise was settled well in time; its rejection passes through. Leaves no timer behind. */
export async function within(clock: Clock, ms: number, promise: Promise<unknown>): Promise<boolean> {
  const late = Promise.withResolvers<boolean>();
  const cancel = clock.after(ms, () => late.resolve(false));
  try {
    return await Promise.race([promise.then(() => true), late.promise]);
  } finally {
    cancel();
  }
}

/**
 * An interruptible wait for one waiting loop. A signal that comes while nobody waits is remembered, several are one: the
 * next wait ends at once.
 */
export class Wake {
  #signalled = false;
  #end: (() => void) | null = null;

  signal(): void {
    this.#signalled = true;
    this.#end?.();
  }

  /** Forgets a remembered signal: what it told of is about to be looked at anyway. */
  clear(): void {
    this.#signalled = false;
  }

  /** Waits for a signal, at most `ms` (`Infinity`: no limit). True where it was a signal. */
  async wait(clock: Clock, ms: number): Promise<boolean> {
    if (!this.#signalled) {
      await new Promise<void>((resolve) => {
        const cancel = Number.isFinite(ms) ? clock.after(Math.max(0, ms), resolve) : () => {};
        this.#end = () => {
          cancel();
          resolve();
        };
      });
      this.#end = null;
    }
    const signalled = this.#signalled;
    this.#signalled = false;
    return signalled;
  }
}
