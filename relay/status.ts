import type { BucketState } from './delivery/bucket-loop.ts';
import type { DeliveryMode } from './options.ts';

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
  /** Keys that wait after a failure; only where it is held here. */
  heldKeys: number;
  oldestUnsentAgeMs: number;
  /** Work waits here, and nobody has had it for longer than a takeover takes. */
  abandoned: boolean;
  lastError: ErrorNote | null;
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
  /** Unsent rows; `more`: counting stopped at its limit. Null before the first answer. */
  backlog: { pending: number; blocked: number; dead: number; more: boolean } | null;
  /** 0: nothing waits. Null before the first answer. */
  oldestUnsentAgeMs: number | null;
  lastError: ErrorNote | null;
}

export interface RelayStatus {
  /** The name of the answering relay in leases. */
  id: string;
  delivery: DeliveryMode;
  sources: SourceStatus[];
}

/** For a node's health page. A relay that waits for Kafka or MySQL is degraded, never down: it goes on by itself. */
export interface RelayHealth {
  state: 'up' | 'degraded';
  sources: Readonly<Record<string, SourceState>>;
  /** One line for each thing that is wrong. */
  problems: string[];
}
