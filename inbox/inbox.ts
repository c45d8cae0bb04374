import { randomUUID } from 'node:crypto';
import { pause, systemClock } from '../clock/clock.ts';
import type { Admin, BatchContext, Consumer, IncomingBatch, Logger, TopicPartition } from '../kafka/port.ts';
import { backoffMs } from './backoff.ts';
import { type DeadLetters, deadLettersOf } from './dead-letters/operations.ts';
import { checkHandlers } from './dispatch.ts';
import { Figures } from './figures.ts';
import { NoGapError } from './gaps/answer.ts';
import { GapKeeper } from './gaps/keeper.ts';
import { noMetrics } from './metrics.ts';
import type { InboxOptions } from './options.ts';
import { type Stream, streamKey } from './plan.ts';
import { Progress } from './progress.ts';
import { Purger } from './retention/purger.ts';
import { InboxConfigError, usualRetention } from './retention/settings.ts';
import { type InboxStatus, statusOf } from './status.ts';
import { InboxModeError, type Position } from './store/store.ts';
import { createWorker, inWords, type WorkerOptions } from './worker.ts';

export type { InboxOptions } from './options.ts';

export interface Inbox {
  /**
   * Waits up to 5 s for the database, and with `retention` for as long for what the topics say of theirs; where they are away, the
   * inbox goes on trying for ever. Throws `InboxModeError` where the database has this consumer with another mode, and
   * `InboxConfigError` where the topics' retention and the inbox's don't go together.
   */
  start(): Promise<void>;
  /** Finishes the transactions in hand, commits their offsets and leaves the group. */
  stop(): Promise<void>;
  status(): InboxStatus;
  /**
   * A stream that waits for a missing event goes on as if everything through `version` had been applied. Parked events up to it
   * become dead letters. Throws `NoGapError` where nothing of the stream is parked.
   */
  resume(stream: Stream, version: bigint, reason: string): Promise<void>;
  /** What people can do with dead letters, whether the inbox runs or not. */
  readonly deadLetters: DeadLetters;
}

/** How long a start waits for the database; where that takes longer, the first work asks again. */
const registerLimitMs = 5000;
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
  options.catalogue.prepare(options.catalogue.definitions);

  const progress = new Progress(clock, options.kafka.lastCommitted !== undefined);
  const workerOptions = {
    store,
    mode: options.mode,
    catalogue: options.catalogue,
    handlers: options.handlers,
    afterCommit: options.afterCommit,
    clock,
    metrics,
    logger,
    random,
    batchSize: options.batchSize ?? 1000,
    handlerAttempts: options.handlerAttempts ?? 5,
    handlerTimeoutMs: options.handlerTimeoutMs ?? 10_000,
    parkedLimit: options.parkedLimit ?? 1000,
    baseline: options.baseline ?? 'first-version',
  } satisfies WorkerOptions;
  const worker = createWorker({
    ...workerOptions,
    onApplied: (applied, positions) => progress.applied(applied, positions),
  });

  const keeper =
    options.mode === 'sequence'
      ? new GapKeeper({
          store,
          worker,
          catalogue: options.catalogue,
          ask: options.askProducer,
          assigned: () => current?.consumer.status().assigned ?? [],
          clock,
          metrics,
          logger,
          gapLimitMs: options.gapLimitMs ?? 30_000,
          parkedMs: options.parkedMs ?? options.retention?.parkedMs ?? usualRetention.parkedMs,
          pollMs: options.gapPollMs ?? 5000,
        })
      : null;

  /** The consumer at work and what ends its work; a new pair after each rebuild. */
  let current: { consumer: Consumer; stopping: AbortController } | null = null;
  let admin: Admin | null = null;
  let purger: Purger | null = null;
  let rebuilds = 0;
  let refused: InboxModeError | null = null;
  let cancelWatch = () => {};
  let running = false;
  const figures = new Figures({
    topics: options.topics,
    store,
    progress,
    admin: () => admin,
    lastCommitted: options.kafka.lastCommitted,
    lastSignOfLifeMs: () => current?.consumer.status().lastProgressMs ?? Number.NEGATIVE_INFINITY,
    clock,
    metrics,
    logger,
    pollMs: options.lagPollMs ?? 2000,
  });

  return {
    async start() {
      if (running) return;
      running = true;
      admin = options.kafka.admin();
      try {
        await register();
        purger = purgerOf(admin);
        await purger?.start();
      } catch (error) {
        await stop();
        throw error;
      }
      if (!running) return;
      await build();
      watch();
      figures.start();
      keeper?.start();
    },
    stop,
    async resume(stream, version, reason) {
      const key = streamKey(stream);
      const gap = (await store.gaps(0, 100_000)).find((each) => streamKey(each) === key);
      if (!gap)
        throw new NoGapError(`No event of ${stream.source}/${stream.aggregateType}/${stream.aggregateId} is parked.`);
      logger.warn(`inbox: ${options.group} takes ${JSON.stringify(stream)} past version ${version}: ${reason}`);
      await worker.skip(gap, version, reason, new AbortController().signal);
    },
    deadLetters: deadLettersOf({ ...workerOptions, worker }),
    status: () => {
      const consumer = current?.consumer.status() ?? null;
      return statusOf({
        group: options.group,
        mode: options.mode,
        consumer,
        rebuilds,
        refused: refused?.message ?? null,
        retentionRefused: purger?.refused ?? null,
        nowMs: clock.monotonicMs(),
        partitions: progress.lags(consumer?.lastProgressMs ?? Number.NEGATIVE_INFINITY),
      });
    },
  };

  async function stop(): Promise<void> {
    running = false;
    cancelWatch();
    figures.stop();
    await Promise.all([dismiss(), keeper?.stop(), purger?.stop()]);
    await admin?.close().catch((error) => logger.warn('inbox: closing the Kafka admin client failed.', error));
    admin = null;
  }

  /** A database that is away, or not ready yet, is asked again by the first work. */
  async function register(): Promise<void> {
    const answered = new AbortController();
    const asked = Promise.resolve(store.register?.()).catch((error) => {
      if (error instanceof InboxModeError) throw error;
      logger.warn(`inbox: the database of ${options.group} does not answer yet: ${inWords(error)}`);
    });
    try {
      await Promise.race([asked, pause(clock, registerLimitMs, answered.signal)]);
    } finally {
      answered.abort();
    }
  }

  function purgerOf(admin: Admin): Purger | null {
    const { retention, topics } = options;
    if (!retention) return null;
    if (!store.retention) throw new InboxConfigError('retention is set, and the store can remove nothing.');
    return new Purger({
      topics,
      retention,
      table: store.retention,
      admin,
      owner: randomUUID(),
      clock,
      metrics,
      logger,
    });
  }

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
        if (error instanceof InboxModeError) refused ??= error;
        if (failures <= 3 || failures % 10 === 0) logger.warn(`inbox: ${what} failed (${failures}): ${inWords(error)}`);
        await pause(clock, backoffMs(failures, 50, 3000, random), signal);
      }
    }
  }

  function watch(): void {
    const stallMs = options.stallMs ?? 60_000;
    cancelWatch = clock.after(stallMs / 4, async () => {
      try {
        const status = current?.consumer.status();
        const silentMs = Math.max(clock.monotonicMs() - (status?.lastProgressMs ?? 0), progress.stuckMs());
        if (status && silentMs > stallMs) {
          metrics.count('inbox.consumer.rebuilds.total', 1);
          rebuilds++;
          logger.error(
            `inbox: the consumer of ${options.group} gave no sign of life or work for ${Math.round(silentMs)} ms (${status.state}); ` +
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
}
