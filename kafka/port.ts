import type { KafkaError } from './errors.ts';

/**
 * The Kafka port: all that this project asks of a Kafka client. Adapters (`kafkajs/`, `platformatic/`) implement it and
 * one contract suite (`contract/`) runs against each of them. Why a port: clients differ in what they lose, in how they
 * place keys on partitions and in what their errors mean (docs/adr/0003).
 */

/** A message to publish. The partition is always explicit: use `partitionOf(key, count)` from `partitioner.ts`. */
export interface OutgoingMessage {
  topic: string;
  partition: number;
  key: Buffer | null;
  value: Buffer | null;
  headers?: Readonly<Record<string, string | Buffer>>;
}

/** All of a batch's messages for this partition are stored by every in-sync replica. */
export interface PartitionAcknowledgement {
  topic: string;
  partition: number;
  /** Offset of the first of these messages, where the broker said it. */
  baseOffset: bigint | null;
  count: number;
}

/** The messages for this partition have no acknowledgement: they may or may not be in the topic. */
export interface PartitionFailure {
  topic: string;
  partition: number;
  error: KafkaError;
  /**
   * Places in the batch (array indexes) of messages that the broker refuses as they are, e.g. for their size: sending them
   * again cannot help. The partition's other messages can be sent again without them. Empty or absent: none is known.
   */
  refused?: readonly number[];
}

/** Each (topic, partition) of the batch is in exactly one of the two lists. */
export interface PublishReport {
  acknowledged: PartitionAcknowledgement[];
  failed: PartitionFailure[];
}

export interface Publisher {
  /**
   * Publishes a batch (acks=all, idempotent) and answers for each partition. Order within a partition is the order of the
   * array. Never throws for a broker's fault: what failed is in `failed`. Throws `KAFKA_CLOSED` after `close()` and
   * `KAFKA_BAD_ARGUMENT` for a malformed batch. Concurrent calls are safe; they are sent one after the other, and the time
   * in the queue counts towards `deliveryTimeoutMs`. A batch of any size may be given: it is cut into requests that a broker
   * takes. What is acknowledged is in the topic at least once: after a fault it may be there twice.
   */
  publish(messages: readonly OutgoingMessage[]): Promise<PublishReport>;
  /** Waits for calls that were accepted before. */
  close(): Promise<void>;
}

/**
 * Publishes in Kafka transactions, fenced by the transactional id. The way to use it (docs/adr/0003, design.md):
 * `fence()`, then check by other means that this process still is the rightful one, then read what the last committed
 * transaction left (`lastCommitted`), and only then `transaction(…)`, as often as they succeed. After any error: from the
 * start. One call at a time; a second one waits for the first.
 */
export interface TransactionalPublisher {
  /**
   * Takes over the transactional id (InitProducerId): a transaction that is still open under it is aborted, and every
   * older holder is refused from now on. When this resolves, the outcome of all older transactions is decided and
   * visible. Throws `KAFKA_UNAVAILABLE`, `KAFKA_NOT_AUTHORIZED`, `KAFKA_CLOSED`.
   */
  fence(): Promise<void>;
  /**
   * Publishes all messages in one transaction: all or none of them are seen by a read-committed consumer. Throws
   * - `KAFKA_FENCE_REQUIRED`: there was no `fence()` yet, or none since the last error; nothing was sent,
   * - `KAFKA_FENCED`: a newer holder of the transactional id exists, or the transaction timed out; not committed,
   * - `KAFKA_COMMIT_UNKNOWN`: it may be committed or not; `fence()` decides it, `lastCommitted` tells,
   * - `KAFKA_MESSAGE_TOO_LARGE`, `KAFKA_UNKNOWN_TOPIC_OR_PARTITION`, `KAFKA_NOT_ACKNOWLEDGED`, `KAFKA_UNAVAILABLE`: not
   *   committed, and never will be once `fence()` was called,
   * - `KAFKA_BAD_ARGUMENT`, `KAFKA_CLOSED`: nothing was sent.
   * After every throw but the last two and `KAFKA_FENCE_REQUIRED`, `fence()` is required. Where the client can tell which
   * partitions or messages are the cause, the error's `failed` names them.
   */
  transaction(messages: readonly OutgoingMessage[]): Promise<{ outcome: 'committed'; report: PublishReport }>;
  /** Waits for the call in progress. Does not abort what others hold. */
  close(): Promise<void>;
}

export interface TransactionalPublisherOptions {
  transactionalId: string;
  /**
   * The broker aborts a transaction that is open for longer, and readers wait for an abandoned one for so long: keep it
   * short. A call of `transaction` gives up sending after this time, too. Default 10,000.
   */
  transactionTimeoutMs?: number;
}

export interface IncomingMessage {
  topic: string;
  partition: number;
  offset: bigint;
  /** The broker's or the producer's time, ms since 1970. */
  timestampMs: number;
  key: Buffer | null;
  value: Buffer | null;
  headers: Readonly<Record<string, Buffer>>;
  /** A header as UTF-8 text, undefined where there is none: where an adapter has that without a buffer for each. */
  headerText?(name: string): string | undefined;
}

export interface IncomingBatch {
  topic: string;
  partition: number;
  messages: readonly IncomingMessage[];
  /** Offset after the last message of the partition, as of this fetch. */
  highWatermark: bigint;
}

export interface BatchContext {
  /**
   * False as soon as the partition is (or may be) somebody else's: stop working, do not commit. While a rebalance is only
   * announced it stays true, as nobody else can have the partition yet. `stop()` lets work in flight finish: it turns
   * false there only after `stopTimeoutMs`.
   */
  isOwner(): boolean;
  /** Aborted when `isOwner()` turns false. */
  signal: AbortSignal;
}

export interface TopicPartition {
  topic: string;
  partition: number;
}

export interface ConsumerOptions {
  groupId: string;
  topics: readonly string[];
  /** Members that are silent for so long lose their partitions. Default 10,000. */
  sessionTimeoutMs?: number;
  heartbeatIntervalMs?: number;
  rebalanceTimeoutMs?: number;
  maxWaitMs?: number;
  maxBytesPerPartition?: number;
  /** Partitions worked on at the same time; batches of one partition never overlap. Default 3. */
  concurrency?: number;
  /** How long `stop()` lets batches in flight work before their `signal` is aborted. Default 10,000. */
  stopTimeoutMs?: number;
  /**
   * Called when partitions were assigned, before any of their batches: where to start. A partition without an answer
   * starts at the group's committed offset, else at the beginning.
   */
  onAssigned?(partitions: readonly TopicPartition[]): Promise<readonly (TopicPartition & { offset: bigint })[]>;
  /** The partitions are about to go or are gone. Work in flight sees `isOwner() === false`. */
  onRevoked?(partitions: readonly TopicPartition[]): Promise<void> | void;
  /**
   * One batch of one partition. When it resolves, the offset after `resolvedOffset` (default: after the batch's last
   * message) is committed and the next batch follows from there. When it rejects, the same position is delivered again after
   * a backoff. Heartbeats are sent by a timer meanwhile, however long it takes.
   */
  onBatch(batch: IncomingBatch, context: BatchContext): Promise<{ resolvedOffset?: bigint } | undefined>;
  /** The stored position is outside what the partition holds: an alarm. Answers where to go on; default: the beginning. */
  onOffsetOutOfRange?(partition: TopicPartition & { offset: bigint; beginning: bigint; end: bigint }): Promise<bigint>;
}

export interface ConsumerStatus {
  state: 'starting' | 'running' | 'rejoining' | 'stopped';
  assigned: readonly TopicPartition[];
  /** Monotonic ms (`performance.now()`) of the last sign of life: a fetch answered, a heartbeat accepted, a batch done. */
  lastProgressMs: number;
  lastError: KafkaError | null;
}

export interface Consumer {
  /** Returns at once where Kafka is away and goes on trying for ever, with backoff; crashes are noticed and rebuilt. */
  start(): Promise<void>;
  /** Begins no further batch, waits for those in flight, commits them, leaves the group. Safe to call twice. */
  stop(): Promise<void>;
  pause(partitions: readonly TopicPartition[]): void;
  resume(partitions: readonly TopicPartition[]): void;
  status(): ConsumerStatus;
}

/** Reads partitions directly, without a consumer group (positions are the caller's). Used by the transporter and by tests. */
export interface PartitionReader {
  /** Starts to read at `from`; goes on for ever over broker outages, with backoff, until `stop()`. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Monotonic ms of the last fetch that a broker answered; null before the first. */
  readonly lastFetchMs: number | null;
  /** Partitions that are not read at the moment, as their leader does not answer or there is none. */
  readonly unread: number;
}

export interface PartitionReaderOptions {
  partitions: readonly (TopicPartition & { from: 'beginning' | 'end' | bigint })[];
  maxWaitMs?: number;
  maxBytes?: number;
  /** Where to go on when a position is outside what the partition holds. Default: `end` for who began there, else `beginning`. */
  outOfRange?: 'beginning' | 'end';
  /**
   * What must be read for the state `reading`: every partition (default), or one of each topic, once the others were tried in
   * vain. Those are tried on, and begin where they find the partition then.
   */
  enough?: 'every partition' | 'one of each topic';
  /** Messages of one partition, in order. Not awaited further than its own promise: the next fetch waits for it. */
  onMessages(messages: readonly IncomingMessage[]): Promise<void> | void;
  /** Reachable again or lost: for health and for rejoining. */
  onStateChange?(state: 'reading' | 'disconnected', error: KafkaError | null): void;
}

export interface TopicSpec {
  topic: string;
  partitions: number;
  replicationFactor?: number;
  config?: Readonly<Record<string, string>>;
}

export interface TopicDescription {
  topic: string;
  partitions: { partition: number; leader: number; replicas: number[]; inSyncReplicas: number[] }[];
}

export interface Admin {
  /** Ids of the brokers that are there. */
  brokers(): Promise<number[]>;
  /** Creates what is missing; a topic that exists is left as it is. Answers the names it made. */
  createTopics(topics: readonly TopicSpec[]): Promise<string[]>;
  /** Topics that are not there are left out. */
  deleteTopics(topics: readonly string[]): Promise<void>;
  listTopics(): Promise<string[]>;
  /** Throws `KAFKA_UNKNOWN_TOPIC_OR_PARTITION` for a topic that is not there. */
  describeTopic(topic: string): Promise<TopicDescription>;
  /** The topic's effective settings (e.g. `retention.ms`). */
  topicConfig(topic: string): Promise<Record<string, string>>;
  /** First and next offsets of each partition. `end` counts open transactions and markers (the high watermark). */
  offsets(topic: string): Promise<{ partition: number; beginning: bigint; end: bigint }[]>;
  /** Committed offsets of a group; null where it has none. */
  committed(groupId: string, topic: string): Promise<{ partition: number; offset: bigint | null }[]>;
  listGroups(): Promise<string[]>;
  /** Groups that are not there are left out; one that has members is `KAFKA_BAD_ARGUMENT`. */
  deleteGroups(groupIds: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

export interface KafkaConnection {
  brokers: readonly string[];
  clientId: string;
  /** TLS settings in the form of `node:tls`; true for the defaults. */
  tls?: boolean | { ca?: string; cert?: string; key?: string; rejectUnauthorized?: boolean; servername?: string };
  sasl?: { mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'; username: string; password: string };
  connectTimeoutMs?: number;
  requestTimeoutMs?: number;
  /** Where the port's log lines go. Default: nowhere. */
  logger?: Logger;
}

export interface Logger {
  debug(...args: unknown[]): void;
  info(...args: unknown[]): void;
  warn(...args: unknown[]): void;
  error(...args: unknown[]): void;
}

export interface PublisherOptions {
  /** How long one `publish` call may take before what is left counts as failed. Default 10,000. */
  deliveryTimeoutMs?: number;
}

/** What an adapter gives. Each part connects by itself when it is first used. */
export interface KafkaPort {
  publisher(options?: PublisherOptions): Publisher;
  consumer(options: ConsumerOptions): Consumer;
  admin(): Admin;
}

/** Adapters that can also publish in transactions. */
export interface TransactionalKafkaPort extends KafkaPort {
  transactionalPublisher(options: TransactionalPublisherOptions): TransactionalPublisher;
  /**
   * The last message of a partition that a read-committed consumer sees; null where there is none. After `fence()`
   * resolved, it shows what the last committed transaction of that transactional id left in a partition of its own.
   */
  lastCommitted(partition: TopicPartition): Promise<IncomingMessage | null>;
}

/** Adapters that can also read without a group, and publish what is useless when it is late. */
export interface ReadingKafkaPort extends KafkaPort {
  /**
   * `acks: 'leader'`: at most once. Stored by the leader alone; only what certainly was not stored is sent again; calls go
   * side by side. Default `all`, as every `KafkaPort`. `triedOnce`: what fails is not sent again, so that the caller can go
   * another way at once.
   */
  publisher(options?: PublisherOptions & { acks?: 'all' | 'leader'; triedOnce?: boolean }): Publisher;
  reader(options: PartitionReaderOptions): PartitionReader;
}
