import { createMysqlBlocked } from '../blocked/mysql-blocked.ts';
import type { LeaseTable } from '../lease/types.ts';
import { Connections } from './connections.ts';
import { digits } from './digits.ts';
import { SourceError } from './errors.ts';
import * as sql from './statements.ts';
import type { Backlog, PendingRow, SourceStore, StoredEvent, UnsentEvent } from './store.ts';

export interface MysqlStoreOptions {
  url: string;
  /** Connections for events; two more are kept for leases, which must not queue behind them. Default 4. */
  connections?: number;
  /** Longest wait for the answer to a statement about leases. */
  leaseTimeoutMs: number;
  /** Longest wait for the answer to any other statement. Default 10,000. */
  statementTimeoutMs?: number;
}

/** Counting unsent rows stops here. */
export const countLimit = 100_000;

/** A source in MySQL 8.4 or MariaDB, with the tables of `migrations/outbox`. Connects when it is first used. */
export function createMysqlStore(options: MysqlStoreOptions): SourceStore {
  const leases = new Connections({ url: options.url, limit: 2, statementTimeoutMs: options.leaseTimeoutMs });
  const events = new Connections({
    url: options.url,
    limit: Math.max(2, options.connections ?? 4),
    statementTimeoutMs: options.statementTimeoutMs ?? 10_000,
  });
  const micros = (ms: number) => Math.round(ms * 1000);

  return {
    ...createMysqlBlocked(events),
    async readLeases() {
      return leaseTable(await leases.rows<LeaseRow>('reading the leases', sql.readLeases));
    },
    async heartbeat(member, ttlMs) {
      await leases.change('the member row', sql.heartbeat, [member, micros(ttlMs)]);
    },
    async renew(owner, leaseMs) {
      await leases.change('renewing the leases', sql.renewLeases, [micros(leaseMs), owner]);
    },
    async acquire(owner, buckets, leaseMs) {
      if (buckets.length === 0) return;
      await leases.change('taking leases', sql.acquireLeases, [owner, micros(leaseMs), buckets]);
    },
    async release(owner, bucket, epoch) {
      await leases.change('giving a lease back', sql.releaseLease, [bucket, owner, epoch]);
    },
    async leave(member) {
      await leases.change('removing the member row', sql.leave, [member]);
    },

    async readHead(bucket, limit, withoutKeys) {
      const statement = sql.readHead(withoutKeys.map(digits));
      const rows = await events.rows<[string, string, string]>('reading unsent rows', statement, [bucket, limit]);
      return rows.map(([id, day, keyHash]) => ({ id, day, keyHash }));
    },
    async fetch(rows) {
      const found: StoredEvent[] = [];
      for (const [day, ids] of idsByDay(rows)) {
        const part = await events.rows<EventRow>('fetching events', sql.fetchEvents(ids), [day]);
        for (const row of part) found.push(storedEvent(row));
      }
      return found;
    },
    async readFirst(asks) {
      const doing = 'reading unsent events';
      const largest = Math.max(...asks.map(({ limit }) => limit));
      const buckets = asks.map(({ bucket }) => bucket);
      let rows = await events.rows<FirstRow>(doing, sql.readSome, [buckets, largest]);
      // Some bucket has many rows, which may stand before those of others.
      if (rows.length === largest && asks.length > 1) {
        const values = asks.flatMap(({ bucket, limit }) => [bucket, limit]);
        rows = await events.rows<FirstRow>(doing, sql.readFirst(asks.length), values);
      }
      const found = new Map(asks.map(({ bucket }) => [bucket, [] as UnsentEvent[]]));
      for (const [bucket, keyHash, day, ...event] of rows) {
        found.get(bucket)!.push({
          row: { id: event[0], day, keyHash },
          event: event[1] === null ? null : storedEvent(event as EventRow),
        });
      }
      // A union keeps no order.
      for (const list of found.values()) list.sort((a, b) => compareIds(a.row.id, b.row.id));
      return asks.map(({ bucket, limit }) => found.get(bucket)!.slice(0, limit));
    },
    async delete(parts) {
      const some = parts.filter(({ ids }) => ids.length > 0);
      if (some.length === 0) return 0;
      const ids = some.map((part) => part.ids.map(digits));
      const buckets = some.map(({ bucket }) => bucket);
      const deleted = await events.change('deleting sent rows', sql.deletePending(ids), buckets);
      if (deleted === ids.flat().length) return deleted;
      // Gone already, or the rows of keys that are blocked.
      return deleted + (await events.change('deleting sent rows', sql.deleteBlocked(ids), buckets));
    },
    async bucketsWithWork() {
      return (await events.rows<[number]>('looking for unsent rows', sql.bucketsWithWork)).map(([bucket]) => bucket);
    },
    async readBacklog() {
      const oldest = await events.rows<[number, string | null]>('reading the backlog', sql.oldestUnsent);
      const backlog: Backlog = {
        pending: 0,
        blocked: 0,
        dead: 0,
        blockedKeys: 0,
        deadKeys: 0,
        more: false,
        oldestMs: new Map(oldest.map(([bucket, waited]) => [bucket, Math.max(0, Number(waited ?? 0) / 1000)])),
      };
      const counted = await events.rows<[kind: 'rows' | 'keys', state: number, count: string]>(
        'counting the backlog',
        sql.countUnsent,
        [countLimit + 1],
      );
      for (const [kind, state, count] of counted) {
        const dead = state === 2;
        if (kind === 'keys') backlog[dead ? 'deadKeys' : 'blockedKeys'] += Number(count);
        else backlog[state === 0 ? 'pending' : dead ? 'dead' : 'blocked'] += Number(count);
      }
      backlog.more = backlog.pending + backlog.blocked + backlog.dead > countLimit;
      return backlog;
    },

    async close() {
      await Promise.all([leases.close(), events.close()]);
    },
  };
}

type LeaseRow = [kind: string, number: number | string, name: string | null, epoch: string, micros: string];

function leaseTable(rows: readonly LeaseRow[]): LeaseTable {
  const meta = rows.find(([kind]) => kind === 'meta');
  if (!meta) throw new SourceError('SOURCE_NOT_MIGRATED', 'outbox_meta is empty: the migrations have not run');
  return {
    leases: rows
      .filter(([kind]) => kind === 'lease')
      .map(([, bucket, owner, epoch, micros]) => ({
        bucket: Number(bucket),
        owner,
        epoch: Number(epoch),
        remainingMs: Number(micros) / 1000,
      }))
      .sort((a, b) => a.bucket - b.bucket),
    members: rows
      .filter(([kind]) => kind === 'member')
      .map(([, , id, , micros]) => ({ id: id!, remainingMs: Number(micros) / 1000 })),
    databaseMs: Number(meta[4]) / 1000,
    incarnation: meta[2]!,
    buckets: Number(meta[1]),
  };
}

type FirstRow = [bucket: number, keyHash: string, day: string, ...event: EventRow | [id: string, eventId: null]];

type EventRow = [
  id: string,
  eventId: Buffer,
  aggregateType: Buffer,
  aggregateId: Buffer,
  version: string,
  eventType: Buffer,
  schemaVersion: number,
  payload: Buffer,
  headers: Buffer | null,
  createdAt: string,
];

function storedEvent(row: EventRow): StoredEvent {
  return {
    id: String(row[0]),
    eventId: uuid(row[1]),
    aggregateType: row[2].toString('utf8'),
    aggregateId: row[3].toString('utf8'),
    version: String(row[4]),
    eventType: row[5].toString('utf8'),
    schemaVersion: row[6],
    payload: row[7],
    traceparent: row[8] === null ? null : traceparentIn(row[8]),
    createdAt: new Date(`${row[9].slice(0, 10)}T${row[9].slice(11, 23)}Z`),
  };
}

/** A trace is not worth an event: what can't be read is left out. */
function traceparentIn(headers: Buffer): string | null {
  try {
    const { traceparent } = JSON.parse(headers.toString('utf8')) as { traceparent?: unknown };
    return typeof traceparent === 'string' ? traceparent : null;
  } catch {
    return null;
  }
}

function uuid(bytes: Buffer): string {
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

function idsByDay(rows: readonly PendingRow[]): Map<string, string[]> {
  const days = new Map<string, string[]>();
  for (const { id, day } of rows) {
    const ids = days.get(day);
    if (ids) ids.push(digits(id));
    else days.set(day, [digits(id)]);
  }
  return days;
}

/** Ids are decimal: the longer one is the greater one. */
function compareIds(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : 1);
}
