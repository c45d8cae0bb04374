import type { Consumer as NativeConsumer } from 'kafkajs';
import { KafkaError } from '../errors.ts';
import type { ConsumerOptions, KafkaConnection, TopicPartition } from '../port.ts';
import { Assignment } from './assignment.ts';
import { BatchWork } from './batch-work.ts';
import { type Client, closeClient, createClient } from './client.ts';
import type { ConsumerSettings } from './consumer.ts';
import { translate } from './errors.ts';
import { bounds, captureCluster, type Membership, watchBrokers } from './native-cluster.ts';

/** What outlives a session. */
export interface SessionContext {
  connection: KafkaConnection;
  options: ConsumerOptions;
  settings: ConsumerSettings;
  membership: Membership;
  /** Names of the partitions that the user paused. */
  paused: ReadonlySet<string>;
  onProgress(): void;
  onError(error: KafkaError): void;
}

/**
 * One kafkajs consumer from its connection to its end: a crash, a stall or `stop()`. It is never used again after any of
 * these; the supervisor (`consumer.ts`) makes a new one.
 */
export class Session {
  readonly #context: SessionContext;
  readonly #client: Client;
  readonly #consumer: NativeConsumer;
  readonly #assignment: Assignment;
  readonly #work: BatchWork;
  readonly #ended = Promise.withResolvers<KafkaError | null>();
  #joinedOnce = false;
  #stopping = false;
  #lastProgressMs = performance.now();

  constructor(context: SessionContext) {
    this.#context = context;
    const { connection, options, settings, paused, membership } = context;
    const { logger } = connection;
    const retry = { retries: 3, initialRetryTime: 100, maxRetryTime: 1000, multiplier: 2, factor: 0.2 };
    const { assigner, cluster } = captureCluster();
    this.#client = createClient(connection, { requestTimeoutMs: connection.requestTimeoutMs ?? 10_000, retry });
    this.#consumer = this.#client.kafka.consumer({
      groupId: options.groupId,
      partitionAssigners: [assigner],
      sessionTimeout: settings.sessionTimeoutMs,
      rebalanceTimeout: settings.rebalanceTimeoutMs,
      heartbeatInterval: settings.heartbeatIntervalMs,
      maxWaitTimeInMs: settings.maxWaitMs,
      maxBytesPerPartition: settings.maxBytesPerPartition,
      metadataMaxAge: 60_000,
      allowAutoTopicCreation: false,
      readUncommitted: false,
      retry: { ...retry, restartOnFailure: async () => false },
    });
    const report = (error: unknown, doing: string) => this.#report(error, doing);
    this.#assignment = new Assignment({ consumer: this.#consumer, options, limits: settings, paused, logger, report });
    this.#work = new BatchWork({
      assignment: this.#assignment,
      onBatch: options.onBatch,
      logger,
      report,
      onProgress: () => this.#progress(),
    });
    watchBrokers(cluster(), {
      membership,
      onFetched: () => this.#progress(),
      onOutOfRange: (place) =>
        this.#assignment.moveIntoRange(place, () => bounds(cluster(), place.topic, place.partition)),
    });
  }

  get state(): 'starting' | 'running' | 'rejoining' {
    if (this.#assignment.tenure?.ready) return 'running';
    return this.#joinedOnce ? 'rejoining' : 'starting';
  }

  get joinedOnce(): boolean {
    return this.#joinedOnce;
  }

  get assigned(): readonly TopicPartition[] {
    return this.#assignment.partitions;
  }

  applyPause(partition: TopicPartition): void {
    this.#assignment.applyPause(partition);
  }

  /** Works until the session ends; answers why, null after `stop()`. */
  async run(): Promise<KafkaError | null> {
    const everyMs = Math.max(50, Math.min(500, this.#context.settings.heartbeatIntervalMs / 2));
    const ticker = setInterval(() => this.#tick(), everyMs);
    this.#subscribeToEvents();
    void this.#connect().catch((native) => this.#end(translate(native, 'Connecting the consumer failed')));
    const reason = await this.#ended.promise;
    this.#endTenure();
    if (!this.#stopping) this.#client.kill();
    await this.#work.settled();
    await this.#assignment.settled();
    clearInterval(ticker);
    return reason;
  }

  /** Begins nothing new, lets work in flight end and commit, leaves the group. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#assignment.stop();
    const limit = setTimeout(() => this.#work.abort('The consumer was stopped'), this.#context.settings.stopTimeoutMs);
    await this.#work.settled();
    clearTimeout(limit);
    await closeClient(this.#client, () => this.#consumer.disconnect(), 3000);
    this.#end(null);
  }

  async #connect(): Promise<void> {
    const { options, settings } = this.#context;
    await this.#consumer.connect();
    await this.#consumer.subscribe({ topics: [...options.topics], fromBeginning: true });
    await this.#consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: settings.concurrency,
      eachBatch: (payload) => this.#work.take(payload),
    });
  }

  #subscribeToEvents(): void {
    const { events } = this.#consumer;
    this.#consumer.on(events.GROUP_JOIN, ({ payload }) => this.#joined(payload.memberAssignment));
    this.#consumer.on(events.REBALANCING, () => this.#endTenure());
    this.#consumer.on(events.HEARTBEAT, () => {
      this.#assignment.tenure?.confirm(performance.now());
      this.#progress();
    });
    this.#consumer.on(events.CRASH, ({ payload }) => this.#end(translate(payload.error, 'The consumer crashed')));
  }

  #joined(assignment: Record<string, number[]>): void {
    this.#endTenure();
    this.#joinedOnce = true;
    this.#work.reset();
    this.#progress();
    this.#assignment.begin(
      Object.entries(assignment).flatMap(([topic, numbers]) => numbers.map((partition) => ({ topic, partition }))),
    );
  }

  #endTenure(): void {
    if (this.#assignment.end()) this.#work.abort('The partition is no longer this consumer’s');
  }

  #tick(): void {
    const nowMs = performance.now();
    const { tenure } = this.#assignment;
    const { stallMs } = this.#context.settings;
    if (tenure && !tenure.over && !tenure.holds(nowMs)) {
      this.#end(silent('The coordinator of the group was silent for too long'));
    }
    if (nowMs - this.#lastProgressMs > stallMs) this.#end(silent(`No sign of life from Kafka for ${stallMs} ms`));
    this.#work.keepAlive();
  }

  #end(reason: KafkaError | null): void {
    this.#ended.resolve(reason);
  }

  #progress(): void {
    this.#lastProgressMs = performance.now();
    this.#context.onProgress();
  }

  #report(error: unknown, doing: string): void {
    const translated = translate(error, doing);
    this.#context.onError(translated);
    this.#context.connection.logger?.warn(`kafka: ${translated.message}`);
  }
}

function silent(message: string): KafkaError {
  return new KafkaError('KAFKA_UNAVAILABLE', message, { retryable: true });
}
