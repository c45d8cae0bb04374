import type { Clock } from '../clock/clock.ts';
import type { Random } from './random.ts';

interface Timer {
  atMs: number;
  order: number;
  callback: (() => void) | null;
}

/** Virtual time, in whole milliseconds: the one queue of everything that happens in a run. */
export class World {
  nowMs = 0;
  readonly random: Random;
  readonly #heap: Timer[] = [];
  #order = 0;

  constructor(random: Random) {
    this.random = random;
  }

  /** Calls back after `ms`. The answer cancels it. */
  after(ms: number, callback: () => void): () => void {
    const timer: Timer = { atMs: this.nowMs + Math.max(0, Math.ceil(ms)), order: this.#order++, callback };
    this.#push(timer);
    return () => {
      timer.callback = null;
    };
  }

  /**
   * Runs until the condition holds (asked at each moment) or the time is over. True where it held. A moment has come to its end when
   * all promise callbacks have run: Node runs what was asked for by `nextTick` within a promise callback once their queue is
   * empty. Much quicker than a turn of the event loop.
   */
  run(untilMs: number, done: () => boolean): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const settled = () => process.nextTick(turn);
      const turn = () => {
        try {
          if (done()) return resolve(true);
          const next = this.#heap[0];
          if (!next || next.atMs > untilMs) return resolve(false);
          this.nowMs = next.atMs;
          // Everything of one moment runs before the promises that follow from it.
          while (this.#heap[0] && this.#heap[0].atMs === this.nowMs) this.#pop().callback?.();
          void resolved.then(settled);
        } catch (error) {
          reject(error);
        }
      };
      void resolved.then(settled);
    });
  }

  #push(timer: Timer): void {
    const heap = this.#heap;
    let at = heap.push(timer) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(timer, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = timer;
  }

  #pop(): Timer {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

const resolved = Promise.resolve();

/**
 * A process of the run. Its code runs only when something is delivered to it, so that it can be stopped (everything waits),
 * killed (nothing comes any more), and has a clock of its own with its own speed.
 */
export class Process {
  readonly name: string;
  readonly clock: Clock;
  alive = true;
  /** Called when it is killed, and when it is stopped for `ms`: its connections. */
  readonly onKilled: (() => void)[] = [];
  readonly onPaused: ((ms: number) => void)[] = [];
  readonly #world: World;
  #paused = false;
  #waiting: (() => void)[] = [];

  /** `speed`: of its clock; 1.01 is one percent fast. `wallMs`: how wrong its time of day is. */
  constructor(world: World, name: string, speed: number, wallMs: number) {
    this.#world = world;
    this.name = name;
    const startedMs = world.nowMs;
    this.clock = {
      monotonicMs: () => (world.nowMs - startedMs) * speed,
      wallMs: () => 1_767_225_600_000 + wallMs + world.nowMs,
      after: (ms, callback) => world.after(ms / speed, () => this.deliver(callback)),
    };
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Neither killed nor stopped. */
  get running(): boolean {
    return this.alive && !this.#paused;
  }

  /** Runs it in this process: now, when it goes on, or never. */
  deliver(callback: () => void): void {
    if (!this.alive) return;
    if (this.#paused) this.#waiting.push(callback);
    else callback();
  }

  kill(): void {
    if (!this.alive) return;
    this.alive = false;
    this.#waiting = [];
    for (const each of this.onKilled) each();
  }

  pause(ms: number): void {
    if (!this.alive || this.#paused) return;
    this.#paused = true;
    for (const each of this.onPaused) each(ms);
    this.#world.after(ms, () => this.resume());
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const callback of waiting) this.deliver(callback);
  }
}
