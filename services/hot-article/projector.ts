import type { Redis } from 'ioredis';
import type { EventEnvelope } from '../../events/envelope.ts';
import type { Logger } from '../../kafka/port.ts';
import type { Day } from '../../ranking/days.ts';
import { type LagReport, publishLag } from './consumer-lag.ts';
import { Healer } from './healer.ts';
import type { HotRow, Scoring } from './hot-row.ts';
import { HotStore } from './hot-store.ts';
import { countMarks } from './hot-table.ts';
import { Loop } from './loop.ts';
import { type HotMetrics, noMetrics } from './metrics.ts';
import { project } from './project.ts';
import { Rebuilder, type RebuildReport } from './rebuilder.ts';
import { Refresher } from './refresher.ts';
import { sparingly } from './sparingly.ts';
import type { Database, Sql } from './sql.ts';
import type { StoreKeys } from './store-keys.ts';

export interface ProjectorOptions {
  redis: Redis;
  keys: StoreKeys;
  database: Database;
  scoring: Scoring;
  hotDays: number;
  nodeId: string;
  logger: Logger;
  /** Default: none. */
  metrics?: HotMetrics;
  /** How far the consumer is, by `topic/partition`; partitions whose lag is not known are left out. */
  partitionLags(): Record<string, number>;
  /** Time of day, ms. Default: the system's. */
  nowMs?(): number;
  healEveryMs?: number;
  publishEveryMs?: number;
  /** See `HealerOptions`. */
  graceMs?: number;
}

/**
 * The hot list's writing half: applies events to MySQL in the inbox's transaction, brings what changed to Redis after the
 * commit, and heals in the background what that missed.
 */
export class Projector {
  readonly store: HotStore;
  readonly refresher: Refresher;
  readonly rebuilder: Rebuilder;
  readonly healer: Healer;
  readonly #options: ProjectorOptions;
  readonly #nowMs: () => number;
  readonly #healing: Loop;
  readonly #publishing: Loop;
  /** What the transaction that applied an event made of its article. */
  readonly #changed = new WeakMap<object, HotRow[]>();

  constructor(options: ProjectorOptions) {
    const { database, scoring, hotDays, logger } = options;
    this.#options = options;
    this.#nowMs = options.nowMs ?? Date.now;
    const nowMs = this.#nowMs;
    const warn = sparingly(5000, (what, error) => logger.warn(what, error));
    this.store = new HotStore(options.redis, options.keys, hotDays);
    const parts = { store: this.store, database, scoring, hotDays, nowMs, metrics: options.metrics ?? noMetrics };
    this.rebuilder = new Rebuilder(parts);
    this.refresher = new Refresher({
      ...parts,
      days: scoring.days,
      onMissing: () => this.#healing.wake(),
      onError: warn,
    });
    this.healer = new Healer({
      ...parts,
      refresher: this.refresher,
      rebuilder: this.rebuilder,
      graceMs: options.graceMs,
      onInfo: (what) => logger.info(what),
    });
    this.#healing = new Loop({
      everyMs: options.healEveryMs ?? 1000,
      work: () => this.healer.heal(),
      onError: (error) => warn('The hot lists could not be healed; trying again', error),
    });
    this.#publishing = new Loop({
      everyMs: options.publishEveryMs ?? 500,
      work: () => publishLag({ store: this.store, database, nowMs }, options.nodeId, this.#lagReport()),
      onError: (error) => warn('The lag of the hot list could not be told to readers; trying again', error),
    });
  }

  start(): void {
    this.#healing.start();
    this.#publishing.start();
  }

  /** Ends the loops; the Redis client and the database stay the caller's to close. */
  async stop(): Promise<void> {
    await Promise.all([this.#healing.stop(), this.#publishing.stop()]);
    await this.refresher.settled();
  }

  /** Redis is there again, or something else is to be looked at now. */
  wake(): void {
    this.#healing.wake();
  }

  /** In the inbox's transaction. */
  async apply(tx: Sql, events: readonly EventEnvelope[]): Promise<void> {
    for (const event of events) this.#changed.delete(event);
    const changed = await project(tx, events, { scoring: this.#options.scoring, nowMs: this.#nowMs() });
    if (events.length > 0) this.#changed.set(events[0]!, changed);
  }

  /** After the commit of the transaction that applied these events. Never throws. */
  async afterCommit(events: readonly EventEnvelope[]): Promise<void> {
    const rows = events.flatMap((event) => this.#changed.get(event) ?? []);
    if (rows.length > 0) await this.refresher.refresh(rows);
  }

  /** See `Rebuilder.rebuild`. */
  rebuild(options: { days?: readonly Day[]; lockWaitMs?: number }): Promise<RebuildReport> {
    return this.rebuilder.rebuild(options);
  }

  /** How many rows Redis may not have, and for how long it has been behind. */
  async status(): Promise<{ dirty: number; behindMs: number }> {
    return { dirty: await countMarks(this.#options.database), behindMs: this.healer.behindMs };
  }

  #lagReport(): LagReport {
    return { partitions: this.#options.partitionLags(), unwrittenMs: this.healer.behindMs };
  }
}
