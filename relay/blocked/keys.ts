import type { Clock } from '../../clock/clock.ts';
import type { Logger } from '../../kafka/port.ts';
import type { RelayMetrics } from '../metrics.ts';
import type { PendingRow } from '../sources/store.ts';
import { afterFailure, type BlockedSettings } from './decide.ts';
import type { BlockedKey, BlockedStore, Fence } from './store.ts';

export interface BlockedKeysOptions {
  source: string;
  fence: Fence;
  store: BlockedStore;
  settings: BlockedSettings;
  clock: Clock;
  log: Logger;
  metrics: RelayMetrics;
}

/** The event of a key failed for its own sake: sending it again at once cannot help. */
export interface KeyFailure {
  keyHash: string;
  rowId: string;
  /** Of the event; empty and null where it is missing. */
  aggregateId: string;
  eventType: string | null;
  code: string;
  message: string;
}

/** Rows that are moved in one transaction: some 50 ms. */
const stepRows = 2_000;
/** Keys that are tried, saved or swept together. */
const stepKeys = 200;
/** Looks for requests and for rows that came later are at least so far apart; a slow look makes for longer pauses. */
const lookPauseMs = 500;
const lookShare = 10;

interface Entry {
  key: BlockedKey;
  eventType: string | null;
  /** When it may be tried, on this process's monotonic clock. */
  dueMs: number;
  /** The database does not know this state yet. */
  dirty: boolean;
  /** Its event is to be given up. */
  skip: boolean;
  /** All of its rows are where they belong, as far as the last look went. */
  swept: boolean;
}

/**
 * The blocked keys of one bucket in one term. The bucket's loop asks for `excluded` before each read of the head, tells what
 * failed and what was sent, and lets `work` bring the database after it, one bounded step at a time. What is true of a key is in
 * `outbox_blocked`: whoever has the bucket next goes on from there.
 *
 * A blocked key's rows are moved out of the way of the head (those that producers write later as well), so that they cost other
 * keys nothing. Only the first of them is sent when the key is tried; when it is acknowledged, all come back, and only then
 * the head is read with the key again: so its order holds.
 */
export class BlockedKeys {
  readonly #options: BlockedKeysOptions;
  readonly #entries = new Map<string, Entry>();
  #loaded = false;
  /** Requests whose answer was lost, and their keys: they may be carried out, now or when the statement arrives late. */
  readonly #unanswered = new Map<string, string>();
  #nextLookMs = 0;
  /** Somebody has woken the loop since the last look. */
  #lookWanted = false;

  constructor(options: BlockedKeysOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Keys that no read of the head may show. */
  excluded(): string[] {
    return [...this.#entries.keys()];
  }

  has(keyHash: string): boolean {
    return this.#entries.has(keyHash);
  }

  /** The blocked keys with the notes of their last failures, for status pages. */
  list(): BlockedKey[] {
    const nowMs = this.#options.clock.monotonicMs();
    return [...this.#entries.values()].map(({ key, dueMs }) => ({ ...key, dueInMs: Math.max(0, dueMs - nowMs) }));
  }

  /** One more failure of the key's event: it is blocked from now on, or still. */
  fail(failure: KeyFailure): void {
    const { settings, clock, log, source, fence } = this.#options;
    const { keyHash, rowId, aggregateId, eventType, code, message } = failure;
    const before = this.#entries.get(keyHash);
    const attempts = (before?.key.attempts ?? 0) + 1;
    const verdict = afterFailure(attempts, eventType, settings);
    const pauseMs = verdict.become === 'blocked' ? verdict.pauseMs : 0;
    this.#entries.set(keyHash, {
      key: {
        ...{ keyHash, aggregateId: aggregateId || (before?.key.aggregateId ?? ''), attempts, dueInMs: pauseMs, rowId },
        ...{ state: verdict.become === 'dead' ? 'dead' : 'blocked', errorCode: code, lastError: message },
      },
      eventType,
      dueMs: verdict.become === 'blocked' ? clock.monotonicMs() + pauseMs : Number.POSITIVE_INFINITY,
      dirty: true,
      skip: verdict.become === 'skipped',
      swept: (before?.swept ?? false) && verdict.become !== 'dead',
    });
    if (!before) this.#nextLookMs = 0;
    const next = {
      blocked: `next attempt in ${Math.round(pauseMs)} ms`,
      dead: 'it is dead now and waits for an operator (outbox.retry, outbox.edit, outbox.drop)',
      skipped: 'it is given up',
    }[verdict.become];
    log.error(
      `${source}.${fence.bucket}: key ${aggregateId || keyHash} is blocked by row ${rowId} (attempt ${attempts}): ${code} ${message}; ${next}.`,
    );
  }

  /** The event that was tried is acknowledged: the key's rows may come back once its own row is deleted. */
  succeeded(keyHash: string): void {
    const entry = this.#entries.get(keyHash);
    if (!entry || entry.key.state === 'unblocking') return;
    this.#unblock(entry);
  }

  /** Whether `work` may only go on when every delete of sent rows is committed: what was sent must not come back. */
  get needsDeletes(): boolean {
    return [...this.#entries.values()].some(({ key }) => key.state === 'unblocking');
  }

  /**
   * The first rows of keys whose time has come: they go into the next batch. `leftOutUntilMs`: monotonic time before which a row
   * must wait for another cause, null where there is none.
   */
  async tries(leftOutUntilMs: (row: PendingRow) => number | null): Promise<PendingRow[]> {
    const { store, fence, clock } = this.#options;
    const nowMs = clock.monotonicMs();
    const due = [...this.#entries.values()].filter((entry) => canBeTried(entry) && entry.dueMs <= nowMs);
    if (due.length === 0) return [];
    const keyHashes = due.slice(0, stepKeys).map(({ key }) => key.keyHash);
    const rows = await store.firstBlockedRows(fence.bucket, keyHashes);
    const found = new Set(rows.map(({ keyHash }) => keyHash));
    // Somebody has sent or removed all that there was.
    for (const keyHash of keyHashes) if (!found.has(keyHash)) this.#unblock(this.#entries.get(keyHash)!);
    return rows.filter((row) => {
      const untilMs = leftOutUntilMs(row);
      if (untilMs !== null) this.#entries.get(row.keyHash)!.dueMs = untilMs;
      return untilMs === null;
    });
  }

  /** When there is something to do without any new rows, here or for another cause; null: nothing waits. Monotonic. */
  nextDueMs(otherMs: number | null): number | null {
    let next = otherMs ?? Number.POSITIVE_INFINITY;
    if (this.#lookWanted && this.#entries.size > 0) next = Math.min(next, this.#nextLookMs);
    for (const entry of this.#entries.values()) {
      if (entry.dirty || entry.key.state === 'unblocking') return 0;
      next = Math.min(next, entry.swept ? (entry.skip ? 0 : entry.dueMs) : this.#nextLookMs);
    }
    return next === Number.POSITIVE_INFINITY ? null : next;
  }

  /** One bounded step of each kind that is due. */
  async work(): Promise<void> {
    if (!this.#loaded) await this.#load();
    if (this.#entries.size === 0) return;
    this.#lookWanted = this.#options.clock.monotonicMs() < this.#nextLookMs;
    if (!this.#lookWanted) await this.#requests();
    await this.#save();
    if (!this.#lookWanted) await this.#sweep();
    await this.#skip();
    await this.#bringBack();
  }

  async #load(): Promise<void> {
    const { store, fence, clock } = this.#options;
    const startedMs = clock.monotonicMs();
    const keys = await store.readBlocked(fence.bucket);
    for (const key of keys) {
      // What failed meanwhile is newer.
      if (!this.#entries.get(key.keyHash)?.dirty) this.#know(key, startedMs, false);
    }
    this.#loaded = true;
  }

  #know(key: BlockedKey, atMs: number, swept: boolean): void {
    this.#entries.set(key.keyHash, {
      key,
      eventType: null,
      dueMs: key.state === 'blocked' ? atMs + key.dueInMs : Number.POSITIVE_INFINITY,
      ...{ dirty: false, skip: false, swept },
    });
  }

  async #requests(): Promise<void> {
    const { store, fence, clock, log, source } = this.#options;
    const requests = await store.readRequests(fence.bucket);
    const open = new Set(requests.map(({ id }) => id));
    // Only one that is no longer asked for was carried out for good: what it made of its key is in the database alone.
    const closed = [...this.#unanswered].filter(([id]) => !open.has(id));
    if (closed.length > 0) {
      for (const [, keyHash] of closed) if (this.has(keyHash)) this.#entries.get(keyHash)!.dirty = false;
      await this.#load();
      for (const [id] of closed) this.#unanswered.delete(id);
    }
    for (const request of requests) {
      const startedMs = clock.monotonicMs();
      const before = this.#entries.get(request.keyHash);
      this.#unanswered.set(request.id, request.keyHash);
      const key = await store.carryOut(fence, request);
      this.#unanswered.delete(request.id);
      // Where its rows were all put aside, the first of them is among those still.
      if (key) this.#know(key, startedMs, before?.swept ?? false);
      log.info(`${source}.${fence.bucket}: an operator's ${request.action} of key ${request.keyHash} is carried out.`);
    }
  }

  async #save(): Promise<void> {
    const { store, fence, clock } = this.#options;
    const dirty = [...this.#entries.values()].filter((entry) => entry.dirty).slice(0, stepKeys);
    const nowMs = clock.monotonicMs();
    const dueInMs = ({ dueMs }: Entry) => (Number.isFinite(dueMs) ? Math.max(0, dueMs - nowMs) : 0);
    await store.saveBlocked(
      fence,
      dirty.map((entry) => ({ ...entry.key, dueInMs: dueInMs(entry) })),
    );
    for (const entry of dirty) entry.dirty = false;
  }

  async #skip(): Promise<void> {
    const { store, fence, clock, log, source } = this.#options;
    for (const entry of this.#entries.values()) {
      if (!entry.skip || entry.dirty || !entry.swept) continue;
      const { keyHash, rowId, attempts, errorCode, lastError } = entry.key;
      const reason = `failed ${attempts} times: ${errorCode} ${lastError}`;
      const skipped = await store.skipEvent(fence, { keyHash, rowId: rowId!, who: fence.owner, reason });
      entry.skip = false;
      if (skipped) {
        entry.key = { ...entry.key, state: 'blocked', attempts: 0, dueInMs: 0 };
        entry.dueMs = clock.monotonicMs();
        log.error(`${source}.${fence.bucket}: row ${rowId} of key ${keyHash} is skipped: ${reason}.`);
      } else {
        entry.key = { ...entry.key, state: 'dead' };
        Object.assign(entry, { dirty: true, swept: false });
      }
    }
  }

  /** Moves rows of blocked and dead keys to where they belong. */
  async #sweep(): Promise<void> {
    const { store, fence, clock } = this.#options;
    const startedMs = clock.monotonicMs();
    let full = false;
    for (const [state, to] of [
      ['blocked', 'blocked'],
      ['dead', 'dead'],
    ] as const) {
      const entries = [...this.#entries.values()].filter(({ key, dirty }) => key.state === state && !dirty);
      for (let from = 0; from < entries.length; from += stepKeys) {
        const some = entries.slice(from, from + stepKeys);
        const moved = await store.moveRows(
          fence,
          some.map(({ key }) => key.keyHash),
          to,
          stepRows,
        );
        if (moved < stepRows) for (const entry of some) entry.swept = true;
        else full = true;
      }
    }
    const endedMs = clock.monotonicMs();
    this.#nextLookMs = full ? endedMs : endedMs + Math.max(lookPauseMs, lookShare * (endedMs - startedMs));
  }

  async #bringBack(): Promise<void> {
    const { store, fence, log, source } = this.#options;
    const back = [...this.#entries.values()]
      .filter(({ key, dirty }) => key.state === 'unblocking' && !dirty)
      .map(({ key }) => key.keyHash)
      .slice(0, stepKeys);
    if (back.length === 0) return;
    if ((await store.moveRows(fence, back, 'pending', stepRows)) === stepRows) return;
    const staying = new Set(await store.forgetBlocked(fence, back));
    // An operator asked for something meanwhile: that is answered first. Or a step that came late has set the key back.
    if (staying.size > 0) this.#nextLookMs = 0;
    for (const keyHash of staying) this.#entries.get(keyHash)!.dirty = true;
    for (const keyHash of back.filter((keyHash) => !staying.has(keyHash))) {
      const { aggregateId } = this.#entries.get(keyHash)!.key;
      this.#entries.delete(keyHash);
      log.info(`${source}.${fence.bucket}: key ${aggregateId || keyHash} is no longer blocked.`);
    }
  }

  #unblock(entry: Entry): void {
    entry.key = { ...entry.key, state: 'unblocking' };
    Object.assign(entry, { dirty: true, skip: false, dueMs: Number.POSITIVE_INFINITY });
  }
}

function canBeTried({ key, dirty, skip, swept }: Entry): boolean {
  return key.state === 'blocked' && !dirty && !skip && swept;
}
