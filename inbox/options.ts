import type { Clock } from '../clock/clock.ts';
import type { Catalogue } from '../events/catalogue.ts';
import type { KafkaPort, Logger, TransactionalKafkaPort } from '../kafka/port.ts';
import type { Baseline } from './apply.ts';
import type { AskProducer } from './gaps/answer.ts';
import type { InboxMetrics } from './metrics.ts';
import type { InboxRetention } from './retention/settings.ts';
import type { InboxStore } from './store/store.ts';
import type { AfterCommit, InboxHandlers, InboxMode } from './types.ts';

export interface InboxOptions {
  /** The consumer's name, for logs and status. What is stored under it is the store's affair. */
  group: string;
  /** The Kafka group. */
  groupId: string;
  mode: InboxMode;
  topics: readonly string[];
  catalogue: Catalogue;
  handlers: InboxHandlers;
  afterCommit?: AfterCommit | undefined;
  store: InboxStore;
  /** With `lastCommitted` markers of transactions are told from events; without it they are guessed by their staying. */
  kafka: Pick<KafkaPort, 'consumer' | 'admin'> & Partial<Pick<TransactionalKafkaPort, 'lastCommitted'>>;
  clock?: Clock;
  metrics?: InboxMetrics;
  logger?: Logger;
  random?(): number;
  /** Messages in one transaction at most. Default 1,000. */
  batchSize?: number;
  /** Partitions worked on at once, each with a database connection. Default 4. */
  concurrency?: number;
  /** Default 5. */
  handlerAttempts?: number;
  /** Default 10,000; below the `wait_timeout` of the inbox's database sessions (15 s). */
  handlerTimeoutMs?: number;
  /** Parked events of one stream at most (sequence inbox). Default 1,000. */
  parkedLimit?: number;
  /** Where the streams of a new sequence inbox begin. `first-seen`: at the first version that comes. Default `first-version`. */
  baseline?: Baseline;
  /** Asks a producer for a missing version (sequence inbox). Without it a gap is an alarm, and waits. */
  askProducer?: AskProducer | undefined;
  /** A gap that is older is asked for. Default 30,000. */
  gapLimitMs?: number;
  /** How often gaps are looked after. Default 5,000. */
  gapPollMs?: number;
  /** How long what is kept, and what is checked against the topics at the start. Without it nothing is removed. */
  retention?: InboxRetention | undefined;
  /** Parked events wait for so long at most; then they are dead letters. Default: `retention.parkedMs`, else 7 days. */
  parkedMs?: number;
  /** A consumer without any sign of life for so long is made anew. Default 60,000. */
  stallMs?: number;
  /** How often the ends of the partitions are asked for. Default 2,000. */
  lagPollMs?: number;
  sessionTimeoutMs?: number;
  heartbeatIntervalMs?: number;
  maxWaitMs?: number;
  maxBytesPerPartition?: number;
}
