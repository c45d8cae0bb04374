import type { EachBatchPayload, Consumer as NativeConsumer } from 'kafkajs';
import { KafkaError } from '../errors.ts';
import { partitionName } from '../outgoing.ts';
import type { ConsumerOptions, KafkaConnection, TopicPartition } from '../port.ts';
import { type Client, closeClient, createClient } from './client.ts';
import type { ConsumerSettings } from './consumer.ts';
import { protocolType, translate } from './errors.ts';
import { incomingBatch } from './incoming.ts';
import { bounds, captureCluster, watchFetches } from './native-cluster.ts';
import { Tenure } from './tenure.ts';

/** What outlives a session. */
export interface SessionContext {
  connection: KafkaConnection;
  options: ConsumerOptions;
  settings: ConsumerSettings;
  /** Names of the partitions that the user paused. */
  paused: ReadonlySet<string>;
  onProgress(): void;
  onError(error: KafkaError): void;
}

interface Work {
  tenure: Tenure;
  controller: AbortController;
  done: Promise<void>;
}

/** Answers that mean: this member's generation is over. Thrown out of `eachBatch` as they are, they make kafkajs rejoin. */
const membershipLost = new Set(['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'FENCED_INSTANCE_ID']);
const rejoin = new Set([...membershipLost, 'REBALANCE_IN_PROGRESS', 'NOT_COORDINATOR_FOR_GROUP']);

/**
 * One kafkajs consumer from its connection to its end: a crash, a stall or `stop()`. It is never used again after any of
 * these; the supervisor (`consumer.ts`) makes a new one.
 */
export class Session {
  readonly #context: SessionContext;
  readonly #client: Client;
  readonly #consumer: NativeConsumer;
  readonly #ended: Promise<KafkaError | null>;
  #end: (error: KafkaError | null) => void = () => {};
  #tenure: Tenure | null = null;
  #joinedOnce = false;
  #stopping = false;
  /** Partitions that wait: for their turn after a failure, or for a new position. */
  readonly #held = new Set<string>();
  readonly #failures = new Map<string, number>();
  readonly #works = new Map<string, Work>();
  readonly #background = new Set<Promise<void>>();
  #heartbeat: (() => Promise<void>) | null = null;
  #rejoinError: unknown = null;
  #lastProgressMs = performance.now();

  constructor(context: SessionContext) {
    this.#context = context;
    const { connection, options, settings } = context;
    const retry = { retries: 3, initialRetryTime: 100, maxRetryTime: 1000, multiplier: 2, factor: 0.2 };
    this.#client = createClient(connection, { requestTimeoutMs: connection.requestTimeoutMs ?? 10_000, retry });
    const { assigner, cluster } = captureCluster();
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
    this.#ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    watchFetches(cluster(), {
      onFetched: () => this.#progress(),
      onOutOfRange: (topic, partition, offset) => {
        this.#held.add(partitionName(topic, partition));
        this.applyPause({ topic, partition });
        this.#inBackground(this.#moveIntoRange(topic, partition, offset, () => bounds(cluster(), topic, partition)));
      },
    });
  }

  get state(): 'starting' | 'running' | 'rejoining' {
    if (this.#tenure?.ready) return 'running';
    return this.#joinedOnce ? 'rejoining' : 'starting';
  }

  get joinedOnce(): boolean {
    return this.#joinedOnce;
  }

  get assigned(): readonly TopicPartition[] {
    return this.#tenure && !this.#tenure.over ? this.#tenure.partitions : [];
  }

  /** Works until the session ends; answers why, null after `stop()`. */
  async run(): Promise<KafkaError | null> {
    const ticker = setInterval(() => this.#tick(), Math.max(50, Math.min(500, this.#settings.heartbeatIntervalMs / 2)));
    this.#subscribeToEvents();
    void this.#connect().catch((native) => this.#end(translate(native, 'Connecting the consumer failed')));
    const reason = await this.#ended;
    this.#endTenure();
    if (!this.#stopping) this.#client.kill();
    await Promise.allSettled([...this.#works.values()].map(({ done }) => done));
    await Promise.allSettled([...this.#background]);
    clearInterval(ticker);
    return reason;
  }

  /** Begins nothing new, lets works in flight end and commit, leaves the group. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    for (const partition of this.assigned) this.applyPause(partition);
    const limit = setTimeout(() => this.#abortWorks('The consumer was stopped'), this.#settings.stopTimeoutMs);
    await Promise.allSettled([...this.#works.values()].map(({ done }) => done));
    clearTimeout(limit);
    await closeClient(this.#client, () => this.#consumer.disconnect(), 3000);
    this.#end(null);
  }

  /** Makes kafkajs fetch a partition, or not, according to all that may hold it. */
  applyPause({ topic, partition }: TopicPartition): void {
    const name = partitionName(topic, partition);
    const tenure = this.#tenure;
    if (!tenure || tenure.over || !tenure.has(name)) return;
    const pause = !tenure.ready || this.#stopping || this.#held.has(name) || this.#context.paused.has(name);
    const partitions = [{ topic, partitions: [partition] }];
    this.#native(() => (pause ? this.#consumer.pause(partitions) : this.#consumer.resume(partitions)));
  }

  async #connect(): Promise<void> {
    const { options, settings } = this.#context;
    await this.#consumer.connect();
    await this.#consumer.subscribe({ topics: [...options.topics], fromBeginning: true });
    await this.#consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: settings.concurrency,
      eachBatch: (payload) => this.#eachBatch(payload),
    });
  }

  #subscribeToEvents(): void {
    const { events } = this.#consumer;
    this.#consumer.on(events.GROUP_JOIN, ({ payload }) => this.#joined(payload.memberAssignment));
    this.#consumer.on(events.REBALANCING, () => this.#endTenure());
    this.#consumer.on(events.HEARTBEAT, () => {
      this.#tenure?.confirm(performance.now());
      this.#progress();
    });
    this.#consumer.on(events.CRASH, ({ payload }) => this.#end(translate(payload.error, 'The consumer crashed')));
  }

  /** Runs before kafkajs fetches anything for the new assignment. */
  #joined(assignment: Record<string, number[]>): void {
    this.#endTenure();
    this.#rejoinError = null;
    this.#joinedOnce = true;
    this.#held.clear();
    this.#progress();
    const partitions = Object.entries(assignment).flatMap(([topic, numbers]) =>
      numbers.map((partition) => ({ topic, partition })),
    );
    const tenure = new Tenure(partitions, this.#settings, performance.now());
    this.#tenure = tenure;
    for (const partition of partitions) this.applyPause(partition);
    this.#inBackground(this.#takeUp(tenure));
  }

  /** Asks for start positions, then lets the partitions flow. */
  async #takeUp(tenure: Tenure): Promise<void> {
    await Promise.allSettled([...this.#background]);
    const starts = await this.#untilItSucceeds(tenure, 'onAssigned failed', async () => {
      if (tenure.partitions.length === 0) return [];
      const answer = (await this.#context.options.onAssigned?.(tenure.partitions)) ?? [];
      for (const { offset } of answer) checkOffset(offset, 'onAssigned');
      return answer;
    });
    if (!starts || tenure.over || this.#stopping) return;
    for (const start of starts) if (tenure.has(partitionName(start.topic, start.partition))) this.#seek(start);
    tenure.ready = true;
    for (const partition of tenure.partitions) this.applyPause(partition);
  }

  #endTenure(): void {
    const tenure = this.#tenure;
    if (!tenure || tenure.over) return;
    tenure.end();
    this.#abortWorks('The partition is no longer this consumer’s');
    if (tenure.partitions.length === 0 || !this.#context.options.onRevoked) return;
    const revoke = async () => this.#context.options.onRevoked?.(tenure.partitions);
    this.#inBackground(revoke().catch((error) => this.#report(error, 'onRevoked failed')));
  }

  #abortWorks(reason: string): void {
    for (const { controller } of this.#works.values()) controller.abort(new Error(reason));
  }

  async #eachBatch(payload: EachBatchPayload): Promise<void> {
    const { topic, partition } = payload.batch;
    const name = partitionName(topic, partition);
    this.#heartbeat = payload.heartbeat;
    await this.#works.get(name)?.done;
    if (this.#rejoinError) throw this.#rejoinError;
    const tenure = this.#tenure;
    if (!tenure?.ready || !tenure.has(name) || this.#stopping || payload.isStale()) return;
    if (this.#held.has(name) || this.#context.paused.has(name)) return;

    const { promise: done, resolve } = Promise.withResolvers<void>();
    const work: Work = { tenure, controller: new AbortController(), done };
    this.#works.set(name, work);
    try {
      await this.#handle(payload, work, name);
    } finally {
      this.#works.delete(name);
      this.#progress();
      resolve();
    }
    if (this.#rejoinError) throw this.#rejoinError;
  }

  async #handle(payload: EachBatchPayload, work: Work, name: string): Promise<void> {
    const batch = incomingBatch(payload.batch);
    const isOwner = () => !work.controller.signal.aborted && work.tenure.holds(performance.now());
    let resolved: bigint;
    try {
      const result = await this.#context.options.onBatch(batch, { isOwner, signal: work.controller.signal });
      resolved = result?.resolvedOffset ?? batch.messages.at(-1)!.offset;
    } catch (error) {
      if (isOwner()) this.#retryLater(batch, name, error);
      return;
    }
    if (!isOwner()) return;
    if (resolved < batch.messages[0]!.offset) return this.#retryLater(batch, name, null);
    // After the last message come only markers of transactions, which nobody else would ever resolve.
    const all = resolved >= batch.messages.at(-1)!.offset;
    const next = all ? BigInt(payload.batch.lastOffset()) + 1n : resolved + 1n;
    if (!(await this.#commit(payload, batch, next, isOwner))) return;
    payload.resolveOffset(String(all ? batch.messages.at(-1)!.offset : resolved));
    this.#failures.delete(name);
  }

  /** Answers false where the partition is not ours any more; that is no error of the batch. */
  async #commit(
    payload: EachBatchPayload,
    { topic, partition }: TopicPartition,
    offset: bigint,
    isOwner: () => boolean,
  ): Promise<boolean> {
    const topics = [{ topic, partitions: [{ partition, offset: String(offset) }] }];
    for (let attempt = 0; isOwner(); attempt++) {
      try {
        await payload.commitOffsetsIfNecessary({ topics });
        return true;
      } catch (error) {
        const type = protocolType(error) ?? '';
        if (rejoin.has(type)) {
          this.#leaveGeneration(error, type);
          return false;
        }
        this.#report(error, 'Committing an offset failed');
      }
      await pause(Math.min(1000, 100 * 2 ** attempt));
    }
    return false;
  }

  /** kafkajs rejoins when it gets this error out of `eachBatch`. */
  #leaveGeneration(error: unknown, type: string): void {
    this.#rejoinError ??= error;
    if (membershipLost.has(type)) this.#endTenure();
  }

  #retryLater(partition: TopicPartition, name: string, error: unknown): void {
    const failures = (this.#failures.get(name) ?? 0) + 1;
    this.#failures.set(name, failures);
    if (error !== null) this.#logger?.warn(`kafka: ${name} is delivered again after failure ${failures}`, error);
    this.#hold(partition, name, Math.min(5000, 50 * 2 ** Math.min(failures, 10)));
  }

  #hold(partition: TopicPartition, name: string, ms: number): void {
    const tenure = this.#tenure;
    this.#held.add(name);
    this.applyPause(partition);
    setTimeout(() => {
      if (this.#tenure !== tenure) return;
      this.#held.delete(name);
      this.applyPause(partition);
    }, ms).unref();
  }

  /** The partition is held meanwhile. */
  async #moveIntoRange(
    topic: string,
    partition: number,
    offset: bigint,
    range: () => Promise<{ beginning: bigint; end: bigint }>,
  ): Promise<void> {
    const tenure = this.#tenure;
    if (!tenure) return;
    const to = await this.#untilItSucceeds(tenure, 'Moving a position into range failed', async () => {
      const { beginning, end } = await range();
      this.#logger?.warn(`kafka: offset ${offset} of ${topic}[${partition}] is outside ${beginning} to ${end}`);
      const ask = this.#context.options.onOffsetOutOfRange;
      return ask
        ? checkOffset(await ask({ topic, partition, offset, beginning, end }), 'onOffsetOutOfRange')
        : beginning;
    });
    if (to === undefined || tenure.over || this.#stopping) return;
    this.#seek({ topic, partition, offset: to });
    this.#held.delete(partitionName(topic, partition));
    this.applyPause({ topic, partition });
  }

  async #untilItSucceeds<Result>(
    tenure: Tenure,
    failed: string,
    work: () => Promise<Result>,
  ): Promise<Result | undefined> {
    for (let attempt = 0; !tenure.over && !this.#stopping; attempt++) {
      try {
        return await work();
      } catch (error) {
        this.#report(error, failed);
      }
      await pause(Math.min(2000, 100 * 2 ** attempt));
    }
    return undefined;
  }

  #tick(): void {
    const nowMs = performance.now();
    if (this.#tenure && !this.#tenure.over && !this.#tenure.holds(nowMs)) {
      this.#end(silent('The coordinator of the group was silent for too long'));
    }
    if (nowMs - this.#lastProgressMs > this.#settings.stallMs) {
      this.#end(silent(`No sign of life from Kafka for ${this.#settings.stallMs} ms`));
    }
    // kafkajs sends none while a batch is worked on.
    if (this.#works.size > 0) void this.#heartbeat?.().catch((error) => this.#heartbeatFailed(error));
  }

  #heartbeatFailed(error: unknown): void {
    const type = protocolType(error) ?? '';
    if (type === 'REBALANCE_IN_PROGRESS') {
      this.#tenure?.announceRebalance(performance.now());
      this.#progress();
    }
    if (rejoin.has(type)) this.#leaveGeneration(error, type);
  }

  #progress(): void {
    this.#lastProgressMs = performance.now();
    this.#context.onProgress();
  }

  #report(error: unknown, doing: string): void {
    const translated = translate(error, doing);
    this.#context.onError(translated);
    this.#logger?.warn(`kafka: ${translated.message}`);
  }

  #inBackground(work: Promise<void>): void {
    const settled = work
      .catch((error) => this.#report(error, 'The consumer failed'))
      .finally(() => this.#background.delete(settled));
    this.#background.add(settled);
  }

  #seek({ topic, partition, offset }: TopicPartition & { offset: bigint }): void {
    this.#native(() => this.#consumer.seek({ topic, partition, offset: String(offset) }));
  }

  /** kafkajs refuses these calls once it has stopped by itself; then the session is about to end. */
  #native(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#logger?.debug('kafka: the consumer has already stopped', error);
    }
  }

  get #settings(): ConsumerSettings {
    return this.#context.settings;
  }

  get #logger() {
    return this.#context.connection.logger;
  }
}

function checkOffset(offset: bigint, source: string): bigint {
  if (typeof offset === 'bigint' && offset >= 0n) return offset;
  throw new KafkaError('KAFKA_BAD_ARGUMENT', `${source} answered the offset ${offset}; allowed: a bigint from 0n.`, {
    retryable: false,
  });
}

function silent(message: string): KafkaError {
  return new KafkaError('KAFKA_UNAVAILABLE', message, { retryable: true });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
