import type { Clock } from '../clock/clock.ts';
import type { KafkaPort, Logger, TransactionalKafkaPort } from '../kafka/port.ts';
import type { BackoffSettings } from './batch/holds.ts';
import type { DeadPolicy } from './blocked/decide.ts';
import type { RelayMetrics } from './metrics.ts';
import type { SourceStore, StoredEvent } from './sources/store.ts';

/** Chooses among several topics. All of them must have the source's number of partitions. */
export interface TopicRule {
  /** Every topic that `choose` can answer: they are checked before the first event is sent. */
  names: readonly string[];
  choose(event: Pick<StoredEvent, 'aggregateType' | 'aggregateId' | 'eventType'>): string;
}

/** One outbox: a database with the tables of `migrations/outbox`. */
export interface RelaySource {
  /** The producing service: CloudEvents' `source`, and the name in logs, metrics and nudges. */
  name: string;
  /** `mysql://user:password@host:port/database` */
  url: string;
  /** Default: `<topicPrefix>.<name>`. */
  topic?: string | TopicRule;
  /** Partitions that its topics must have. Default 12. */
  partitions?: number;
  /** Buckets that its database must have. Default: that of the relay's options. */
  buckets?: number;
  /** Connections for events, beside two for leases. Default 4. */
  connections?: number;
  /** Default: that of the relay's options. */
  retentionDays?: number;
  /** In place of MySQL at `url`. There is no retention then. */
  store?: SourceStore;
}

export type DeliveryMode = 'at-least-once' | 'exactly-once';

export interface RelayOptions {
  sources: readonly RelaySource[];
  /**
   * Where events go. A publisher for each bucket and one admin client are made from it. `exactly-once` needs an adapter that
   * can publish in transactions.
   */
  kafka: Pick<KafkaPort, 'publisher'> &
    Partial<Pick<TransactionalKafkaPort, 'transactionalPublisher' | 'lastCommitted'>> & {
      admin(): Pick<ReturnType<KafkaPort['admin']>, 'describeTopic' | 'close'>;
    };
  /** Name of this process in leases and logs; a random part is added at each start. Default: host and process. */
  id?: string;
  /** Default `hotboard`. Nobody else on the same brokers may relay a source of the same name under it. */
  topicPrefix?: string;
  /**
   * `exactly-once`: a reader of committed messages finds each event in its topic once, and in order. Each batch is a
   * transaction; the topic `<topicPrefix>.<source>.positions` must be there, compacted, with a partition for each bucket.
   * `at-least-once`: an event can be there twice after a fault. Default `at-least-once` (docs/adr/0012-delivery-modes.md).
   */
  delivery?: DeliveryMode;
  /** Default 8. */
  buckets?: number;
  /** How long a bucket stays with a relay that is silent. Default 5,000; at least 500. */
  leaseMs?: number;
  /** Events in a batch at most. Default 1,000. */
  batchSize?: number;
  /** Bytes of payload in a batch, about. Default 4 MiB. */
  batchBytes?: number;
  /** Thin rows read at once at most. Default 10,000. */
  headRows?: number;
  /** Pauses between two looks at idle buckets: right after a batch (default 50), and at most (default 2,000). */
  shortestPollMs?: number;
  longestPollMs?: number;
  /**
   * How long one batch may try at Kafka before it counts as failed; in `exactly-once` also how long brokers let a
   * transaction be open. Default 5,000.
   */
  deliveryTimeoutMs?: number;
  /** Pauses after failures. Default 250 ms doubled up to 10 s. */
  retry?: BackoffSettings;
  /** Failures of one event for its own sake (refused, too large, missing …) after which its key is dead. Default 10: some 4 minutes. */
  maxAttempts?: number;
  /** What becomes of a dead key: it waits for an operator, or a `Skipped` event takes the event's place. Default `block-key`. */
  deadPolicy?: DeadPolicy;
  /**
   * Whole days that sent events stay in the outbox, beside today; older partitions are dropped, and those of days ahead
   * made. 0: neither, somebody else does. Needs ALTER, CREATE, DROP and INSERT on the database's tables. Default 7.
   */
  retentionDays?: number;
  /** Whole days that rows of `outbox_audit` (what operators did) stay. 0: for ever. Needs DELETE on that table. Default 400. */
  auditRetentionDays?: number;
  /** How long `stop` lets work in flight finish before it leaves the rest to others. Default 8,000. */
  stopTimeoutMs?: number;
  logger?: Logger;
  metrics?: RelayMetrics;
  clock?: Clock;
}

/** A mistake in the relay's settings, or a database or topic made for other ones. `message` says what is allowed. */
export class RelayConfigError extends Error {
  override readonly name = 'RelayConfigError';
  readonly code = 'RELAY_CONFIG_INVALID';
  readonly retryable = false;
}

export type CheckedOptions = Required<Omit<RelayOptions, 'id' | 'logger' | 'metrics' | 'clock'>>;

const defaults = {
  topicPrefix: 'hotboard',
  delivery: 'at-least-once',
  buckets: 8,
  leaseMs: 5_000,
  batchSize: 1_000,
  batchBytes: 4 * 2 ** 20,
  headRows: 10_000,
  shortestPollMs: 50,
  longestPollMs: 2_000,
  deliveryTimeoutMs: 5_000,
  retry: { firstMs: 250, longestMs: 10_000 },
  maxAttempts: 10,
  deadPolicy: 'block-key',
  retentionDays: 7,
  auditRetentionDays: 400,
  stopTimeoutMs: 8_000,
} as const;

const deliveryModes: readonly DeliveryMode[] = ['at-least-once', 'exactly-once'];

const ranges: Readonly<Record<string, readonly [from: number, to: number]>> = {
  buckets: [1, 1024],
  leaseMs: [500, 3_600_000],
  batchSize: [1, 10_000],
  batchBytes: [1, 2 ** 30],
  headRows: [1, 1_000_000],
  shortestPollMs: [1, 3_600_000],
  longestPollMs: [1, 3_600_000],
  deliveryTimeoutMs: [1, 3_600_000],
  maxAttempts: [1, 1_000_000],
  retentionDays: [0, 3_650],
  auditRetentionDays: [0, 36_500],
  stopTimeoutMs: [0, 3_600_000],
};

/** Fills in defaults. Throws `RelayConfigError` for the first mistake. */
export function checkOptions(given: RelayOptions): CheckedOptions {
  const options = { ...defaults, ...dropUndefined(given) } as CheckedOptions;
  for (const [name, [from, to]] of Object.entries(ranges)) {
    const value = options[name as keyof CheckedOptions];
    whole(name, value, from, to);
  }
  if (!deliveryModes.includes(options.delivery)) throw wrong('delivery', options.delivery, deliveryModes.join(', '));
  if (options.delivery === 'exactly-once' && !(options.kafka.transactionalPublisher && options.kafka.lastCommitted)) {
    throw new RelayConfigError("The relay's delivery is exactly-once; its kafka must have transactionalPublisher too.");
  }
  if (!['block-key', 'skip-key'].includes(options.deadPolicy)) {
    throw wrong('deadPolicy', options.deadPolicy, 'block-key, skip-key');
  }
  if (options.shortestPollMs > options.longestPollMs) {
    throw wrong('shortestPollMs', options.shortestPollMs, `up to longestPollMs (${options.longestPollMs})`);
  }
  if (!Array.isArray(options.sources) || options.sources.length === 0) {
    throw wrong('sources', options.sources, 'a list with at least one source');
  }
  const names = new Set<string>();
  for (const source of options.sources) {
    if (!/^[A-Za-z0-9._-]{1,60}$/.test(source.name))
      throw wrong('source.name', source.name, 'text like ^[A-Za-z0-9._-]{1,60}$');
    if (names.has(source.name)) throw wrong('sources', source.name, 'each name once');
    names.add(source.name);
    if (!source.store && !/^mysql:\/\/.+\/.+/.test(source.url)) {
      throw new RelayConfigError(`The url of source ${source.name} must be mysql://user:password@host:port/database.`);
    }
    if (typeof source.topic === 'object' && source.topic.names.length === 0) {
      throw wrong(`${source.name}.topic.names`, [], 'a list with at least one topic');
    }
    if (source.partitions !== undefined) whole(`${source.name}.partitions`, source.partitions, 1, 100_000);
    if (source.buckets !== undefined) whole(`${source.name}.buckets`, source.buckets, 1, 1024);
    if (source.retentionDays !== undefined) whole(`${source.name}.retentionDays`, source.retentionDays, 0, 3_650);
  }
  return options;
}

function whole(name: string, value: unknown, from: number, to: number): void {
  if (!Number.isInteger(value) || (value as number) < from || (value as number) > to) {
    throw wrong(name, value, `a whole number from ${from} to ${to}`);
  }
}

function wrong(name: string, value: unknown, allowed: string): RelayConfigError {
  return new RelayConfigError(`The relay's ${name} is ${JSON.stringify(value)}; allowed: ${allowed}.`);
}

function dropUndefined<T extends object>(given: T): Partial<T> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Partial<T>;
}
