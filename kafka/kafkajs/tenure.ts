import { partitionName } from '../outgoing.ts';
import type { TopicPartition } from '../port.ts';

export interface TenureLimits {
  sessionTimeoutMs: number;
  rebalanceTimeoutMs: number;
}

/**
 * The time between two assignments in which a member may work on its partitions, and how long it can be sure of that by
 * its own clock: the group gives them to others when the member was silent for the session timeout, or when it did not
 * rejoin within the rebalance timeout. Both count from the last moment that the coordinator is known to have agreed.
 */
export class Tenure {
  readonly partitions: readonly TopicPartition[];
  /** Start positions are set: batches may be worked on. */
  ready = false;
  readonly #names: ReadonlySet<string>;
  readonly #limits: TenureLimits;
  #contactMs: number;
  #agreedMs: number;
  #rebalancing = false;
  #over = false;

  constructor(partitions: readonly TopicPartition[], limits: TenureLimits, nowMs: number) {
    this.partitions = partitions;
    this.#names = new Set(partitions.map(({ topic, partition }) => partitionName(topic, partition)));
    this.#limits = limits;
    this.#contactMs = nowMs;
    this.#agreedMs = nowMs;
  }

  get over(): boolean {
    return this.#over;
  }

  /** A rebalance is announced: what is in flight may end, nothing new begins. */
  get rebalancing(): boolean {
    return this.#rebalancing;
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** The coordinator accepted a heartbeat. */
  confirm(nowMs: number): void {
    this.#contactMs = nowMs;
    if (!this.#rebalancing) this.#agreedMs = nowMs;
  }

  /** The coordinator answered a heartbeat with "rebalance in progress", which keeps the session alive, too. */
  announceRebalance(nowMs: number): void {
    this.#contactMs = nowMs;
    this.#rebalancing = true;
  }

  end(): void {
    this.#over = true;
    this.ready = false;
  }

  /** Whether nobody else can have the partitions. The margin is for the time that an answer travels. */
  holds(nowMs: number): boolean {
    if (this.#over) return false;
    const marginMs = Math.min(1000, this.#limits.sessionTimeoutMs / 10);
    if (nowMs >= this.#contactMs + this.#limits.sessionTimeoutMs - marginMs) return false;
    return !this.#rebalancing || nowMs < this.#agreedMs + this.#limits.rebalanceTimeoutMs - marginMs;
  }
}
