import { KafkaError } from '../errors.ts';
import type { Tenure } from '../kafkajs/tenure.ts';
import { partitionName } from '../outgoing.ts';
import type { BatchContext, ConsumerOptions, IncomingMessage, TopicPartition } from '../port.ts';
import { toKafkaError } from './errors.ts';
import type { FetchedBatch } from './reading.ts';

export interface PartitionWorkOptions {
  settings: Pick<ConsumerOptions, 'onBatch'> & { concurrency: number };
  tenure: Tenure;
  commit(position: TopicPartition & { offset: bigint }): Promise<void>;
  isPaused(name: string): boolean;
  seek(partition: TopicPartition, offset: bigint): void;
  onProgress(): void;
  onError(error: unknown): void;
  /** The group did not take a commit: the tenure is over. */
  onLost(): void;
}

/** The batches of one tenure: so many at a time, each again until it is done, committed, or the partition is lost. */
export class PartitionWork {
  readonly #options: PartitionWorkOptions;
  readonly #aborting = new AbortController();
  readonly #inFlight = new Set<Promise<void>>();
  readonly #queue: (() => void)[] = [];
  readonly #sleepers = new Set<() => void>();
  #atWork = 0;
  #finishing = false;

  constructor(options: PartitionWorkOptions) {
    this.#options = options;
  }

  /** Resolves when the batch is done, or no longer this member's to do. Never rejects. */
  take(batch: FetchedBatch): Promise<void> {
    const work = this.#process(batch).catch((error) => this.#options.onError(error));
    this.#inFlight.add(work);
    return work.finally(() => this.#inFlight.delete(work));
  }

  /** Begins nothing new and waits for what is in flight; after the time its signals are aborted. */
  async finish(timeoutMs: number): Promise<void> {
    this.#finishing = true;
    for (const wake of [...this.#queue.splice(0), ...this.#sleepers]) wake();
    const done = Promise.allSettled(this.#inFlight);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    this.#aborting.signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
    await Promise.race([done, late, this.#aborted()]);
    clearTimeout(timer);
    this.abort();
    await done;
  }

  /** The partitions are, or may be, somebody else's. */
  abort(): void {
    this.#finishing = true;
    this.#aborting.abort();
    for (const wake of [...this.#queue.splice(0), ...this.#sleepers]) wake();
  }

  get #holds(): boolean {
    return !this.#aborting.signal.aborted && this.#options.tenure.holds(performance.now());
  }

  async #process(batch: FetchedBatch): Promise<void> {
    const { topic, partition } = batch;
    let messages: readonly IncomingMessage[] | null = null;
    for (let failures = 0; messages === null || messages.length > 0; ) {
      await this.#slot();
      try {
        if (this.#finishing || !this.#holds) return;
        messages ??= batch.messages();
        if (messages.length === 0) return;
        if (this.#options.isPaused(partitionName(topic, partition))) {
          this.#options.seek({ topic, partition }, messages[0]!.offset);
          return;
        }
        const rest: readonly IncomingMessage[] | null = await this.#once(batch, messages);
        if (rest === null) return;
        failures = rest.length === messages.length ? failures + 1 : 0;
        messages = rest;
      } finally {
        this.#release();
      }
      if (failures > 0) await this.#sleep(Math.min(5_000, 100 * 2 ** (failures - 1)));
    }
  }

  /** Hands the messages over once and commits. Answers those that are still to be done; null where nothing more is. */
  async #once(
    { topic, partition, highWatermark }: FetchedBatch,
    messages: readonly IncomingMessage[],
  ): Promise<readonly IncomingMessage[] | null> {
    const context: BatchContext = { isOwner: () => this.#holds, signal: this.#aborting.signal };
    let resolvedOffset: bigint;
    try {
      const result = await this.#options.settings.onBatch({ topic, partition, messages, highWatermark }, context);
      resolvedOffset = result?.resolvedOffset ?? messages.at(-1)!.offset;
    } catch (error) {
      if (!this.#holds) return null;
      this.#options.onError(
        new KafkaError('KAFKA_UNEXPECTED', `onBatch of ${topic}[${partition}] failed`, {
          retryable: true,
          cause: error,
        }),
      );
      return messages;
    }
    if (!(await this.#commit({ topic, partition, offset: resolvedOffset + 1n }))) return null;
    this.#options.onProgress();
    return messages.filter(({ offset }) => offset > resolvedOffset);
  }

  /** Tries for as long as the partition is this member's. */
  async #commit(position: TopicPartition & { offset: bigint }): Promise<boolean> {
    for (let attempt = 0; this.#holds; attempt++) {
      try {
        await this.#options.commit(position);
        return true;
      } catch (thrown) {
        const error = toKafkaError(thrown, 'commit');
        this.#options.onError(error);
        if (error.code === 'KAFKA_NOT_OWNER') {
          this.#options.onLost();
          return false;
        }
        await this.#sleep(Math.min(1_000, 50 * 2 ** attempt), true);
      }
    }
    return false;
  }

  async #slot(): Promise<void> {
    if (this.#atWork >= this.#options.settings.concurrency && !this.#finishing) {
      await new Promise<void>((resolve) => this.#queue.push(resolve));
    }
    this.#atWork++;
  }

  #release(): void {
    this.#atWork--;
    this.#queue.shift()?.();
  }

  /** `always`: also while finishing, when there is still something to commit. */
  #sleep(ms: number, always = false): Promise<void> {
    if (this.#aborting.signal.aborted || (this.#finishing && !always)) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#sleepers.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.#sleepers.add(wake);
    });
  }

  #aborted(): Promise<void> {
    const { signal } = this.#aborting;
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  }
}
