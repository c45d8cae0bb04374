import type { DeadPolicy } from './blocked/decide.ts';
import type { BlockedState } from './blocked/store.ts';
import type { BucketState } from './delivery/bucket-loop.ts';
import type { DeliveryMode } from './options.ts';
import type { RetentionStatus } from './retention/janitor.ts';

export interface ErrorNote {
  code: string;
  message: string;
  /** ISO time by this process's clock. */
  at: string;
}

export interface BucketStatus {
  bucket: number;
  owner: string | null;
  epoch: number;
  /** What is left of the lease, in ms; 0 where nobody has it. */
  leaseRemainingMs: number;
  /** Does the relay that answers have it? */
  heldHere: boolean;
  /** Only where it is held here. */
  state: BucketState | null;
  /** Keys that wait because their partition failed; only where it is held here. */
  heldKeys: number;
  /** Keys that are blocked or dead; only where it is held here. */
  blockedKeys: number;
  oldestUnsentAgeMs: number;
  /** Work waits here, and nobody has had it for longer than a takeover takes. */
  abandoned: boolean;
  lastError: ErrorNote | null;
}

/** A key whose event fails for its own sake, as the source's database has it. */
export interface KeyStatus {
  bucket: number;
  /** The aggregate's id; empty where the event is missing. */
  key: string;
  /** Stands for the key in the tables, and in `outbox.retry` where `key` is empty. */
  keyHash: string;
  state: BlockedState;
  /** Failures since it was blocked, or since an operator gave it a new start. */
  attempts: number;
  /** Null where it waits for an operator. */
  nextAttemptInMs: number | null;
  blockedForMs: number;
  /** Row whose event fails: `id` of `outbox.show`. */
  rowId: string | null;
  errorCode: string | null;
  lastError: string | null;
}

export type SourceState =
  /** Its database or Kafka has not answered yet. */
  | 'waiting'
  /** Its database or topic was made for other settings: nothing is sent. */
  | 'refused'
  | 'running'
  | 'stopping'
  | 'stopped';

export interface SourceStatus {
  source: string;
  state: SourceState;
  topics: readonly string[];
  incarnation: string | null;
  /** Relays that take part. */
  members: readonly string[];
  buckets: BucketStatus[];
  /** Unsent rows, and the keys that some of them wait for; `more`: counting stopped at its limit. Null before the first answer. */
  backlog: {
    pending: number;
    blocked: number;
    dead: number;
    blockedKeys: number;
    deadKeys: number;
    more: boolean;
  } | null;
  /** Up to 100 blocked and dead keys, of all relays, the longest blocked first. */
  keys: KeyStatus[];
  /** 0: nothing waits. Null before the first answer. */
  oldestUnsentAgeMs: number | null;
  /** As of this relay's last look, at most 5 minutes ago. Null before it, and where retention is off. */
  retention: RetentionStatus | null;
  lastError: ErrorNote | null;
}

export interface RelayStatus {
  /** The name of the answering relay in leases. */
  id: string;
  delivery: DeliveryMode;
  /** What becomes of a key after `maxAttempts` failures of one event. */
  deadPolicy: DeadPolicy;
  maxAttempts: number;
  sources: SourceStatus[];
}

/** For a node's health page. A relay that waits for Kafka or MySQL is degraded, never down: it goes on by itself. */
export interface RelayHealth {
  state: 'up' | 'degraded';
  sources: Readonly<Record<string, SourceState>>;
  /** One line for each thing that is wrong. */
  problems: string[];
}
