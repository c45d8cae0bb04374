import type { World } from './world.ts';

interface Waiting<Owner> {
  owner: Owner;
  granted(): void;
}

/** Exclusive row locks, kept until `free`; who waits too long gets an error. */
export class Locks<Owner extends object> {
  readonly #held = new Map<string, { owner: Owner; queue: Waiting<Owner>[] }>();
  readonly #ofOwner = new Map<Owner, string[]>();
  /** Whose transaction has ended: nothing is granted to it any more. */
  readonly #ended = new WeakSet<Owner>();
  readonly #world: World;
  readonly #waitMs: number;
  readonly #timedOut: () => Error;

  constructor(world: World, waitMs: number, timedOut: () => Error) {
    this.#world = world;
    this.#waitMs = waitMs;
    this.#timedOut = timedOut;
  }

  take(owner: Owner, name: string): Promise<void> | undefined {
    if (this.#ended.has(owner)) throw new Error('The transaction has ended.');
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
    this.#ended.add(owner);
    for (const name of this.#ofOwner.get(owner) ?? []) {
      const { queue } = this.#held.get(name)!;
      this.#held.delete(name);
      let next = queue.shift();
      while (next && this.#ended.has(next.owner)) next = queue.shift();
      if (!next) continue;
      this.#grant(next.owner, name, queue);
      next.granted();
    }
    this.#ofOwner.delete(owner);
  }

  #grant(owner: Owner, name: string, queue: Waiting<Owner>[]): void {
    this.#held.set(name, { owner, queue });
    const names = this.#ofOwner.get(owner);
    if (names) names.push(name);
    else this.#ofOwner.set(owner, [name]);
  }
}
