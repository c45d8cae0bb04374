import type { Catalogue } from '../events/catalogue.ts';
import type { Admin, BatchContext, Consumer, IncomingBatch, KafkaPort, Logger, TopicPartition } from '../kafka/port.ts';
import { backoffMs, type Clock, pause, systemClock } from './clock.ts';
import { checkHandlers } from './dispatch.ts';
import { type InboxMetrics, noMetrics } from './metrics.ts';
import { Progress } from './progress.ts';
import { type InboxStatus, statusOf } from './status.ts';
import type { InboxStore, Position } from './store/store.ts';
import type { AfterCommit, InboxHandlers, InboxMode } from './types.ts';
import { createWorker } from './worker.ts';

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
  kafka: Pick<KafkaPort, 'consumer' | 'admin'>;
  clock?: Clock;
  metrics?: InboxMetrics;
  logger?: Logger;
  random?(): number;
  /** Messages in one transaction at most. Default 500. */
  batchSize?: number;
  /** Partitions worked on at once, each with a database connection. Default 4. */
  concurrency?: number;
  /** Default 5. */
  handlerAttempts?: number;
  /** Default 10,000; below the `wait_timeout` of the inbox's database sessions (15 s). */
  handlerTimeoutMs?: number;
  /** Parked events of one stream at most (sequence inbox). Default 1,000. */
  parkedLimit?: number;
  /** A consumer without any sign of life for so long is made anew. Default 60,000. */
  stallMs?: number;
  /** How often the ends of the partitions are asked for. Default 2,000. */
  lagPollMs?: number;
  sessionTimeoutMs?: number;
  heartbeatIntervalMs?: number;
  maxWaitMs?: number;
  maxBytesPerPartition?: number;
}

export interface Inbox {
  /** Returns at once, also where Kafka or the database is away: the inbox goes on trying for ever. */
  start(): Promise<void>;
  /** Finishes the transactions in hand, commits their offsets and leaves the group. */
  stop(): Promise<void>;
  status(): InboxStatus;
}

/** How long a consumer may take to stop before it is given up. */
const stopLimitMs = 15_000;

/**
 * Reads topics in a consumer group and applies their events by a worker. The stored offsets are the truth: the group's committed
 * ones are written after them and only tell others how far this group is.
 */
export function createInbox(options: InboxOptions): Inbox {
  const clock = options.clock ?? systemClock;
  const metrics = options.metrics ?? noMetrics;
  const logger: Logger = options.logger ?? { debug() {}, info() {}, warn() {}, error() {} };
  const random = options.random ?? Math.random;
  const { store } = options;
  checkHandlers(options.handlers, new Set(options.catalogue.definitions.map(({ type }) => type)));

  const progress = new Progress(clock);
  const worker = createWorker({
    store,
    mode: options.mode,
    catalogue: options.catalogue,
    handlers: options.handlers,
    afterCommit: options.afterCommit,
    clock,
    metrics,
    logger,
    random,
    batchSize: options.batchSize ?? 500,
    handlerAttempts: options.handlerAttempts ?? 5,
    handlerTimeoutMs: options.handlerTimeoutMs ?? 10_000,
    parkedLimit: options.parkedLimit ?? 1000,
    onApplied: (applied, positions) => progress.applied(applied, positions),
  });

  /** The consumer at work and what ends its work; a new pair after each rebuild. */
  let current: { consumer: Consumer; stopping: AbortController } | null = null;
  let admin: Admin | null = null;
  let rebuilds = 0;
  let cancelWatch = () => {};
  let cancelPoll = () => {};
  let running = false;

  return {
    async start() {
      if (running) return;
      running = true;
      admin = options.kafka.admin();
      await build();
      watch();
      void pollEnds();
    },
    async stop() {
      running = false;
      cancelWatch();
      cancelPoll();
      await dismiss();
      await admin?.close().catch((error) => logger.warn('inbox: closing the Kafka admin client failed.', error));
      admin = null;
    },
    status: () => {
      const consumer = current?.consumer.status() ?? null;
      return statusOf({
        group: options.group,
        mode: options.mode,
        consumer,
        rebuilds,
        nowMs: clock.monotonicMs(),
        partitions: progress.lags(consumer?.lastProgressMs ?? Number.NEGATIVE_INFINITY),
      });
    },
  };

  async function build(): Promise<void> {
    const stopping = new AbortController();
    const consumer = options.kafka.consumer({
      groupId: options.groupId,
      topics: options.topics,
      concurrency: options.concurrency ?? 4,
      ...(options.sessionTimeoutMs === undefined ? {} : { sessionTimeoutMs: options.sessionTimeoutMs }),
      ...(options.heartbeatIntervalMs === undefined ? {} : { heartbeatIntervalMs: options.heartbeatIntervalMs }),
      ...(options.maxBytesPerPartition === undefined ? {} : { maxBytesPerPartition: options.maxBytesPerPartition }),
      maxWaitMs: options.maxWaitMs ?? 250,
      onAssigned: (partitions) => startingPoints(partitions, stopping.signal),
      onRevoked: (partitions) => progress.revoked(partitions),
      onBatch: (batch, context) => takeBatch(batch, context, stopping.signal),
      onOffsetOutOfRange: (partition) => resync(partition, stopping.signal),
    });
    current = { consumer, stopping };
    await consumer.start();
  }

  /** Ends the work of the consumer, at most for a while: what it still does is absorbed like anybody else's. */
  async function dismiss(): Promise<void> {
    const old = current;
    current = null;
    if (!old) return;
    old.stopping.abort();
    const timeUp = new AbortController();
    const stopped = old.consumer.stop().catch((error) => logger.warn('inbox: stopping the consumer failed.', error));
    await Promise.race([
      stopped,
      pause(clock, stopLimitMs, timeUp.signal).then(() => {
        if (!timeUp.signal.aborted) logger.error(`inbox: the consumer did not stop within ${stopLimitMs} ms.`);
      }),
    ]);
    timeUp.abort();
  }

  async function takeBatch(batch: IncomingBatch, context: BatchContext, stopping: AbortSignal) {
    if (batch.messages.length === 0) return undefined;
    progress.began(batch);
    try {
      const next = await worker.process(batch, AbortSignal.any([context.signal, stopping]));
      return { resolvedOffset: next - 1n };
    } finally {
      progress.ended(batch);
    }
  }

  /** Where to read on: the stored offset, else the beginning, whatever the group has committed. */
  async function startingPoints(partitions: readonly TopicPartition[], signal: AbortSignal): Promise<Position[]> {
    const stored = await persistently('reading the stored offsets', () => store.offsets(partitions), signal);
    const offsets = new Map(stored.map((position) => [`${position.topic} ${position.partition}`, position.offset]));
    const positions = partitions.map(({ topic, partition }) => ({
      topic,
      partition,
      offset: offsets.get(`${topic} ${partition}`) ?? 0n,
    }));
    progress.assigned(positions);
    return positions;
  }

  async function resync(
    { topic, partition, offset, beginning, end }: TopicPartition & { offset: bigint; beginning: bigint; end: bigint },
    signal: AbortSignal,
  ): Promise<bigint> {
    const position = { topic, partition, offset: beginning };
    const stored = await persistently('reading the stored offsets', () => store.offsets([position]), signal);
    const where = `${topic}/${partition}`;
    if (stored.length === 0) {
      logger.info(`inbox: ${options.group} reads ${where} for the first time, from its beginning at ${beginning}.`);
    } else {
      metrics.count('inbox.alarms.total', 1, { alarm: 'offset-out-of-range' });
      const lost = offset < beginning ? ` Messages ${offset} to ${beginning - 1n} are gone from the topic.` : '';
      logger.error(
        `inbox: ${options.group} is at offset ${offset} of ${where}, which holds ${beginning} to ${end}.${lost} ` +
          'It reads the partition from its beginning; what is known is not applied again.',
      );
      await persistently('resetting an offset', () => store.resetOffset(position), signal);
    }
    progress.moved(position);
    return beginning;
  }

  async function persistently<Result>(what: string, work: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
    for (let failures = 1; ; failures++) {
      try {
        return await work();
      } catch (error) {
        if (signal.aborted) throw error;
        if (failures <= 3 || failures % 10 === 0) logger.warn(`inbox: ${what} failed (${failures}):`, error);
        await pause(clock, backoffMs(failures, 50, 3000, random), signal);
      }
    }
  }

  function watch(): void {
    const stallMs = options.stallMs ?? 60_000;
    cancelWatch = clock.after(stallMs / 4, async () => {
      try {
        const status = current?.consumer.status();
        const silentMs = clock.monotonicMs() - (status?.lastProgressMs ?? 0);
        if (status && silentMs > stallMs) {
          metrics.count('inbox.consumer.rebuilds.total', 1);
          rebuilds++;
          logger.error(
            `inbox: the consumer of ${options.group} gave no sign of life for ${Math.round(silentMs)} ms (${status.state}); ` +
              'it is made anew.',
            status.lastError,
          );
          await dismiss();
          if (running) await build();
        }
      } catch (error) {
        logger.error('inbox: the watchdog failed; it tries again.', error);
      }
      if (running) watch();
    });
  }

  async function pollEnds(): Promise<void> {
    for (const topic of options.topics) {
      try {
        const offsets = (await admin?.offsets(topic)) ?? [];
        for (const { partition, end } of offsets) progress.heardEnd({ topic, partition }, end);
      } catch (error) {
        logger.debug(`inbox: the ends of ${topic} could not be had.`, error);
      }
      if (!running) return;
    }
    for (const { topic, partition, lag } of progress.lags(current?.consumer.status().lastProgressMs ?? 0)) {
      const labels = { topic, partition: String(partition) };
      metrics.gauge('inbox.lag.events', lag.events ?? -1, labels);
      metrics.gauge('inbox.lag.ms', lag.ms ?? -1, labels);
    }
    cancelPoll = clock.after(options.lagPollMs ?? 2000, () => void pollEnds());
  }
}
