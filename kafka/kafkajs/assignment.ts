import type { Consumer as NativeConsumer } from 'kafkajs';
import { KafkaError } from '../errors.ts';
import { partitionName } from '../outgoing.ts';
import type { ConsumerOptions, Logger, TopicPartition } from '../port.ts';
import { Tenure, type TenureLimits } from './tenure.ts';

export interface AssignmentContext {
  consumer: Pick<NativeConsumer, 'pause' | 'resume' | 'seek'>;
  options: Pick<ConsumerOptions, 'onAssigned' | 'onRevoked' | 'onOffsetOutOfRange'>;
  limits: TenureLimits;
  /** Names of the partitions that the user paused. */
  paused: ReadonlySet<string>;
  logger: Logger | undefined;
  report(error: unknown, doing: string): void;
}

/**
 * Which partitions a session has, from where they are read, and which of them kafkajs fetches at the moment. All of them
 * are held back from the moment of an assignment until their start positions are known.
 */
export class Assignment {
  readonly #context: AssignmentContext;
  readonly #background = new Set<Promise<void>>();
  /** Partitions that wait: for their turn after a failure, or for a new position. */
  readonly #held = new Set<string>();
  #tenure: Tenure | null = null;
  #stopping = false;

  constructor(context: AssignmentContext) {
    this.#context = context;
  }

  get tenure(): Tenure | null {
    return this.#tenure;
  }

  get partitions(): readonly TopicPartition[] {
    return this.#tenure && !this.#tenure.over ? this.#tenure.partitions : [];
  }

  /** Whether a batch of this partition may be worked on now. */
  flows(name: string): boolean {
    const tenure = this.#tenure;
    return tenure?.ready === true && tenure.has(name) && !this.#waits(name);
  }

  /** Called by kafkajs before it fetches anything for the new assignment. */
  begin(partitions: readonly TopicPartition[]): void {
    this.end();
    this.#held.clear();
    const tenure = new Tenure(partitions, this.#context.limits, performance.now());
    this.#tenure = tenure;
    for (const partition of partitions) this.applyPause(partition);
    this.#inBackground(this.#takeUp(tenure));
  }

  /** The partitions are gone, or about to go. Answers whether there were any left to lose. */
  end(): boolean {
    const tenure = this.#tenure;
    if (!tenure || tenure.over) return false;
    tenure.end();
    const { onRevoked } = this.#context.options;
    if (onRevoked && tenure.partitions.length > 0) {
      const revoke = async () => onRevoked(tenure.partitions);
      this.#inBackground(revoke().catch((error) => this.#context.report(error, 'onRevoked failed')));
    }
    return true;
  }

  /** From now on nothing more is fetched. */
  stop(): void {
    this.#stopping = true;
    for (const partition of this.partitions) this.applyPause(partition);
  }

  /** Waits for what the user's functions are still busy with. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#background]);
  }

  /** Makes kafkajs fetch a partition, or not, according to all that may hold it. */
  applyPause({ topic, partition }: TopicPartition): void {
    const name = partitionName(topic, partition);
    const tenure = this.#tenure;
    if (!tenure || tenure.over || !tenure.has(name)) return;
    const { consumer } = this.#context;
    const partitions = [{ topic, partitions: [partition] }];
    const pause = !tenure.ready || this.#waits(name);
    this.#native(() => (pause ? consumer.pause(partitions) : consumer.resume(partitions)));
  }

  /** Fetches nothing of the partition for so long; others flow. */
  holdFor(partition: TopicPartition, ms: number): void {
    const name = partitionName(partition.topic, partition.partition);
    const tenure = this.#tenure;
    this.#held.add(name);
    this.applyPause(partition);
    setTimeout(() => {
      if (this.#tenure === tenure) this.#release(partition, name);
    }, ms).unref();
  }

  /** The position of a partition is out of range: holds it at once, and releases it at a new position. */
  moveIntoRange(
    place: TopicPartition & { offset: bigint },
    range: () => Promise<{ beginning: bigint; end: bigint }>,
  ): void {
    const name = partitionName(place.topic, place.partition);
    this.#held.add(name);
    this.applyPause(place);
    this.#inBackground(this.#move(place, name, range));
  }

  /** Asks for start positions, then lets the partitions flow. */
  async #takeUp(tenure: Tenure): Promise<void> {
    await this.settled();
    const starts = await this.#untilItSucceeds(tenure, 'onAssigned failed', async () => {
      if (tenure.partitions.length === 0) return [];
      const answer = (await this.#context.options.onAssigned?.(tenure.partitions)) ?? [];
      for (const { offset } of answer) checkOffset(offset, 'onAssigned');
      return answer;
    });
    if (!starts) return;
    for (const start of starts) if (tenure.has(partitionName(start.topic, start.partition))) this.#seek(start);
    tenure.ready = true;
    for (const partition of tenure.partitions) this.applyPause(partition);
  }

  async #move(
    { topic, partition, offset }: TopicPartition & { offset: bigint },
    name: string,
    range: () => Promise<{ beginning: bigint; end: bigint }>,
  ): Promise<void> {
    const tenure = this.#tenure;
    if (!tenure) return;
    const to = await this.#untilItSucceeds(tenure, 'Moving a position into range failed', async () => {
      const { beginning, end } = await range();
      this.#context.logger?.warn(`kafka: offset ${offset} of ${topic}[${partition}] is outside ${beginning} to ${end}`);
      const ask = this.#context.options.onOffsetOutOfRange;
      return ask
        ? checkOffset(await ask({ topic, partition, offset, beginning, end }), 'onOffsetOutOfRange')
        : beginning;
    });
    if (to === undefined) return;
    this.#seek({ topic, partition, offset: to });
    this.#release({ topic, partition }, name);
  }

  /** Undefined where the partitions went meanwhile. */
  async #untilItSucceeds<Result>(
    tenure: Tenure,
    failed: string,
    work: () => Promise<Result>,
  ): Promise<Result | undefined> {
    const goesOn = () => !tenure.over && !this.#stopping;
    for (let attempt = 0; goesOn(); attempt++) {
      try {
        const result = await work();
        return goesOn() ? result : undefined;
      } catch (error) {
        this.#context.report(error, failed);
      }
      await new Promise((resolve) => setTimeout(resolve, Math.min(2000, 100 * 2 ** attempt)));
    }
    return undefined;
  }

  #waits(name: string): boolean {
    return this.#stopping || this.#held.has(name) || this.#context.paused.has(name);
  }

  #release(partition: TopicPartition, name: string): void {
    this.#held.delete(name);
    this.applyPause(partition);
  }

  #seek({ topic, partition, offset }: TopicPartition & { offset: bigint }): void {
    this.#native(() => this.#context.consumer.seek({ topic, partition, offset: String(offset) }));
  }

  /** kafkajs refuses these calls once it has stopped by itself; then the session is about to end. */
  #native(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#context.logger?.debug('kafka: the consumer has already stopped', error);
    }
  }

  #inBackground(work: Promise<void>): void {
    const settled = work
      .catch((error) => this.#context.report(error, 'The consumer failed'))
      .finally(() => this.#background.delete(settled));
    this.#background.add(settled);
  }
}

function checkOffset(offset: bigint, source: string): bigint {
  if (typeof offset === 'bigint' && offset >= 0n) return offset;
  throw new KafkaError('KAFKA_BAD_ARGUMENT', `${source} answered the offset ${offset}; allowed: a bigint from 0n.`, {
    retryable: false,
  });
}
