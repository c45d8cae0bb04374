import { within } from '../clock/clock.ts';
import { Wake } from '../clock/wake.ts';
import { type BackoffSettings, backoffMs } from './batch/holds.ts';
import { BucketLoop } from './delivery/bucket-loop.ts';
import type { TogetherStatements } from './delivery/bucket-options.ts';
import type { Delivery } from './delivery/delivery.ts';
import { Poller } from './delivery/poller.ts';
import { Together } from './delivery/together.ts';
import { Elector } from './lease/elector.ts';
import type { LeaseTable, Term } from './lease/types.ts';
import { abandonedBuckets, unownedSince } from './lease/unowned.ts';
import { RelayConfigError } from './options.ts';
import { bucketStatuses, countsOf, keyStatuses, newest, noteOf, oldestMs, problemsOf, setGauges } from './report.ts';
import type { Janitor } from './retention/janitor.ts';
import type { SourceRelayOptions } from './source-options.ts';
import type { Backlog } from './sources/store.ts';
import type { ErrorNote, KeyStatus, SourceState, SourceStatus } from './status.ts';

const prepareRetry: BackoffSettings = { firstMs: 250, longestMs: 2_000 };
const refusedPauseMs = 10_000;
const statisticsMs = 5_000;
/** The owner of this bucket is the one that looks after the partitions. */
const janitorsBucket = 0;
/** Buckets whose small statements are one. */
const bucketsTogether = 32;

/** One source: checks it, takes part in its election, and runs a loop for each bucket that it has. */
export class SourceRelay {
  readonly #options: SourceRelayOptions;
  readonly #elector: Elector;
  readonly #poller: Poller;
  readonly #janitor: Janitor | undefined;
  readonly #together: TogetherStatements;
  readonly #loops = new Map<number, BucketLoop>();
  readonly #ending = new Map<number, Promise<void>>();
  readonly #deliveries = new Map<number, Delivery>();
  readonly #wake = new Wake();
  #state: SourceState = 'waiting';
  #incarnation: string | null = null;
  #databaseOffsetMs = 0;
  #unowned: ReadonlyMap<number, number> = new Map();
  #abandoned: readonly number[] = [];
  #backlog: Backlog | null = null;
  #lastError: ErrorNote | null = null;
  #working: Promise<void> = Promise.resolve();

  constructor(options: SourceRelayOptions) {
    this.#options = options;
    const { name, me, leaseMs, store, clock, log } = options;
    this.#elector = new Elector({
      source: name,
      me,
      leaseMs,
      store,
      clock,
      log,
      onGained: (term) => this.#startLoop(term),
      onLost: (term) => void this.#endLoop(term.bucket),
      isBusy: (bucket) => this.#loops.has(bucket) || this.#ending.has(bucket),
      finish: (term) => this.#endLoop(term.bucket),
      onTable: (table, readStartedMs) => this.#onTable(table, readStartedMs),
    });
    this.#janitor = options.janitor?.(() =>
      this.#elector.held().some((term) => term.bucket === janitorsBucket && term.isTrusted()),
    );
    this.#together = {
      readFirst: new Together((asks) => store.readFirst(asks), bucketsTogether),
      delete: new Together(async (parts) => {
        options.metrics.add('deleted', { source: name }, await store.delete(parts));
        return [];
      }, bucketsTogether),
    };
    this.#poller = new Poller({
      source: name,
      look: () => store.bucketsWithWork(),
      hasIdle: () => [...this.#loops.values()].some((loop) => waits(loop)),
      found: (buckets) => {
        for (const bucket of buckets) {
          const loop = this.#loops.get(bucket);
          if (loop && waits(loop)) loop.wake();
        }
      },
      shortestMs: options.shortestPollMs,
      longestMs: options.longestPollMs,
      clock,
      log,
    });
  }

  get state(): SourceState {
    return this.#state;
  }

  /**
   * Begins, and goes on trying where the database or Kafka is away. Resolves after the first answer, at the latest after
   * `waitMs`; rejects with `RelayConfigError` where that answer says that this relay is made for other settings.
   */
  async start(waitMs: number): Promise<void> {
    const first = Promise.withResolvers<void>();
    first.promise.catch(() => undefined);
    this.#working = this.#work(first);
    await within(this.#options.clock, waitMs, first.promise);
  }

  /** Finishes what is in flight, gives the buckets back, closes; after `timeoutMs` it leaves the rest to others. */
  async stop(timeoutMs: number): Promise<void> {
    const { clock, log, name, store } = this.#options;
    const wasRunning = this.#state === 'running';
    this.#state = 'stopping';
    this.#wake.signal();
    const finished = wasRunning
      ? Promise.all([this.#working, this.#elector.stop(), this.#poller.stop(), this.#janitor?.stop()]).then(() =>
          Promise.all(this.#ending.values()),
        )
      : this.#working;
    if (!(await within(clock, timeoutMs, finished))) {
      log.warn(`${name}: not finished within ${timeoutMs} ms; the leases run out by themselves.`);
      this.#elector.abandon();
      for (const loop of this.#loops.values()) loop.abandon();
    }
    await Promise.all([...this.#deliveries.values()].map((delivery) => delivery.close()));
    await store.close();
    this.#state = 'stopped';
  }

  /** Rows may have come into these buckets. */
  nudge(buckets: readonly number[] | undefined): void {
    for (const [bucket, loop] of this.#loops) if (!buckets || buckets.includes(bucket)) loop.wake();
  }

  async status(): Promise<SourceStatus> {
    const { name, topics, store } = this.#options;
    let keys: KeyStatus[] = [];
    if (this.#state === 'running') {
      await this.#readBacklog();
      keys = await keyStatuses(store).catch((error) => {
        this.#noteError(error);
        return [];
      });
    }
    const table = this.#elector.table;
    return {
      source: name,
      state: this.#state,
      topics,
      incarnation: this.#incarnation,
      members: (table?.members ?? []).filter((member) => member.remainingMs > 0).map((member) => member.id),
      buckets: bucketStatuses({
        table,
        held: new Set(this.#elector.held().map((term) => term.bucket)),
        loopOf: (bucket) => this.#loops.get(bucket)?.status ?? null,
        backlog: this.#backlog,
        abandoned: this.#abandoned,
      }),
      backlog: this.#backlog && countsOf(this.#backlog),
      keys,
      retention: this.#janitor?.status ?? null,
      oldestUnsentAgeMs: this.#backlog && oldestMs(this.#backlog),
      lastError: newest([this.#lastError, noteOf(this.#elector.lastError)]),
    };
  }

  problems(): string[] {
    return problemsOf({
      source: this.#options.name,
      state: this.#state,
      lastError: this.#lastError,
      deadKeys: this.#backlog?.deadKeys ?? 0,
      abandoned: this.#abandoned,
      loops: this.#loops,
      retention: this.#janitor?.problem ?? null,
    });
  }

  async #work(first: PromiseWithResolvers<void>): Promise<void> {
    const { name, log } = this.#options;
    if (!(await this.#prepare(first))) return;
    this.#state = 'running';
    this.#lastError = null;
    log.info(`${name}: database and topics are as expected; taking part.`);
    first.resolve();
    this.#elector.start();
    this.#poller.start();
    this.#janitor?.start();
    while (this.#state === 'running') {
      await this.#readBacklog();
      await this.#wake.wait(this.#options.clock, statisticsMs);
    }
  }

  /** Until database and topics have answered and are as expected. False: stopped before. */
  async #prepare(first: PromiseWithResolvers<void>): Promise<boolean> {
    const { store, clock, name, log, checkTopics } = this.#options;
    for (let attempt = 1; this.#state === 'waiting' || this.#state === 'refused'; attempt++) {
      let waitMs = backoffMs(attempt, prepareRetry);
      try {
        this.#onTable(await store.readLeases(), clock.monotonicMs());
        await checkTopics();
        return this.#state === 'waiting' || this.#state === 'refused';
      } catch (error) {
        this.#noteError(error);
        if (attempt === 1 || error instanceof RelayConfigError) log.warn(`${name}: ${this.#lastError?.message}`);
        if (error instanceof RelayConfigError && this.#state === 'waiting') {
          this.#state = 'refused';
          first.reject(error);
        }
        if (this.#state === 'refused') waitMs = refusedPauseMs;
      }
      await this.#wake.wait(clock, waitMs);
    }
    return false;
  }

  #onTable(table: LeaseTable, readStartedMs: number): void {
    const { buckets, name, clock, metrics, log } = this.#options;
    if (table.buckets !== buckets || table.leases.length !== buckets) {
      throw new RelayConfigError(
        `The outbox of ${name} has ${table.buckets} buckets (${table.leases.length} leases); this relay is set to ${buckets}.`,
      );
    }
    if (this.#incarnation !== null && this.#incarnation !== table.incarnation) {
      log.warn(`${name}: the database was made anew (incarnation ${table.incarnation}, before ${this.#incarnation}).`);
    }
    this.#incarnation = table.incarnation;
    // The database looked at its clock about half way between the statement and now.
    const sinceReadMs = (clock.monotonicMs() - readStartedMs) / 2;
    this.#databaseOffsetMs = table.databaseMs - (clock.wallMs() - sinceReadMs);
    this.#unowned = unownedSince(this.#unowned, table, clock.monotonicMs());
    metrics.set('leasesHeld', { source: name }, this.#elector.held().length);
  }

  #startLoop(term: Term): void {
    const { name, me, store, route, loop: settings, clock, log, metrics, delivery } = this.#options;
    const { bucket } = term;
    let deliverer = this.#deliveries.get(bucket);
    if (!deliverer) {
      deliverer = delivery(bucket, () => this.#incarnation!);
      this.#deliveries.set(bucket, deliverer);
    }
    const loop = new BucketLoop({
      source: name,
      me,
      term,
      store,
      together: this.#together,
      delivery: deliverer,
      route,
      settings,
      clock,
      log,
      metrics,
      onActivity: () => this.#poller.activity(),
      databaseOffsetMs: () => this.#databaseOffsetMs,
    });
    this.#loops.set(bucket, loop);
    if (bucket === janitorsBucket) this.#janitor?.wake();
    // One unacknowledged batch for a bucket, also where a former term's is not answered yet.
    void (this.#ending.get(bucket) ?? Promise.resolve()).then(() => loop.start());
  }

  #endLoop(bucket: number): Promise<void> {
    const loop = this.#loops.get(bucket);
    if (!loop) return this.#ending.get(bucket) ?? Promise.resolve();
    this.#loops.delete(bucket);
    const before = this.#ending.get(bucket) ?? Promise.resolve();
    const ended = Promise.all([before, loop.stop()]).then(() => {
      if (this.#ending.get(bucket) === ended) this.#ending.delete(bucket);
    });
    this.#ending.set(bucket, ended);
    return ended;
  }

  async #readBacklog(): Promise<void> {
    const { store, name, metrics, clock, leaseMs, log } = this.#options;
    try {
      const backlog = await store.readBacklog();
      this.#backlog = backlog;
      const abandoned = abandonedBuckets(this.#unowned, backlog.oldestMs.keys(), clock.monotonicMs(), leaseMs);
      if (abandoned.length > 0 && this.#abandoned.length === 0) {
        log.error(`${name}: work waits and nobody has the buckets ${abandoned.join(', ')}.`);
      }
      this.#abandoned = abandoned;
      const heldKeys = [...this.#loops.values()].reduce((sum, loop) => sum + loop.status.heldKeys, 0);
      setGauges(metrics, name, { backlog, unownedWithWork: abandoned.length, heldKeys });
    } catch (error) {
      this.#noteError(error);
    }
  }

  #noteError(error: unknown): void {
    const code = (error as { code?: string } | null)?.code ?? 'UNEXPECTED';
    const message = error instanceof Error ? error.message : String(error);
    this.#lastError = { code, message, at: new Date(this.#options.clock.wallMs()).toISOString() };
  }
}

function waits(loop: BucketLoop): boolean {
  const { state } = loop.status;
  return state === 'idle' || state === 'waiting to retry';
}
