import type { Clock } from '../../clock/clock.ts';
import type { Lease } from '../lease/types.ts';
import { SourceError } from '../sources/errors.ts';
import type { PendingRow, SourceStore, StoredEvent } from '../sources/store.ts';
import { FakeBlocked } from './fake-blocked.ts';

export type StoreCall = Exclude<keyof SourceStore, 'close'>;

/** What a test does to a call: nothing, refuse it, do it and lose the answer, or never answer (doing it or not). */
export type StoreFault = 'refused' | 'answer lost' | 'hangs undone' | 'hangs done' | null;

/**
 * The outbox tables of one source in memory, with the same meaning as the MySQL store: every call is one atomic step in the
 * middle of its duration. `day` is fixed; bucket = key modulo buckets.
 */
export class FakeDatabase {
  readonly leases: { bucket: number; owner: string | null; epoch: number; expiresMs: number }[];
  readonly members = new Map<string, number>();
  readonly pending = new Map<number, { row: PendingRow; bucket: number; state: number }>();
  readonly blocked: FakeBlocked;
  readonly events = new Map<string, StoredEvent>();
  readonly deletes: { relay: string; ids: string[] }[] = [];
  readonly calls: { relay: string; call: StoreCall }[] = [];
  /** Every owner of every term, as it was taken. */
  readonly terms: { bucket: number; epoch: number; owner: string }[] = [];
  incarnation = '00000000-0000-4000-8000-000000000001';
  latencyMs = 1;
  fault: (relay: string, call: StoreCall) => StoreFault = () => null;
  /** Ms that a call takes longer, before it is carried out. */
  slowMs: (relay: string, call: StoreCall) => number = () => 0;
  #nextId = 1;
  readonly #versions = new Map<string, number>();
  readonly #clock: Clock;
  readonly #atOnce: boolean;

  /** `atOnce`: calls take no time and nothing happens to them; whoever calls sees to that. */
  constructor(clock: Clock, buckets = 8, atOnce = false) {
    this.#clock = clock;
    this.#atOnce = atOnce;
    this.blocked = new FakeBlocked(this, clock);
    this.leases = Array.from({ length: buckets }, (_, bucket) => ({ bucket, owner: null, epoch: 0, expiresMs: 0 }));
  }

  /** Takes an id and a version, as a transaction does before its commit. `commit()` makes the rows visible. */
  begin(key: number): { id: string; commit(): void } {
    const id = this.nextId();
    const version = (this.#versions.get(String(key)) ?? 0) + 1;
    this.#versions.set(String(key), version);
    const createdAt = new Date(this.#clock.wallMs());
    return {
      id: String(id),
      commit: () => {
        const row = { id: String(id), day: '2026-01-01', keyHash: String(key) };
        this.pending.set(id, { row, bucket: key % this.leases.length, state: 0 });
        this.events.set(row.id, {
          id: row.id,
          eventId: `00000000-0000-7000-8000-${String(id).padStart(12, '0')}`,
          aggregateType: 'article',
          aggregateId: String(key),
          version: String(version),
          eventType: 'ArticleLiked',
          schemaVersion: 1,
          payload: Buffer.from(JSON.stringify({ version })),
          traceparent: null,
          createdAt,
        });
      },
    };
  }

  /** Gives out so many ids, whatever becomes of them; answers the first. */
  nextId(count = 1): number {
    const first = this.#nextId;
    this.#nextId += count;
    return first;
  }

  insert(key: number, count = 1): void {
    for (let index = 0; index < count; index++) this.begin(key).commit();
  }

  ownerOf(bucket: number): string | null {
    const lease = this.leases[bucket]!;
    return lease.expiresMs > this.#clock.monotonicMs() ? lease.owner : null;
  }

  /** The database as one relay sees it. */
  store(relay: string): SourceStore {
    const call = <T>(name: StoreCall, work: () => T): Promise<T> => this.#call(relay, name, work);
    return {
      ...this.blocked.store(call),
      readLeases: () =>
        call('readLeases', () => ({
          leases: this.leases.map(
            (lease): Lease => ({
              bucket: lease.bucket,
              owner: lease.owner,
              epoch: lease.epoch,
              remainingMs: this.#left(lease.expiresMs),
            }),
          ),
          members: [...this.members].map(([id, expiresMs]) => ({ id, remainingMs: this.#left(expiresMs) })),
          databaseMs: this.#clock.wallMs(),
          incarnation: this.incarnation,
          buckets: this.leases.length,
        })),
      heartbeat: (member, ttlMs) =>
        call('heartbeat', () => void this.members.set(member, this.#clock.monotonicMs() + ttlMs)),
      renew: (owner, leaseMs) =>
        call('renew', () => {
          for (const lease of this.leases)
            if (lease.owner === owner) lease.expiresMs = this.#clock.monotonicMs() + leaseMs;
        }),
      acquire: (owner, buckets, leaseMs) =>
        call('acquire', () => {
          for (const lease of this.leases) {
            if (!buckets.includes(lease.bucket) || (lease.owner !== null && this.#left(lease.expiresMs) > 0)) continue;
            lease.owner = owner;
            lease.epoch++;
            lease.expiresMs = this.#clock.monotonicMs() + leaseMs;
            this.terms.push({ bucket: lease.bucket, epoch: lease.epoch, owner });
          }
        }),
      release: (owner, bucket, epoch) =>
        call('release', () => {
          const lease = this.leases[bucket]!;
          if (lease.owner !== owner || lease.epoch !== epoch) return;
          lease.owner = null;
          lease.expiresMs = this.#clock.monotonicMs();
        }),
      leave: (member) => call('leave', () => void this.members.delete(member)),
      readHead: (bucket, limit, withoutKeys) =>
        call('readHead', () =>
          this.#rows(bucket)
            .filter(({ keyHash }) => !withoutKeys.includes(keyHash))
            .slice(0, limit),
        ),
      fetch: (rows) => call('fetch', () => rows.flatMap(({ id }) => this.events.get(id) ?? []).reverse()),
      readFirst: (asks) =>
        call('readFirst', () =>
          asks.map(({ bucket, limit }) =>
            this.#rows(bucket)
              .slice(0, limit)
              .map((row) => ({ row, event: this.events.get(row.id) ?? null })),
          ),
        ),
      delete: (parts) =>
        call('delete', () => {
          let deleted = 0;
          for (const { bucket, ids } of parts) {
            this.deletes.push({ relay, ids: [...ids] });
            for (const id of ids) {
              if (this.pending.get(Number(id))?.bucket === bucket && this.pending.delete(Number(id))) deleted++;
            }
          }
          return deleted;
        }),
      bucketsWithWork: () =>
        call('bucketsWithWork', () =>
          this.leases
            .map(({ bucket }) => bucket)
            .filter(
              (bucket) =>
                this.#hasRows(bucket) ||
                [...this.blocked.keys.values()].some((key) => key.bucket === bucket && key.request !== null),
            ),
        ),
      readBacklog: () =>
        call('readBacklog', () => ({
          pending: this.#count(0),
          blocked: this.#count(1),
          dead: this.#count(2),
          blockedKeys: [...this.blocked.keys.values()].filter(({ key }) => key.state !== 'dead').length,
          deadKeys: [...this.blocked.keys.values()].filter(({ key }) => key.state === 'dead').length,
          more: false,
          oldestMs: new Map(
            this.leases.flatMap(({ bucket }) => {
              const first = this.#rows(bucket)[0];
              return first
                ? [[bucket, this.#clock.wallMs() - this.events.get(first.id)!.createdAt.getTime()] as const]
                : [];
            }),
          ),
        })),
      close: async () => {},
    };
  }

  #count(state: number): number {
    return [...this.pending.values()].filter((row) => row.state === state).length;
  }

  #rows(bucket: number): PendingRow[] {
    const rows: PendingRow[] = [];
    for (const entry of this.pending.values()) if (entry.bucket === bucket && entry.state === 0) rows.push(entry.row);
    return rows.sort((a, b) => Number(a.id) - Number(b.id));
  }

  #hasRows(bucket: number): boolean {
    for (const entry of this.pending.values()) if (entry.bucket === bucket && entry.state === 0) return true;
    return false;
  }

  #left(expiresMs: number): number {
    return expiresMs - this.#clock.monotonicMs();
  }

  async #call<T>(relay: string, call: StoreCall, work: () => T): Promise<T> {
    if (this.#atOnce) return work();
    this.calls.push({ relay, call });
    const fault = this.fault(relay, call);
    await this.#pause(this.latencyMs / 2 + this.slowMs(relay, call));
    if (fault === 'hangs undone') return new Promise(() => {});
    if (fault === 'refused') throw new SourceError('SOURCE_UNAVAILABLE', 'the server is away');
    const answer = work();
    if (fault === 'hangs done') return new Promise(() => {});
    await this.#pause(this.latencyMs / 2);
    if (fault === 'answer lost') throw new SourceError('SOURCE_UNAVAILABLE', 'the connection was cut');
    return answer;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.after(ms, resolve));
  }
}
