import type { Clock } from '../../clock/clock.ts';
import { type SkippedPayload, SkippedV1 } from '../../events/skipped.ts';
import {
  type BlockedKey,
  type BlockedStore,
  keyStateOfRows,
  type OperatorRequest,
  type RowState,
  rowStates,
} from '../blocked/store.ts';
import { SourceError } from '../sources/errors.ts';
import type { PendingRow } from '../sources/store.ts';
import type { FakeDatabase } from './fake-database.ts';

type BlockedCall = <T>(name: keyof BlockedStore, work: () => T) => Promise<T>;

/** `outbox_blocked` and `outbox_audit` in memory, with the same meaning as in MySQL. */
export class FakeBlocked {
  readonly keys = new Map<string, { bucket: number; key: BlockedKey; nextAtMs: number; request: string | null }>();
  readonly requests = new Map<
    string,
    OperatorRequest & { payload?: string; outcome: 'requested' | 'done' | 'refused' }
  >();
  readonly skipped: { rowId: string; who: string; reason: string }[] = [];
  readonly #database: FakeDatabase;
  readonly #clock: Clock;

  constructor(database: FakeDatabase, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
  }

  /** What an operator does. */
  request(wanted: Omit<OperatorRequest, 'id'> & { payload?: string }): string {
    const id = String(this.requests.size + 1);
    this.requests.set(id, { ...wanted, id, outcome: 'requested' });
    this.keys.get(wanted.keyHash)!.request = id;
    return id;
  }

  rowsOf(keyHash: string, state: RowState): number {
    return [...this.#database.pending.values()].filter(
      (row) => row.row.keyHash === keyHash && row.state === rowStates[state],
    ).length;
  }

  store(call: BlockedCall): BlockedStore {
    const fenced: <T>(
      name: keyof BlockedStore,
      fence: Parameters<BlockedStore['moveRows']>[0],
      work: () => T,
    ) => Promise<T> = (name, fence, work) =>
      call(name, () => {
        const lease = this.#database.leases[fence.bucket]!;
        const isMine = lease.owner === fence.owner && lease.epoch === fence.epoch;
        if (!isMine || lease.expiresMs <= this.#clock.monotonicMs()) throw new SourceError('SOURCE_NOT_OWNER', name);
        return work();
      });
    const withDue = ({ key, nextAtMs }: { key: BlockedKey; nextAtMs: number }) => ({
      ...key,
      dueInMs: nextAtMs - this.#clock.monotonicMs(),
    });
    const beginAnew = (keyHash: string) => {
      const blocked = this.keys.get(keyHash)!;
      blocked.key = { ...blocked.key, state: 'blocked', attempts: 0 };
      blocked.nextAtMs = this.#clock.monotonicMs();
    };
    return {
      readBlocked: (bucket) =>
        call('readBlocked', () => [...this.keys.values()].filter((one) => one.bucket === bucket).map(withDue)),
      listBlocked: (limit) =>
        call('listBlocked', () =>
          [...this.keys.values()]
            .slice(0, limit)
            .map((one) => ({ ...withDue(one), bucket: one.bucket, blockedForMs: 0 })),
        ),
      saveBlocked: (fence, keys) =>
        fenced('saveBlocked', fence, () => {
          for (const key of keys) {
            this.keys.set(key.keyHash, {
              bucket: fence.bucket,
              key,
              nextAtMs: this.#clock.monotonicMs() + key.dueInMs,
              request: this.keys.get(key.keyHash)?.request ?? null,
            });
          }
        }),
      moveRows: (fence, keyHashes, to, limit) =>
        fenced('moveRows', fence, () => {
          const asked = keyHashes.filter((keyHash) => this.keys.get(keyHash)?.key.state === keyStateOfRows[to]);
          const moving = this.#rows(fence.bucket, asked)
            .filter(({ state }) => state !== rowStates[to])
            .slice(0, limit);
          for (const row of moving) row.state = rowStates[to];
          return moving.length;
        }),
      firstBlockedRows: (bucket, keyHashes) =>
        call('firstBlockedRows', () => {
          const rows = this.#rows(bucket, keyHashes).filter(({ state }) => state !== 0);
          return [...Map.groupBy(rows, ({ row }) => row.keyHash).values()].map(([first]) => first!.row);
        }),
      forgetBlocked: (fence, keyHashes) =>
        fenced('forgetBlocked', fence, () =>
          keyHashes.filter((keyHash) => {
            const known = this.keys.get(keyHash);
            if (known?.key.state === 'unblocking' && known.request === null) this.keys.delete(keyHash);
            return this.keys.has(keyHash);
          }),
        ),
      readRequests: (bucket) =>
        call('readRequests', () =>
          [...this.keys.values()]
            .filter((one) => one.bucket === bucket && one.request !== null)
            .map(({ request }) => this.requests.get(request!)!),
        ),
      carryOut: (fence, { id, keyHash, rowId, action }) =>
        fenced('carryOut', fence, () => {
          const known = this.keys.get(keyHash);
          if (!known) return null;
          known.request = null;
          const request = this.requests.get(id)!;
          if (request.outcome === 'requested') {
            const row = this.#rows(fence.bucket, [keyHash]).find((one) => one.row.id === rowId);
            const possible = known.key.state !== 'unblocking' && (action === 'retry' || row !== undefined);
            request.outcome = possible ? 'done' : 'refused';
            if (possible && action === 'drop') this.#skip(rowId!);
            if (possible && action === 'edit') this.#rewrite(rowId!, { payload: Buffer.from(request.payload!) });
            if (possible) beginAnew(keyHash);
          }
          return withDue(known);
        }),
      skipEvent: (fence, { keyHash, rowId, who, reason }) =>
        fenced('skipEvent', fence, () => {
          if (!this.#database.events.has(rowId)) return false;
          this.skipped.push({ rowId, who, reason });
          this.#skip(rowId);
          beginAnew(keyHash);
          return true;
        }),
    };
  }

  #rows(bucket: number, keyHashes: readonly string[]): { row: PendingRow; bucket: number; state: number }[] {
    return [...this.#database.pending]
      .filter(([, row]) => row.bucket === bucket && keyHashes.includes(row.row.keyHash))
      .sort(([a], [b]) => a - b)
      .map(([, row]) => row);
  }

  #skip(rowId: string): void {
    const { eventId, eventType } = this.#database.events.get(rowId)!;
    const payload: SkippedPayload = { skippedEventId: eventId, skippedType: eventType, reason: 'in the test' };
    this.#rewrite(rowId, { eventType: SkippedV1.type, payload: Buffer.from(JSON.stringify(payload)) });
  }

  #rewrite(rowId: string, by: { eventType?: string; payload: Buffer }): void {
    this.#database.events.set(rowId, { ...this.#database.events.get(rowId)!, ...by });
  }
}
