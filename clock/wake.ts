import type { Clock } from './clock.ts';

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
