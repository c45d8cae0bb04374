import { KafkaError } from '../errors.ts';
import { partitionName } from '../outgoing.ts';
import type { Consumer, ConsumerOptions, ConsumerStatus, KafkaConnection, TopicPartition } from '../port.ts';
import type { Membership } from './native-cluster.ts';
import { Session } from './session.ts';

export interface ConsumerSettings {
  sessionTimeoutMs: number;
  heartbeatIntervalMs: number;
  rebalanceTimeoutMs: number;
  maxWaitMs: number;
  maxBytesPerPartition: number;
  concurrency: number;
  stopTimeoutMs: number;
  /** A session that nothing was heard of for so long is given up. */
  stallMs: number;
}

/** The supervisor of sessions: when one ends for whatever reason, it makes a new one, for ever, until `stop()`. */
export class KafkajsConsumer implements Consumer {
  readonly #connection: KafkaConnection;
  readonly #options: ConsumerOptions;
  readonly #settings: ConsumerSettings;
  readonly #paused = new Set<string>();
  readonly #membership: Membership = { memberId: null };
  #session: Session | null = null;
  #loop: Promise<void> | null = null;
  #stopped = false;
  #wake: () => void = () => {};
  #joinedOnce = false;
  #lastProgressMs = performance.now();
  #lastError: KafkaError | null = null;

  constructor(connection: KafkaConnection, options: ConsumerOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#settings = settingsOf(options);
  }

  async start(): Promise<void> {
    if (this.#stopped) throw new KafkaError('KAFKA_CLOSED', 'The consumer was stopped.', { retryable: false });
    this.#loop ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake();
    await this.#session?.stop();
    await this.#loop;
  }

  pause(partitions: readonly TopicPartition[]): void {
    for (const { topic, partition } of partitions) {
      this.#paused.add(partitionName(topic, partition));
      this.#session?.applyPause({ topic, partition });
    }
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const { topic, partition } of partitions) {
      this.#paused.delete(partitionName(topic, partition));
      this.#session?.applyPause({ topic, partition });
    }
  }

  status(): ConsumerStatus {
    const state = this.#stopped ? 'stopped' : (this.#session?.state ?? 'starting');
    return {
      state: state === 'starting' && this.#joinedOnce ? 'rejoining' : state,
      assigned: this.#session?.assigned ?? [],
      lastProgressMs: this.#lastProgressMs,
      lastError: this.#lastError,
    };
  }

  async #run(): Promise<void> {
    for (let attempt = 0; !this.#stopped; attempt++) {
      const session = this.#begin();
      this.#session = session;
      const reason = await session.run();
      this.#session = null;
      if (session.joinedOnce) {
        this.#joinedOnce = true;
        attempt = 0;
      }
      if (this.#stopped || !reason) return;
      this.#lastError = reason;
      const pauseMs = Math.min(3000, 100 * 2 ** Math.min(attempt, 10));
      this.#connection.logger?.warn(
        `kafka: consumer of group ${this.#options.groupId} is built anew in ${pauseMs} ms: ${reason.message}`,
      );
      await this.#sleep(pauseMs);
    }
  }

  #begin(): Session {
    return new Session({
      connection: this.#connection,
      options: this.#options,
      settings: this.#settings,
      membership: this.#membership,
      paused: this.#paused,
      onProgress: () => {
        this.#lastProgressMs = performance.now();
      },
      onError: (error) => {
        this.#lastError = error;
      },
    });
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** Fills in the defaults. Throws `KAFKA_BAD_ARGUMENT` for what no broker would take. */
export function settingsOf(options: ConsumerOptions): ConsumerSettings {
  if (typeof options.groupId !== 'string' || options.groupId === '') throw bad('groupId', options.groupId, 'a name');
  if (!Array.isArray(options.topics) || options.topics.length === 0) {
    throw bad('topics', options.topics, 'one topic or more');
  }
  const sessionTimeoutMs = options.sessionTimeoutMs ?? 10_000;
  const heartbeatIntervalMs = options.heartbeatIntervalMs ?? Math.min(3000, sessionTimeoutMs / 4);
  const rebalanceTimeoutMs = options.rebalanceTimeoutMs ?? 30_000;
  if (!(heartbeatIntervalMs > 0 && heartbeatIntervalMs <= sessionTimeoutMs / 2)) {
    throw bad('heartbeatIntervalMs', heartbeatIntervalMs, `at most half of sessionTimeoutMs (${sessionTimeoutMs})`);
  }
  const concurrency = options.concurrency ?? 3;
  if (!Number.isInteger(concurrency) || concurrency < 1) throw bad('concurrency', concurrency, 'a whole number from 1');
  return {
    sessionTimeoutMs,
    heartbeatIntervalMs,
    rebalanceTimeoutMs,
    maxWaitMs: options.maxWaitMs ?? 250,
    maxBytesPerPartition: options.maxBytesPerPartition ?? 1_048_576,
    concurrency,
    stopTimeoutMs: options.stopTimeoutMs ?? 10_000,
    stallMs: Math.max(30_000, 2 * sessionTimeoutMs, rebalanceTimeoutMs + 15_000),
  };
}

function bad(name: string, value: unknown, allowed: string): KafkaError {
  return new KafkaError('KAFKA_BAD_ARGUMENT', `${name} is ${JSON.stringify(value)}; allowed: ${allowed}.`, {
    retryable: false,
  });
}
