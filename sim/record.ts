import { createHash } from 'node:crypto';
import type { Happening } from './history.ts';
import type { World } from './world.ts';

type WithoutTime<Each> = Each extends unknown ? Omit<Each, 'atMs'> : never;

/** The history of a run while it is written. */
export class History {
  readonly list: Happening[] = [];
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  add(happening: WithoutTime<Happening>): void {
    const timed = happening as Happening;
    timed.atMs = this.#world.nowMs;
    this.list.push(timed);
  }

  /** Two runs with one hash were the same run. */
  hash(): string {
    return createHash('sha1').update(JSON.stringify(this.list)).digest('hex');
  }
}
