import type { Clock } from '../clock/clock.ts';
import type { Logger } from '../kafka/port.ts';
import type { BucketLoopSettings } from './delivery/bucket-options.ts';
import type { Delivery } from './delivery/delivery.ts';
import type { RelayMetrics } from './metrics.ts';
import type { Janitor } from './retention/janitor.ts';
import type { SourceStore, StoredEvent } from './sources/store.ts';

export interface SourceRelayOptions {
  name: string;
  me: string;
  topics: readonly string[];
  route(event: StoredEvent): { topic: string; partition: number };
  /** Resolves where all topics are as expected; throws `RelayConfigError` where they are not, else what went wrong. */
  checkTopics(): Promise<void>;
  buckets: number;
  leaseMs: number;
  shortestPollMs: number;
  longestPollMs: number;
  loop: BucketLoopSettings;
  store: SourceStore;
  delivery(bucket: number, incarnation: () => string): Delivery;
  /** Keeps the partitions; one relay at a time may act. None: retention is off. */
  janitor?(mayAct: () => boolean): Janitor;
  clock: Clock;
  log: Logger;
  metrics: RelayMetrics;
}
