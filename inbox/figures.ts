import type { Clock } from '../clock/clock.ts';
import type { Admin, Logger, TopicPartition, TransactionalKafkaPort } from '../kafka/port.ts';
import type { InboxMetrics } from './metrics.ts';
import type { Progress } from './progress.ts';
import type { InboxStore } from './store/store.ts';

export interface FiguresOptions {
  topics: readonly string[];
  store: InboxStore;
  progress: Progress;
  admin(): Admin | null;
  lastCommitted?: TransactionalKafkaPort['lastCommitted'] | undefined;
  lastSignOfLifeMs(): number;
  clock: Clock;
  metrics: InboxMetrics;
  logger: Logger;
  pollMs: number;
}

const backlogPollMs = 10_000;

/** Asks now and then how far the topics go and what waits in the database, and passes it on as metrics. */
export class Figures {
  #options: FiguresOptions;
  #running = false;
  #cancel = () => {};
  #backlogMs = Number.NEGATIVE_INFINITY;
  /** The last end of each partition that the broker told, and the offset after the last event before it, where that was asked for. */
  #ends = new Map<string, { end: bigint; afterLast: bigint | null }>();

  constructor(options: FiguresOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = true;
    void this.#poll();
  }

  stop(): void {
    this.#running = false;
    this.#cancel();
  }

  async #poll(): Promise<void> {
    await this.#askEnds();
    await this.#backlog();
    if (this.#running) this.#cancel = this.#options.clock.after(this.#options.pollMs, () => void this.#poll());
  }

  async #askEnds(): Promise<void> {
    const { topics, progress, metrics, logger } = this.#options;
    for (const topic of topics) {
      try {
        const offsets = (await this.#options.admin()?.offsets(topic)) ?? [];
        for (const { partition, end } of offsets) {
          progress.heardEnd({ topic, partition }, await this.#afterLastEvent({ topic, partition }, end));
        }
      } catch (error) {
        logger.debug(`inbox: the ends of ${topic} could not be had.`, error);
      }
      if (!this.#running) return;
    }
    for (const { topic, partition, lag } of progress.lags(this.#options.lastSignOfLifeMs())) {
      const labels = { topic, partition: String(partition) };
      metrics.gauge('inbox.lag.events', lag.events ?? -1, labels);
      metrics.gauge('inbox.lag.ms', lag.ms ?? -1, labels);
    }
  }

  /**
   * Markers of transactions count for a partition's end. Where an end stays while nothing is at work, the last message before it is
   * looked for, once.
   */
  async #afterLastEvent(partition: TopicPartition, end: bigint): Promise<bigint> {
    const { lastCommitted, progress } = this.#options;
    const name = `${partition.topic} ${partition.partition}`;
    const known = this.#ends.get(name);
    if (known?.end !== end) {
      this.#ends.set(name, { end, afterLast: null });
      return end;
    }
    if (known.afterLast === null && lastCommitted && progress.waitsBefore(partition, end)) {
      const last = await lastCommitted(partition);
      known.afterLast = last === null ? 0n : last.offset + 1n;
    }
    return known.afterLast ?? end;
  }

  async #backlog(): Promise<void> {
    const { store, clock, metrics, logger } = this.#options;
    if (!this.#running || clock.monotonicMs() - this.#backlogMs < backlogPollMs) return;
    this.#backlogMs = clock.monotonicMs();
    try {
      const { parked, oldestParkedAgeMs, deadLetters } = await store.backlog();
      metrics.gauge('inbox.parked', parked);
      metrics.gauge('inbox.parked.oldest.ms', oldestParkedAgeMs);
      metrics.gauge('inbox.dead_letters.waiting', deadLetters);
    } catch (error) {
      logger.debug('inbox: the backlog could not be read.', error);
    }
  }
}
