import type { Faults, Server, Verdict } from './faults.ts';
import type { Process, World } from './world.ts';

/** The way from one process to one server, with errors in the words of that server's client. */
export interface Way {
  process: Process;
  server: Server;
  refused(step: string): Error;
  answerLost(step: string): Error;
  conflict?(): Error;
  /** After so long the client gives up. */
  timeoutMs: number;
  timedOut(step: string): Error;
}

/** Carries calls from processes to servers: each takes time, and can be refused, delayed, or lose its answer. */
export class Network {
  readonly #world: World;
  readonly #faults: Faults;

  constructor(world: World, faults: Faults) {
    this.#world = world;
    this.#faults = faults;
  }

  /**
   * `work` is what the server does with the call. `onBroken`: the request came to nothing, or its answer got lost: the
   * connection is gone. `lateMs`: how much later than usual it arrives.
   */
  call<Result>(
    way: Way,
    step: string,
    work: () => Result | Promise<Result>,
    onBroken?: () => void,
    lateMs = 0,
  ): Promise<Result> {
    const { process } = way;
    return new Promise((resolve, reject) => {
      if (process.running && !this.#faults.any) {
        this.#send(way, step, work, onBroken, lateMs, resolve, reject);
        return;
      }
      // A stopped process sends when it goes on, a dead one never; it may become one here.
      process.deliver(() => {
        this.#faults.reached(process, step, 'asked');
        process.deliver(() => this.#send(way, step, work, onBroken, lateMs, resolve, reject));
      });
    });
  }

  /** A call that takes no time: what goes wrong with it, or null. The process may be dead or stopped after it. */
  atOnce({ process, server }: Way, step: string): 'conflict' | 'lost' | null {
    if (!this.#faults.any) return null;
    this.#faults.reached(process, step, 'asked');
    const verdict = this.#faults.verdict(server, step);
    if (verdict?.refused || verdict?.answerLost) return 'lost';
    return verdict?.conflict ? 'conflict' : null;
  }

  #send<Result>(
    way: Way,
    step: string,
    work: () => Result | Promise<Result>,
    onBroken: (() => void) | undefined,
    lateMs: number,
    resolve: (result: Result) => void,
    reject: (error: unknown) => void,
  ): void {
    const verdict = this.#faults.verdict(way.server, step);
    const requestMs = this.#world.random.whole(1, 4) + lateMs;
    if (verdict) {
      this.#sendBadly(way, step, work, onBroken, resolve, reject, verdict, requestMs);
      return;
    }
    const { process } = way;
    const done = (result: Result) => {
      if (this.#faults.any) this.#faults.reached(process, step, 'done');
      if (process.running) resolve(result);
      else process.deliver(() => resolve(result));
    };
    const failed = (error: unknown) => process.deliver(() => reject(error));
    this.#world.after(requestMs, () => {
      let result: Result | Promise<Result>;
      try {
        result = work();
      } catch (error) {
        failed(error);
        return;
      }
      if (result instanceof Promise) result.then(done, failed);
      else done(result);
    });
  }

  #sendBadly<Result>(
    way: Way,
    step: string,
    work: () => Result | Promise<Result>,
    onBroken: (() => void) | undefined,
    resolve: (result: Result) => void,
    reject: (error: unknown) => void,
    verdict: Verdict,
    requestMs: number,
  ): void {
    const { process, timeoutMs } = way;
    let cancelTimeout = () => {};
    const answer = (give: () => void, afterMs: number) => {
      const deliver = () =>
        process.deliver(() => {
          cancelTimeout();
          give();
        });
      if (afterMs > 0) this.#world.after(afterMs, deliver);
      else deliver();
    };
    if (verdict.requestMs + verdict.answerMs > 0 || verdict.answerLost) {
      cancelTimeout = this.#world.after(timeoutMs, () => {
        onBroken?.();
        answer(() => reject(way.timedOut(step)), 0);
      });
    }
    this.#world.after(requestMs + verdict.requestMs, async () => {
      if (verdict.refused) {
        onBroken?.();
        answer(() => reject(way.refused(step)), 0);
        return;
      }
      try {
        if (verdict.conflict && way.conflict) {
          onBroken?.();
          throw way.conflict();
        }
        const result = await work();
        this.#faults.reached(process, step, 'done');
        if (verdict.answerLost) {
          onBroken?.();
          answer(() => reject(way.answerLost(step)), this.#world.random.whole(1, 300));
        } else {
          answer(() => resolve(result), verdict.answerMs);
        }
      } catch (error) {
        answer(() => reject(error), verdict.answerMs);
      }
    });
  }
}
