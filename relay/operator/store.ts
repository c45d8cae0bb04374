import type { BlockedState } from '../blocked/store.ts';
import type { EventState, ListParams } from './params.ts';

/** What is known of the key that an event waits for; null where it is not blocked. */
export interface KeyNote {
  state: BlockedState;
  attempts: number;
  /** Null where it waits for an operator. */
  nextAttemptInMs: number | null;
  /** The event that fails; those after it wait. */
  failingId: string | null;
  errorCode: string | null;
  lastError: string | null;
  /** A request that is not carried out yet: its id in the audit. */
  request: string | null;
}

export interface ListedEvent {
  /** The row's id: what `show`, `retry`, `drop` and `edit` take. */
  id: string;
  bucket: number;
  state: EventState | 'sent';
  version: string;
  keyHash: string;
  /** Null where the outbox no longer has the event. */
  eventId: string | null;
  aggregateType: string | null;
  key: string | null;
  type: string | null;
  schemaVersion: number | null;
  /** ISO time by the database's clock. */
  createdAt: string | null;
  blockedBy: KeyNote | null;
}

export interface ShownEvent extends ListedEvent {
  payload: string | null;
  headers: Readonly<Record<string, unknown>> | null;
  /** What was done about its key, the newest first. */
  audit: AuditNote[];
}

export interface AuditNote {
  id: string;
  action: string;
  who: string;
  reason: string | null;
  eventRow: string | null;
  state: string;
  result: string | null;
  requestedAt: string;
  finishedAt: string | null;
}

export interface KeyName {
  bucket: number;
  keyHash: string;
}

export interface NewRequest extends KeyName {
  action: 'retry' | 'drop' | 'edit';
  rowId: string | null;
  who: string;
  reason: string | null;
  /** JSON `{ type, schemaVersion, payload }` of an edited event. */
  after: string | null;
}

/** What operators see and ask for in one source's database. All throw `SourceError`; `request` throws `OperatorError`, too. */
export interface OperatorStore {
  buckets(): Promise<number>;
  /** A page, and one more where there is another page. */
  list(by: ListParams & { bucket: number | null; keyHash: string | null }): Promise<ListedEvent[]>;
  show(id: string, audits: number): Promise<ShownEvent | null>;
  keysToRetry(limit: number): Promise<KeyName[]>;
  /** Writes it down for the bucket's owner. Answers its id. */
  request(wanted: NewRequest): Promise<string>;
  requestStates(ids: readonly string[]): Promise<{ id: string; state: string; result: string | null }[]>;
  close(): Promise<void>;
}
