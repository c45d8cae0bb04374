import { pause } from '../../clock/clock.ts';
import { Wake } from '../../clock/wake.ts';
import { choose, expectsFew, fewRows, headLimit } from '../batch/choose.ts';
import { backoffMs, Holds } from '../batch/holds.ts';
import { InFlight } from '../batch/in-flight.ts';
import { pack, partitionCause, type Routed } from '../batch/pack.ts';
import { type Failure, isBehindUnsent } from '../batch/settle.ts';
import { nextBatchRows } from '../batch/size.ts';
import { BlockedKeys } from '../blocked/keys.ts';
import type { Term } from '../lease/types.ts';
import type { PendingRow } from '../sources/store.ts';
import type { BucketLoopOptions, BucketLoopStatus, BucketState } from './bucket-options.ts';
import { LoopReport } from './loop-report.ts';

export type { BucketLoopOptions, BucketLoopSettings, BucketState } from './bucket-options.ts';

/** How often a loop whose lease is in doubt looks at its belief again; costs no statement. */
const doubtPauseMs = 25;
/** How long a blocked key waits whose first row was sent and is being deleted. */
const deletePauseMs = 50;
/** Keys that a read of the head leaves out by itself at most; what is more is left out in memory. */
const maxKeysLeftOut = 20_000;

/**
 * Forwards one bucket in one term: read the head, leave out what is in flight or held, fetch, check the lease, send, delete
 * exactly what was acknowledged. One batch is without an answer at most; what was acknowledged is deleted while the next ones
 * are read and sent. An empty head: it waits until it is woken (by a nudge, a poll, or a retry that is due).
 */
export class BucketLoop {
  readonly #options: BucketLoopOptions;
  readonly #inFlight = new InFlight();
  readonly #holds = new Holds();
  readonly #blocked: BlockedKeys;
  /** Rows that were refused while earlier ones of their keys were unsent. */
  readonly #refusedBehind = new Set<string>();
  readonly #wake = new Wake();
  readonly #report: LoopReport;
  #state: BucketState = 'sending';
  #stopping = false;
  #abandoned = false;
  #begun = false;
  #running: Promise<void> = Promise.resolve();
  #deleting: Promise<void> = Promise.resolve();
  /** Rows that were acknowledged and whose delete is not known to be committed; the last of them wait for it to begin. */
  #undeleted: readonly string[] = [];
  #toDelete: readonly string[] = [];
  #lastBatch: { rows: number; bytes: number } | null = null;
  #leftOut = 0;
  #headWasWhole = false;
  /** All rows that the last read showed are sent. */
  #sawAll = false;
  #errorsInARow = 0;

  constructor(options: BucketLoopOptions) {
    this.#options = options;
    this.#report = new LoopReport({ ...options, bucket: options.term.bucket });
    const { me, term, settings } = options;
    const fence = { bucket: term.bucket, owner: me, epoch: term.epoch };
    this.#blocked = new BlockedKeys({ ...options, fence, settings: settings.blocked });
  }

  get term(): Term {
    return this.#options.term;
  }

  get status(): BucketLoopStatus {
    const blockedKeys = this.#blocked.list();
    return { state: this.#state, heldKeys: this.#holds.keys, blockedKeys, lastError: this.#report.lastError };
  }

  start(): void {
    this.#running = this.#run();
  }

  /** There may be new rows. */
  wake(): void {
    this.#wake.signal();
  }

  /** Takes no more; resolves when what was sent is answered and what was acknowledged is deleted. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#wake.signal();
    await this.#running;
  }

  /** Stops trying to delete: the rows will be sent again by whoever has the bucket next. */
  abandon(): void {
    this.#abandoned = true;
    void this.stop();
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      try {
        await this.#step();
        this.#errorsInARow = 0;
      } catch (error) {
        await this.#failed(error);
      }
    }
    await this.#deleting;
    this.#state = 'stopped';
  }

  async #step(): Promise<void> {
    const { term, clock, delivery } = this.#options;
    if (!term.isTrusted()) {
      this.#state = 'lease in doubt';
      await this.#wake.wait(clock, doubtPauseMs);
      return;
    }
    if (!this.#begun) await this.#begin();
    if (this.#blocked.needsDeletes) await this.#deleting;
    await this.#blocked.work();
    // The signal of a stop that came meanwhile must not be cleared below: nobody would wake this loop again.
    if (this.#stopping) return;
    let batch: Routed[] | 'read more' = [];
    if (!this.#sawAll) {
      this.#wake.clear();
      batch = await this.#nextBatch();
    }
    this.#sawAll = false;
    if (batch === 'read more') return;
    if (batch.length === 0) {
      const nextTryMs = this.#blocked.nextDueMs(this.#holds.nextTryMs(clock.monotonicMs()));
      this.#state = nextTryMs === null ? 'idle' : 'waiting to retry';
      await this.#wake.wait(clock, nextTryMs === null ? Number.POSITIVE_INFINITY : nextTryMs - clock.monotonicMs());
      return;
    }
    // The lease may have run out while the events were fetched.
    if (!term.isTrusted() || this.#stopping) return;
    this.#state = 'sending';
    const ids = batch.map(({ row }) => row.id);
    this.#inFlight.add(ids);
    const settled = await delivery.deliver(batch, this.#undeleted).catch((error: unknown) => {
      this.#inFlight.remove(ids);
      this.#begun = false;
      throw error;
    });
    this.#begun = !settled.beginAgain;
    for (const failure of settled.failures) this.#hold(failure, batch, settled.acknowledged);
    this.#inFlight.remove(settled.again.map(({ row }) => row.id));
    // Nothing else was there: the next look is for a nudge or the poller to ask for.
    this.#sawAll = this.#headWasWhole && settled.acknowledged.length === batch.length;
    if (settled.acknowledged.length > 0) await this.#acknowledged(settled.acknowledged);
  }

  async #begin(): Promise<void> {
    const { term, delivery, store, source, log } = this.#options;
    await this.#deleting;
    const { alreadySent } = await delivery.begin(term);
    const part = { bucket: term.bucket, ids: alreadySent };
    const deleted = alreadySent.length > 0 ? await store.delete([part]) : 0;
    if (deleted > 0) log.info(`${source}.${term.bucket}: ${deleted} unsent rows were in the topic already.`);
    this.#report.deleted(deleted);
    this.#begun = true;
  }

  async #nextBatch(): Promise<Routed[] | 'read more'> {
    const { store, term, settings, clock, route, together } = this.#options;
    const tries = await this.#tries();
    const leftOut = Math.max(this.#leftOut, this.#inFlight.size);
    const without = [...this.#blocked.excluded(), ...this.#holds.heldKeys(clock.monotonicMs(), maxKeysLeftOut)];
    const few = without.length === 0 && expectsFew(this.#lastBatch?.rows ?? null, leftOut);
    const wanted = Math.min(nextBatchRows(this.#lastBatch, settings), few ? fewRows : settings.batchSize);
    const limit = headLimit(wanted, leftOut, settings.headRows);
    const read = this.#inFlight.beginRead();
    const first = few ? await together.readFirst.ask({ bucket: term.bucket, limit }) : null;
    const head =
      first?.map(({ row }) => row) ?? (await store.readHead(term.bucket, limit, without.slice(0, maxKeysLeftOut)));
    this.#inFlight.endRead(read);
    this.#headWasWhole = head.length < limit;
    const nowMs = clock.monotonicMs();
    const chosen = choose(head, wanted, {
      isInFlight: (id) => this.#inFlight.has(id),
      isHeld: (keyHash) => this.#blocked.has(keyHash) || this.#holds.isHeld(keyHash, nowMs),
    });
    const rows = [...tries, ...chosen];
    if (rows.length === 0) {
      this.#leftOut = head.length;
      return head.length === limit && limit < settings.headRows ? 'read more' : [];
    }
    this.#leftOut = chosen.length === 0 ? head.length : head.indexOf(chosen.at(-1)!) + 1 - chosen.length;
    const events = first ? first.flatMap(({ event }) => event ?? []) : await store.fetch(rows);
    const isWaiting = (cause: string) => this.#holds.isWaiting(cause, nowMs);
    const packed = pack(rows, events, route, isWaiting, (id) => this.#refusedBehind.has(id));
    if (packed.send.length < rows.length) this.#headWasWhole = false;
    for (const { cause, keyHash } of packed.waiting) this.#holds.join(cause, keyHash);
    for (const { row, event, ...what } of packed.bad) {
      const { aggregateId = '', eventType = null } = event ?? {};
      this.#blocked.fail({ keyHash: row.keyHash, rowId: row.id, aggregateId, eventType, ...what });
      this.#report.notPublished(what, 1);
    }
    if (packed.send.length === 0) return 'read more';
    this.#lastBatch = {
      rows: packed.send.length,
      bytes: packed.send.reduce((sum, { event }) => sum + event.payload.length, 0),
    };
    return packed.send;
  }

  /** Rows of blocked keys whose time has come. */
  #tries(): Promise<PendingRow[]> {
    const nowMs = this.#options.clock.monotonicMs();
    return this.#blocked.tries(({ id, keyHash }) =>
      this.#inFlight.has(id) ? nowMs + deletePauseMs : this.#holds.heldUntilMs(keyHash, nowMs),
    );
  }

  async #acknowledged(acknowledged: readonly Routed[]): Promise<void> {
    const waits = this.#holds.keys + this.#blocked.size + this.#refusedBehind.size > 0;
    for (const { topic, partition, row } of waits ? acknowledged : []) {
      this.#holds.succeed(partitionCause(topic, partition));
      this.#blocked.succeeded(row.keyHash);
      this.#refusedBehind.delete(row.id);
    }
    const { settings, onActivity } = this.#options;
    this.#report.acknowledged(acknowledged);
    onActivity();
    const ids = acknowledged.map(({ row }) => row.id);
    // What may be sent twice after a crash is two batches at most: these, and one without an answer.
    if (this.#undeleted.length > 0 && this.#undeleted.length + ids.length > settings.batchSize) await this.#deleting;
    const isDeleting = this.#undeleted.length > 0;
    this.#undeleted = [...this.#undeleted, ...ids];
    this.#toDelete = [...this.#toDelete, ...ids];
    if (!isDeleting) this.#deleting = this.#delete();
  }

  /** One statement after the other, until nothing is left: what was acknowledged must not be sent again. Never rejects. */
  async #delete(): Promise<void> {
    const { store, together, term, clock, settings } = this.#options;
    for (let attempt = 0; this.#undeleted.length > 0 && !this.#abandoned; ) {
      // What failed may be done, and what came meanwhile goes with it.
      const rows = { bucket: term.bucket, ids: this.#undeleted };
      this.#toDelete = [];
      try {
        if (rows.ids.length > fewRows) this.#report.deleted(await store.delete([rows]));
        else await together.delete.ask(rows);
        this.#inFlight.deleted(rows.ids);
        this.#undeleted = this.#toDelete;
        attempt = 0;
      } catch (error) {
        attempt++;
        this.#report.failed(error, 'deleting sent rows', attempt);
        await pause(clock, backoffMs(attempt, settings.retry));
      }
    }
  }

  #hold(failure: Failure, batch: readonly Routed[], acknowledged: readonly Routed[]): void {
    const { settings, clock } = this.#options;
    const { error, ids, first } = failure;
    this.#inFlight.remove(ids);
    if (!failure.refused) {
      const hold = this.#holds.fail(failure.cause, failure.keyHashes, clock.monotonicMs(), settings.retry);
      this.#report.notAcknowledged(failure, hold);
      return;
    }
    this.#report.notPublished(error, ids.length);
    if (isBehindUnsent(first, batch, acknowledged)) {
      // The earlier ones go first, without these: whether they hold up the key is seen when it is their turn.
      for (const id of ids) this.#refusedBehind.add(id);
      return;
    }
    for (const id of ids) this.#refusedBehind.delete(id);
    const { keyHash, id: rowId } = first.row;
    this.#blocked.fail({ ...first.event, keyHash, rowId, code: error.code, message: error.message });
  }

  async #failed(error: unknown): Promise<void> {
    const { clock, settings } = this.#options;
    this.#errorsInARow++;
    this.#state = 'waiting to retry';
    this.#report.failed(error, 'forwarding', this.#errorsInARow);
    const untilMs = clock.monotonicMs() + backoffMs(this.#errorsInARow, settings.retry);
    // Nudges do not shorten it: a database that is away gets no storm of tries.
    while (!this.#stopping && clock.monotonicMs() < untilMs) {
      await this.#wake.wait(clock, untilMs - clock.monotonicMs());
    }
  }
}
