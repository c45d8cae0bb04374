import type { BlockedStore } from '../blocked/store.ts';
import type { LeaseStore } from '../lease/types.ts';

/** A thin row of the unsent events. Ids are decimal strings (64 bits). */
export interface PendingRow {
  id: string;
  /** The partition of the outbox table that holds the event: YYYY-MM-DD. */
  day: string;
  /** Stands for the key: rows of one key share it. */
  keyHash: string;
}

/** An event as it is stored. The payload stays bytes: the relay never parses what it forwards. */
export interface StoredEvent {
  id: string;
  /** UUID */
  eventId: string;
  aggregateType: string;
  aggregateId: string;
  version: string;
  eventType: string;
  schemaVersion: number;
  payload: Buffer;
  traceparent: string | null;
  /** Time of the change by the database's clock. */
  createdAt: Date;
}

export interface Backlog {
  /** Rows that wait to be sent, those of blocked keys, and dead ones. */
  pending: number;
  blocked: number;
  dead: number;
  /** Keys that wait for their next attempt (or are being unblocked), and keys that wait for an operator. */
  blockedKeys: number;
  deadKeys: number;
  /** True where counting stopped at its limit: there are more. */
  more: boolean;
  /** For each bucket with rows that wait: how long the oldest has waited, in ms. */
  oldestMs: ReadonlyMap<number, number>;
}

export interface RowsOfBucket {
  bucket: number;
  ids: readonly string[];
}

/** An unsent row with its event; null where the outbox no longer has it. */
export interface UnsentEvent {
  row: PendingRow;
  event: StoredEvent | null;
}

/** The unsent events of one source. Each call is one statement that commits by itself; all throw `SourceError`. */
export interface OutboxStore {
  /** The oldest unsent rows of a bucket, by id, without those of some keys. */
  readHead(bucket: number, limit: number, withoutKeys: readonly string[]): Promise<PendingRow[]>;
  /** The events of these rows, in any order; what is not there is missing in the answer. */
  fetch(rows: readonly PendingRow[]): Promise<StoredEvent[]>;
  /** The oldest unsent rows of several buckets, each with its event: for few rows at a time. An answer for each ask. */
  readFirst(asks: readonly { bucket: number; limit: number }[]): Promise<UnsentEvent[][]>;
  /** Deletes exactly these rows, of several buckets in one step, whatever state they are in. Answers how many were still there. */
  delete(parts: readonly RowsOfBucket[]): Promise<number>;
  /** Buckets, of any owner, that have unsent rows or a request of an operator. */
  bucketsWithWork(): Promise<number[]>;
  readBacklog(): Promise<Backlog>;
}

/** All that the relay asks of a source's database. */
export interface SourceStore extends LeaseStore, OutboxStore, BlockedStore {
  close(): Promise<void>;
}
