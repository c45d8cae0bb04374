import type { Clock } from '../../clock/clock.ts';
import { Wake } from '../../clock/wake.ts';
import type { Logger } from '../../kafka/port.ts';
import { decide, isSomebodyLeaving } from './decide.ts';
import { pauseMs, trustedUntilMs } from './trust.ts';
import type { Lease, LeaseStore, LeaseTable, Term } from './types.ts';

export interface ElectorOptions {
  source: string;
  /** Made anew for each start of a process. */
  me: string;
  leaseMs: number;
  store: LeaseStore;
  clock: Clock;
  log: Logger;
  /** A bucket is mine now: work on it. */
  onGained(term: Term): void;
  /** It is no longer mine, and it was not given back: stop as soon as possible. */
  onLost(term: Term): void;
  /** Is former work on this bucket not finished yet? Then it is not taken. */
  isBusy(bucket: number): boolean;
  /** It is to be given back: resolves when nothing of it is in flight. */
  finish(term: Term): Promise<void>;
  /** Each time the table was read. Throws where this relay must not work on it (as it was made for other settings). */
  onTable?(table: LeaseTable, readStartedMs: number): void;
}

interface HeldTerm extends Term {
  trustedUntilMs: number;
}

/**
 * Keeps this relay's share of a source's buckets; relay/lease/README.md says how and why. All knowledge comes from one read
 * of the whole table in each round.
 */
export class Elector {
  readonly #options: ElectorOptions;
  readonly #held = new Map<number, HeldTerm>();
  readonly #giving = new Set<number>();
  readonly #wake = new Wake();
  readonly #renewEveryMs: number;
  readonly #observeMs: number;
  #renewDueMs = Number.NEGATIVE_INFINITY;
  #leaving = false;
  #stopping = false;
  #running: Promise<void> = Promise.resolve();
  #table: LeaseTable | null = null;
  #readStartedMs = Number.NEGATIVE_INFINITY;
  /** Why buckets that were asked for last were free. */
  #taken: ReadonlyMap<number, string> = new Map();
  #failuresInARow = 0;
  #lastError: { message: string; code: string; atMs: number } | null = null;

  constructor(options: ElectorOptions) {
    this.#options = options;
    this.#renewEveryMs = options.leaseMs / 3;
    this.#observeMs = Math.min(500, options.leaseMs / 4);
  }

  /** The last read of the table; null before the first. */
  get table(): LeaseTable | null {
    return this.#table;
  }

  /** Monotonic ms just before the last read that was answered. */
  get readStartedMs(): number {
    return this.#readStartedMs;
  }

  get lastError(): { message: string; code: string; atMs: number } | null {
    return this.#lastError;
  }

  held(): readonly Term[] {
    return [...this.#held.values()];
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Another look at once: somebody said that something changed. */
  wake(): void {
    this.#wake.signal();
  }

  /** Lets the others have the whole, finishes what is in flight, gives every bucket back; renews them meanwhile. */
  async stop(): Promise<void> {
    if (this.#leaving) return this.#running;
    this.#leaving = true;
    this.#wake.signal();
    await this.#running;
  }

  /** Ends at once and gives nothing back: the leases run out by themselves. */
  abandon(): void {
    this.#leaving = true;
    this.#stopping = true;
    this.#wake.signal();
  }

  async #run(): Promise<void> {
    let left = false;
    while (!this.#stopping) {
      try {
        if (this.#leaving && !left) {
          await this.#options.store.leave(this.#options.me);
          left = true;
        }
        await this.#round();
        this.#failuresInARow = 0;
        if (left && this.#held.size === 0) return;
      } catch (error) {
        this.#failed(error);
        if (this.#leaving && this.#held.size === 0) return;
      }
      await this.#wake.wait(this.#options.clock, this.#pauseMs());
    }
  }

  async #round(): Promise<void> {
    const { store, me, leaseMs, clock } = this.#options;
    if (clock.monotonicMs() >= this.#renewDueMs) {
      const startedMs = clock.monotonicMs();
      // The member row first: so it never outlives the leases, and the shares of the others grow in time.
      if (!this.#leaving) await store.heartbeat(me, leaseMs);
      if (this.#held.size > 0) await store.renew(me, leaseMs);
      this.#renewDueMs = startedMs + this.#renewEveryMs;
    }
    const wanted = await this.#look();
    if (wanted.length > 0) {
      this.#taken = new Map(wanted.map((bucket) => [bucket, this.#whyFree(bucket)]));
      await store.acquire(me, wanted, leaseMs);
      await this.#look();
    }
  }

  /** Reads the table, follows what it says, and answers what to take. */
  async #look(): Promise<number[]> {
    const { store, clock, source, me, leaseMs, log, onTable, isBusy } = this.#options;
    const readStartedMs = clock.monotonicMs();
    const table = await store.readLeases();
    onTable?.(table, readStartedMs);
    this.#table = table;
    this.#readStartedMs = readStartedMs;
    const giving = new Set(this.#giving);
    for (const { bucket } of table.leases) if (!this.#held.has(bucket) && isBusy(bucket)) giving.add(bucket);
    const decision = decide({ source, me, table, giving, leaving: this.#leaving });
    this.#follow(decision.mine, (remainingMs) => trustedUntilMs(readStartedMs, remainingMs, leaseMs));
    if (decision.release.length > 0) {
      const why = this.#leaving ? 'stopping' : 'others have less than their share';
      log.info(`${source}: giving back ${decision.release.join(', ')} (${why}).`);
    }
    for (const bucket of decision.release) this.#giveBack(bucket);
    return decision.acquire;
  }

  #follow(mine: readonly Lease[], trustedUntil: (remainingMs: number) => number): void {
    const { source, log, onGained, onLost } = this.#options;
    const leases = new Map(mine.map((lease) => [lease.bucket, lease]));
    const lost: Term[] = [];
    for (const term of [...this.#held.values()]) {
      const lease = leases.get(term.bucket);
      if (lease?.epoch === term.epoch) {
        term.trustedUntilMs = trustedUntil(lease.remainingMs);
        continue;
      }
      term.trustedUntilMs = Number.NEGATIVE_INFINITY;
      this.#held.delete(term.bucket);
      if (this.#giving.has(term.bucket)) continue;
      lost.push(term);
      onLost(term);
    }
    if (lost.length > 0) log.warn(`${source}: lost: ${inWords(lost, (bucket) => this.#whoHas(bucket))}.`);
    const gained: Term[] = [];
    for (const lease of mine) {
      if (this.#held.has(lease.bucket) || this.#giving.has(lease.bucket) || this.#leaving) continue;
      const term = this.#termOf(lease, trustedUntil(lease.remainingMs));
      this.#held.set(lease.bucket, term);
      gained.push(term);
      onGained(term);
    }
    if (gained.length === 0) return;
    const why = (bucket: number) => this.#taken.get(bucket) ?? 'mine still';
    log.info(`${source}: mine from now on: ${inWords(gained, why)}.`);
  }

  #termOf(lease: Lease, trustedUntil: number): HeldTerm {
    const { clock } = this.#options;
    return {
      bucket: lease.bucket,
      epoch: lease.epoch,
      trustedUntilMs: trustedUntil,
      isTrusted() {
        return clock.monotonicMs() < this.trustedUntilMs;
      },
    };
  }

  #giveBack(bucket: number): void {
    const { store, me, finish, source, log } = this.#options;
    const term = this.#held.get(bucket);
    if (!term) return;
    this.#giving.add(bucket);
    finish(term)
      .then(() => store.release(me, bucket, term.epoch))
      .then(
        () => log.debug(`${source}.${bucket}: given back, term ${term.epoch}.`),
        (error) => this.#failed(error),
      )
      .finally(() => {
        // Where giving back failed, the next read shows it as mine still: it starts anew, or is given back again.
        this.#held.delete(bucket);
        this.#giving.delete(bucket);
        this.#wake.signal();
      });
  }

  #whyFree(bucket: number): string {
    const owner = this.#table?.leases.find((one) => one.bucket === bucket)?.owner;
    return owner ? `the lease of ${owner} ran out` : 'nobody had it';
  }

  #whoHas(bucket: number): string {
    const lease = this.#table?.leases.find((one) => one.bucket === bucket);
    return !lease?.owner || lease.remainingMs <= 0 ? 'ran out' : `now ${lease.owner}'s`;
  }

  #pauseMs(): number {
    const { clock, me } = this.#options;
    if (this.#failuresInARow > 0) return Math.min(1_000, this.#observeMs * this.#failuresInARow);
    const foreign = (this.#table?.leases ?? []).filter((lease) => lease.owner !== null && lease.owner !== me);
    const members = (this.#table?.members ?? []).filter((member) => member.id !== me);
    const handover = !this.#leaving && this.#table !== null && isSomebodyLeaving(this.#table);
    return pauseMs({
      nowMs: clock.monotonicMs(),
      readStartedMs: this.#readStartedMs,
      renewalDueMs: this.#renewDueMs,
      observeMs: handover ? this.#observeMs / 5 : this.#observeMs,
      foreignRemainingMs: [...foreign, ...members].map(({ remainingMs }) => remainingMs),
    });
  }

  #failed(error: unknown): void {
    const { log, source, clock } = this.#options;
    const code = (error as { code?: string } | null)?.code ?? 'UNEXPECTED';
    const message = error instanceof Error ? error.message : String(error);
    this.#failuresInARow++;
    this.#lastError = { message, code, atMs: clock.wallMs() };
    log[this.#failuresInARow === 1 ? 'warn' : 'debug'](`${source}: the leases: ${code} ${message}`);
  }
}

/** Buckets of one reason are told together: `0, 1 (terms 4, 7: the lease of a ran out); 2 (term 1: nobody had it)`. */
function inWords(terms: readonly Term[], why: (bucket: number) => string): string {
  return [...Map.groupBy(terms, ({ bucket }) => why(bucket))]
    .map(([reason, alike]) => {
      const epochs = new Set(alike.map(({ epoch }) => epoch)).size === 1 ? alike.slice(0, 1) : alike;
      const term = epochs.length === 1 ? 'term' : 'terms';
      const list = (numbers: readonly number[]) => numbers.join(', ');
      return `${list(alike.map(({ bucket }) => bucket))} (${term} ${list(epochs.map(({ epoch }) => epoch))}: ${reason})`;
    })
    .join('; ');
}
