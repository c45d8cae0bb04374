import type { Clock } from '../../clock/clock.ts';
import { Wake } from '../../clock/wake.ts';
import type { Logger } from '../../kafka/port.ts';
import { backoffMs } from '../batch/holds.ts';
import type { RelayMetrics } from '../metrics.ts';
import type { ErrorNote } from '../status.ts';
import { cutoffDay, daysAhead, type Layout, oldestAgeDays, planRetention, type RetentionSettings } from './plan.ts';
import type { Outcome, PartitionStore } from './store.ts';

export interface JanitorOptions {
  source: string;
  /** Connects for one visit. */
  open(): Promise<PartitionStore>;
  settings: RetentionSettings;
  /** Is this the one relay that changes the table? Asked before each step. */
  mayAct(): boolean;
  clock: Clock;
  log: Logger;
  metrics: RelayMetrics;
  /** Pause between two visits where all went well. Default 5 minutes. */
  everyMs?: number;
}

export interface RetentionStatus {
  /** Whole days that sent events stay. */
  days: number;
  /** Does the relay that answers look after the partitions? */
  actsHere: boolean;
  /** Days after today with a partition of their own; -1: today has none, its rows are in the last partition. */
  daysAhead: number;
  oldestAgeDays: number;
  /** Old partitions that stay because of events that are not sent. */
  held: readonly string[];
  /** Rows in the last partition; it is split again only while they are few. */
  overflowRows: number;
  /** ISO times by this process's clock; null: not yet. */
  lastVisitAt: string | null;
  lastDropAt: string | null;
  lastError: ErrorNote | null;
}

const retry = { firstMs: 1_000, longestMs: 60_000 };
const busyCode = 'RETENTION_BUSY';

/** One step gave way to a reader. */
class Busy extends Error {
  readonly code = busyCode;
}

/**
 * Keeps the tables of one source's outbox from growing: days ahead have partitions in time, old days go when all of them is sent,
 * and so does what operators did long ago.
 */
export class Janitor {
  readonly #options: JanitorOptions;
  readonly #wake = new Wake();
  #running: Promise<void> = Promise.resolve();
  #stopping = false;
  #failuresInARow = 0;
  #layout: Layout | null = null;
  #held: readonly string[] = [];
  #lastVisitMs: number | null = null;
  #lastDropMs: number | null = null;
  #lastError: ErrorNote | null = null;

  constructor(options: JanitorOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Something changed that concerns it: another visit now. */
  wake(): void {
    this.#wake.signal();
  }

  /** Finishes the step at work. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#wake.signal();
    await this.#running;
  }

  /** Null before the first visit was answered. */
  get status(): RetentionStatus | null {
    const layout = this.#layout;
    if (layout === null) return null;
    return {
      days: this.#options.settings.days,
      actsHere: this.#options.mayAct(),
      daysAhead: daysAhead(layout),
      oldestAgeDays: oldestAgeDays(layout),
      held: this.#held,
      overflowRows: layout.overflowRows,
      lastVisitAt: isoOf(this.#lastVisitMs),
      lastDropAt: isoOf(this.#lastDropMs),
      lastError: this.#lastError,
    };
  }

  /** What needs somebody's attention; null: nothing. */
  get problem(): string | null {
    const { source, settings } = this.#options;
    const status = this.status;
    if (!status || status.daysAhead >= Math.min(2, settings.aheadDays)) return null;
    const why = status.lastError ? ` (${status.lastError.code} ${status.lastError.message})` : '';
    return `${source}: the outbox has partitions for only ${status.daysAhead} days ahead${why}`;
  }

  async #run(): Promise<void> {
    const { clock, log, metrics, source, everyMs = 300_000 } = this.#options;
    while (!this.#stopping) {
      try {
        await this.#visit();
        this.#failuresInARow = 0;
        this.#lastError = null;
      } catch (error) {
        const { code = 'UNEXPECTED', message } = error as { code?: string; message: string };
        this.#failuresInARow++;
        this.#lastError = { code, message, at: new Date(clock.wallMs()).toISOString() };
        metrics.add('errors', { source, reason: code }, 1);
        log[this.#failuresInARow === 1 ? 'warn' : 'debug'](`${source}: the partitions: ${code} ${message}`);
      }
      const waitMs = this.#failuresInARow > 0 ? backoffMs(this.#failuresInARow, retry) : everyMs;
      if (!this.#stopping) await this.#wake.wait(clock, waitMs);
    }
  }

  async #visit(): Promise<void> {
    const { open, clock, settings, mayAct } = this.#options;
    this.#wake.clear();
    const store = await open();
    try {
      try {
        if (settings.days > 0) await this.#partitions(store);
        if (mayAct()) await store.forgetMembers();
      } finally {
        await this.#audit(store);
      }
    } finally {
      await store.close();
    }
    this.#lastVisitMs = clock.wallMs();
  }

  async #partitions(store: PartitionStore): Promise<void> {
    try {
      const layout = await this.#look(store);
      this.#setHeld([]);
      if (this.#options.mayAct()) await this.#act(store, layout);
    } finally {
      await this.#look(store).catch(() => undefined);
    }
  }

  async #audit(store: PartitionStore): Promise<void> {
    const { settings, source, log } = this.#options;
    if (settings.auditDays === 0) return;
    let deleted = 0;
    for (let some = 1; some > 0 && this.#goesOn(); deleted += some) some = await store.trimAudit(settings.auditDays);
    if (deleted > 0) log.info(`${source}: ${deleted} rows of outbox_audit were older than ${settings.auditDays} days.`);
  }

  async #act(store: PartitionStore, layout: Layout): Promise<void> {
    const { settings } = this.#options;
    const wantsToDrop = planRetention(layout, settings, []).drop.length > 0 || layout.overflowRows > 0;
    const unsentDays = wantsToDrop ? await store.readUnsentDays(cutoffDay(layout, settings)) : [];
    await this.#carryOut(store, layout, unsentDays);
  }

  async #carryOut(store: PartitionStore, layout: Layout, unsentDays: readonly string[]): Promise<void> {
    const { settings, source, metrics, log, clock } = this.#options;
    const plan = planRetention(layout, settings, unsentDays);
    this.#setHeld(plan.held);
    const last = layout.partitions.at(-1)!.name;
    for (const partition of plan.split) {
      if (!this.#goesOn()) return;
      must(await store.split(last, partition), `splitting off ${partition.name}`);
      log.info(`${source}: partition ${partition.name} is there, for days before ${partition.before}.`);
    }
    for (const name of plan.drop) {
      if (!this.#goesOn()) return;
      must(await store.drop(name), `dropping ${name}`);
      this.#lastDropMs = clock.wallMs();
      metrics.add('partitionsDropped', { source }, 1);
      log.info(`${source}: partition ${name} is dropped; all of it was sent more than ${settings.days} days ago.`);
    }
    if (plan.overflows) await this.#trim(store, last, cutoffDay(layout, settings), unsentDays);
  }

  /** The last partition is too full to be split: its old days go row by row, so that it grows no further. */
  async #trim(store: PartitionStore, last: string, before: string, unsentDays: readonly string[]): Promise<void> {
    const { settings, source, log } = this.#options;
    if (unsentDays.length === 0) while (this.#goesOn() && (await store.trim(last, before)) > 0);
    log.error(
      `${source}: partition ${last} holds more than ${settings.maxOverflowRows} rows, so days are not split off it: writers would wait. See "Retention" in relay/README.md.`,
    );
  }

  async #look(store: PartitionStore): Promise<Layout> {
    const { source, settings, metrics } = this.#options;
    const layout = await store.readLayout(settings.maxOverflowRows + 1);
    this.#layout = layout;
    metrics.set('partitionsAhead', { source }, daysAhead(layout));
    metrics.set('partitionsOldest', { source }, oldestAgeDays(layout));
    return layout;
  }

  #setHeld(held: readonly string[]): void {
    this.#held = held;
    this.#options.metrics.set('partitionsHeld', { source: this.#options.source }, held.length);
  }

  #goesOn(): boolean {
    return !this.#stopping && this.#options.mayAct();
  }
}

function must(outcome: Outcome, doing: string): void {
  if (outcome === 'done') return;
  throw new Busy(`${doing}: a transaction that reads the outbox does not end; trying again`);
}

function isoOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
