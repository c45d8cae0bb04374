import type { Faults, Server } from './faults.ts';
import type { Process, World } from './world.ts';

export interface CallOptions {
  process: Process;
  server: Server;
  step: string;
  /** Errors in the words of that server's client. */
  refused(): Error;
  answerLost(): Error;
  conflict?(): Error;
  timedOut?: { afterMs: number; error(): Error };
  /** The request came to nothing, or its answer got lost: the connection is gone. */
  onBroken?(): void;
}

/** Carries calls from processes to servers: each takes time, and can be refused, delayed, or lose its answer. */
export class Network {
  readonly #world: World;
  readonly #faults: Faults;

  constructor(world: World, faults: Faults) {
    this.#world = world;
    this.#faults = faults;
  }

  call<Result>(options: CallOptions, work: () => Result | Promise<Result>): Promise<Result> {
    const { process } = options;
    return new Promise((resolve, reject) => {
      // A stopped process sends when it goes on, a dead one never.
      process.deliver(() => {
        this.#faults.reached(process, options.step, 'asked');
        process.deliver(() => this.#send(options, work, resolve, reject));
      });
    });
  }

  #send<Result>(
    options: CallOptions,
    work: () => Result | Promise<Result>,
    resolve: (result: Result) => void,
    reject: (error: unknown) => void,
  ): void {
    const { process, server, step, timedOut } = options;
    const verdict = this.#faults.verdict(server, step);
    let cancelTimeout = () => {};
    const answer = (give: () => void, afterMs = 0) => {
      if (afterMs > 0) this.#world.after(afterMs, () => answer(give));
      else {
        process.deliver(() => {
          cancelTimeout();
          give();
        });
      }
    };
    if (timedOut && (verdict.requestMs + verdict.answerMs > 0 || verdict.answerLost)) {
      cancelTimeout = this.#world.after(timedOut.afterMs, () => {
        options.onBroken?.();
        answer(() => reject(timedOut.error()));
      });
    }
    this.#world.after(this.#world.random.whole(1, 4) + verdict.requestMs, async () => {
      if (verdict.refused) {
        options.onBroken?.();
        answer(() => reject(options.refused()));
        return;
      }
      try {
        if (verdict.conflict && options.conflict) throw options.conflict();
        const result = await work();
        this.#faults.reached(process, step, 'done');
        if (verdict.answerLost) {
          options.onBroken?.();
          answer(() => reject(options.answerLost()), this.#world.random.whole(1, 300));
        } else {
          answer(() => resolve(result), verdict.answerMs);
        }
      } catch (error) {
        answer(() => reject(error), verdict.answerMs);
      }
    });
  }
}
