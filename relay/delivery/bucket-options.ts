import type { Clock } from '../../clock/clock.ts';
import type { Logger } from '../../kafka/port.ts';
import type { BackoffSettings } from '../batch/holds.ts';
import type { SizeSettings } from '../batch/size.ts';
import type { BlockedSettings } from '../blocked/decide.ts';
import type { BlockedKey, BlockedStore } from '../blocked/store.ts';
import type { Term } from '../lease/types.ts';
import type { RelayMetrics } from '../metrics.ts';
import type { OutboxStore, RowsOfBucket, StoredEvent, UnsentEvent } from '../sources/store.ts';
import type { Delivery } from './delivery.ts';
import type { Together } from './together.ts';

export interface BucketLoopSettings extends SizeSettings {
  /** Thin rows that one read of the head takes at most. */
  headRows: number;
  /** Pauses after a failure of Kafka, and of the database. */
  retry: BackoffSettings;
  /** What becomes of keys whose events fail for their own sake. */
  blocked: BlockedSettings;
}

export interface BucketLoopOptions {
  source: string;
  /** The name in the lease. */
  me: string;
  term: Term;
  store: Pick<OutboxStore, 'readHead' | 'fetch' | 'delete'> & BlockedStore;
  /** Small reads and deletes of all of the source's buckets. */
  together: TogetherStatements;
  delivery: Delivery;
  route(event: StoredEvent): { topic: string; partition: number };
  settings: BucketLoopSettings;
  clock: Clock;
  log: Logger;
  metrics: RelayMetrics;
  /** A batch was acknowledged, wholly or in part: there may be more soon. */
  onActivity(): void;
  /** Ms to add to this process's time of day to get the database's. */
  databaseOffsetMs(): number;
}

export interface TogetherStatements {
  readFirst: Together<{ bucket: number; limit: number }, readonly UnsentEvent[]>;
  delete: Together<RowsOfBucket, void>;
}

export type BucketState = 'sending' | 'idle' | 'waiting to retry' | 'lease in doubt' | 'stopped';

export interface BucketLoopStatus {
  state: BucketState;
  /** Keys that wait for their partition. */
  heldKeys: number;
  blockedKeys: BlockedKey[];
  lastError: { message: string; code: string; atMs: number } | null;
}
