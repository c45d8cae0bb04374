import type { World } from './world.ts';

interface Waiting<Owner> {
  owner: Owner;
  granted(): void;
}

/** A transaction. */
export interface LockOwner {
  /** It has ended: nothing is granted to it any more. */
  over: boolean;
  /** Names of the locks that it has. */
  readonly locks: string[];
}

/** Exclusive row locks, kept until `free`; who waits too long gets an error. */
export class Locks<Owner extends LockOwner> {
  readonly #held = new Map<string, { owner: Owner; queue: Waiting<Owner>[] }>();
  readonly #world: World;
  readonly #waitMs: number;
  readonly #timedOut: () => Error;

  constructor(world: World, waitMs: number, timedOut: () => Error) {
    this.#world = world;
    this.#waitMs = waitMs;
    this.#timedOut = timedOut;
  }

  take(owner: Owner, name: string): Promise<void> | undefined {
    if (owner.over) throw new Error('The transaction has ended.');
    const lock = this.#held.get(name);
    if (!lock) {
      this.#grant(owner, name, []);
      return undefined;
    }
    if (lock.owner === owner) return undefined;
    return new Promise((resolve, reject) => {
      const waiting: Waiting<Owner> = {
        owner,
        granted: () => {
          cancel();
          resolve();
        },
      };
      const cancel = this.#world.after(this.#waitMs, () => {
        const queue = this.#held.get(name)?.queue ?? [];
        const at = queue.indexOf(waiting);
        if (at >= 0) queue.splice(at, 1);
        reject(this.#timedOut());
      });
      lock.queue.push(waiting);
    });
  }

  free(owner: Owner): void {
    owner.over = true;
    for (const name of owner.locks) {
      const { queue } = this.#held.get(name)!;
      this.#held.delete(name);
      let next = queue.shift();
      while (next?.owner.over) next = queue.shift();
      if (!next) continue;
      this.#grant(next.owner, name, queue);
      next.granted();
    }
    owner.locks.length = 0;
  }

  #grant(owner: Owner, name: string, queue: Waiting<Owner>[]): void {
    this.#held.set(name, { owner, queue });
    owner.locks.push(name);
  }
}
