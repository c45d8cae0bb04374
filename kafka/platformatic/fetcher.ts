import type { KafkaError } from '../errors.ts';
import type { KafkaConnection, TopicPartition } from '../port.ts';
import { isRead, readsEnough } from './enough.ts';
import { errorOfProtocolCode, hasMoved, protocolCode, toKafkaError } from './errors.ts';
import { fetchOnce } from './fetch.ts';
import type { PartitionAnswer } from './fetch-answer.ts';
import { listOffsets } from './offsets.ts';
import { partKey, placeOf } from './produce.ts';
import { type FetcherOptions, newReading, type Reading } from './reading.ts';
import { messagesOf, positionAfter } from './records.ts';
import { Sleep } from './sleep.ts';
import { type TopicMetadata, Wire } from './wire.ts';

/**
 * Fetches partitions from their leaders, for ever: one loop for each leader, and one that finds leaders and start positions
 * for partitions that have none (at the start, after an error, after a move). Every fetch has a hard deadline, so that a
 * broker that keeps a connection open and says nothing is noticed and left.
 */
export class Fetcher {
  readonly #options: FetcherOptions;
  /** Metadata and offsets; a long poll would hold them up on a shared connection. */
  readonly #control: Wire;
  readonly #data: Wire;
  readonly #readings = new Map<string, Reading>();
  readonly #loops = new Map<number, Promise<void>>();
  readonly #handlers = new Set<Promise<void>>();
  readonly #sleep = new Sleep();
  #finding: Promise<void> | null = null;
  #state: 'starting' | 'reading' | 'disconnected' = 'starting';
  #stopped = false;
  #failures = 0;
  lastFetchMs: number | null = null;

  constructor(connection: KafkaConnection, options: FetcherOptions) {
    this.#options = options;
    this.#control = new Wire(connection, { requestTimeoutMs: options.answerTimeoutMs });
    this.#data = new Wire(connection, { requestTimeoutMs: options.answerTimeoutMs });
  }

  add(partitions: readonly (TopicPartition & { from: 'beginning' | 'end' | bigint })[]): void {
    for (const partition of partitions) this.#readings.set(partKey(partition), newReading(partition));
    if (!this.#stopped) this.#finding ??= this.#findLeaders();
    this.#sleep.wake();
  }

  /** Answers of fetches that are on their way are dropped. */
  remove(partitions: readonly TopicPartition[]): void {
    for (const partition of partitions) this.#readings.delete(partKey(partition));
    this.#sleep.wake();
  }

  pause(partition: TopicPartition, paused: boolean): void {
    const reading = this.#readings.get(partKey(partition));
    if (reading) reading.paused = paused;
    this.#sleep.wake();
  }

  /** Goes on at another offset. */
  seek(partition: TopicPartition, offset: bigint): void {
    const reading = this.#readings.get(partKey(partition));
    if (reading) reading.position = offset;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#control.close();
    this.#data.close();
    this.#sleep.end();
    await Promise.allSettled([this.#finding, ...this.#loops.values()]);
    await Promise.allSettled(this.#handlers);
  }

  async #findLeaders(): Promise<void> {
    while (!this.#stopped) {
      const homeless = this.#all().filter(({ leader }) => leader === null);
      if (homeless.length === 0) {
        await this.#sleep.wait();
        continue;
      }
      // The first look is at once; what is lost again and again is looked for more and more slowly.
      const losses = Math.max(...homeless.map((reading) => reading.losses));
      if (losses > 1) await this.#sleep.wait(backoffMs(losses));
      let trouble: KafkaError | null;
      try {
        trouble = await this.#find(homeless);
      } catch (error) {
        trouble = toKafkaError(error, 'look for partitions');
        for (const reading of homeless) reading.tried = true;
      }
      if (this.#stopped || !trouble) continue;
      this.#assess(trouble);
      await this.#sleep.wait(backoffMs(++this.#failures));
    }
  }

  /** Gives partitions a leader and a position. Answers what kept some of them from it. */
  async #find(homeless: Reading[]): Promise<KafkaError | null> {
    const metadata = await this.#control.refresh([...new Set(homeless.map(({ topic }) => topic))]);
    for (const [nodeId, address] of this.#control.brokers) this.#data.learnBroker(nodeId, address);
    // Side by side: a broker that says nothing must not hold up the partitions of others.
    const troubles = await Promise.all(homeless.map((reading) => this.#findOne(reading, metadata.get(reading.topic))));
    this.#sleep.wake();
    return troubles.find((trouble) => trouble !== null) ?? null;
  }

  async #findOne(reading: Reading, topic: TopicMetadata | undefined): Promise<KafkaError | null> {
    const leader = topic?.partitions.find(({ partition }) => partition === reading.partition)?.leader;
    try {
      if (!topic || leader === undefined || leader < 0) {
        const code = leader === undefined ? protocolCode.unknownTopicOrPartition : protocolCode.leaderNotAvailable;
        throw errorOfProtocolCode(code, `read ${placeOf(reading)}`);
      }
      await this.#findPosition(reading, leader, topic.id);
    } catch (error) {
      reading.tried = true;
      return toKafkaError(error, `read ${placeOf(reading)}`);
    }
    if (!this.#isCurrent(reading)) return null;
    reading.leader = leader;
    if (!this.#loops.has(leader)) this.#startLoop(leader);
    return null;
  }

  async #findPosition(reading: Reading, leader: number, topicId: string): Promise<void> {
    const { topic, partition } = reading;
    if (reading.topicId !== null && reading.topicId !== topicId && reading.position !== null) {
      const [beginning, end] = await this.#bounds(reading, leader);
      reading.position = await this.#options.onOutOfRange({
        topic,
        partition,
        offset: reading.position,
        beginning,
        end,
        recreated: true,
      });
    }
    reading.topicId = topicId;
    if (reading.position !== null) return;
    const at = reading.from === 'beginning' ? 'beginning' : 'end';
    const offsets = await listOffsets(this.#control, leader, topic, [partition], at);
    reading.position ??= offsets.get(partition) ?? null;
  }

  async #bounds({ topic, partition }: Reading, leader: number): Promise<[bigint, bigint]> {
    const beginning = await listOffsets(this.#control, leader, topic, [partition], 'beginning');
    const end = await listOffsets(this.#control, leader, topic, [partition], 'end');
    return [beginning.get(partition) ?? 0n, end.get(partition) ?? 0n];
  }

  #startLoop(leader: number): void {
    const loop = this.#poll(leader).finally(() => {
      this.#loops.delete(leader);
      // A partition may have come while the loop was on its way out.
      if (!this.#stopped && this.#all().some((reading) => reading.leader === leader)) this.#startLoop(leader);
    });
    this.#loops.set(leader, loop);
  }

  async #poll(leader: number): Promise<void> {
    while (!this.#stopped) {
      const own = this.#all().filter((reading) => reading.leader === leader);
      if (own.length === 0) return;
      const ready = own.filter(({ busy, paused }) => !busy && !paused);
      if (ready.length === 0) {
        await this.#sleep.wait();
        continue;
      }
      try {
        await this.#fetch(leader, ready, this.#waitMs(own, ready));
      } catch (error) {
        if (this.#stopped) return;
        const trouble = toKafkaError(error, `fetch from broker ${leader}`);
        for (const reading of own) this.#lose(reading);
        this.#assess(trouble);
        return;
      }
    }
  }

  /**
   * How long the broker may wait for messages: not at all at first (so that one knows at once that it works), and shortly
   * while partitions are left out because they are worked on.
   */
  #waitMs(own: Reading[], ready: Reading[]): number {
    if (ready.some(({ healthy }) => !healthy)) return 0;
    return own.some(({ busy }) => busy) ? Math.min(20, this.#options.maxWaitMs) : this.#options.maxWaitMs;
  }

  async #fetch(leader: number, ready: Reading[], waitMs: number): Promise<void> {
    const { answerTimeoutMs, maxBytes, maxBytesPerPartition } = this.#options;
    const places = ready.map(({ topic, partition, topicId, position }) => ({
      topic,
      partition,
      topicId: topicId!,
      position: position!,
    }));
    const deadlineMs = waitMs + answerTimeoutMs;
    const answers = await fetchOnce(this.#data, leader, places, { waitMs, maxBytes, maxBytesPerPartition, deadlineMs });
    this.lastFetchMs = performance.now();
    for (const [at, reading] of ready.entries()) {
      const answer = answers.get(partKey(reading));
      // Taken away, or sent elsewhere, while the answer was on its way.
      const isStale = !this.#isCurrent(reading) || reading.paused || reading.position !== places[at]!.position;
      if (!answer || isStale) continue;
      if (answer.errorCode !== 0) await this.#refused(reading, leader, answer.errorCode);
      else this.#received(reading, answer);
    }
    if (this.unread === 0) this.#failures = 0;
    this.#assess(null);
  }

  #received(reading: Reading, answer: PartitionAnswer): void {
    reading.healthy = true;
    reading.losses = 0;
    const { topic, partition } = reading;
    const position = reading.position!;
    const { records, abortedTransactions, highWatermark } = answer;
    const next = positionAfter(records, position);
    if (next === position) return;
    reading.position = next;
    const messages = () => messagesOf(topic, partition, records, abortedTransactions, position);
    const result = this.#options.onBatch({ topic, partition, highWatermark, next, messages });
    if (!result) return;
    reading.busy = true;
    const handler = result.finally(() => {
      reading.busy = false;
      this.#handlers.delete(handler);
      this.#sleep.wake();
    });
    this.#handlers.add(handler);
  }

  async #refused(reading: Reading, leader: number, errorCode: number): Promise<void> {
    const { topic, partition } = reading;
    if (errorCode === protocolCode.offsetOutOfRange) {
      const offset = reading.position!;
      const [beginning, end] = await this.#bounds(reading, leader);
      reading.position = await this.#options.onOutOfRange({
        topic,
        partition,
        offset,
        beginning,
        end,
        recreated: false,
      });
      return;
    }
    this.#lose(reading);
    const error = errorOfProtocolCode(errorCode, `read ${placeOf(reading)}`);
    // A leader that moved is found within a moment; anything else is looked at more slowly.
    this.#assess(error);
    if (!hasMoved(errorCode)) await this.#sleep.wait(250);
  }

  #lose(reading: Reading): void {
    reading.leader = null;
    reading.healthy = false;
    reading.tried = true;
    reading.losses++;
    this.#sleep.wake();
  }

  /** Partitions that are not read at the moment and should be. */
  get unread(): number {
    return this.#all().filter((reading) => !isRead(reading)).length;
  }

  /** Is enough read? With an error: what just kept a partition from it. */
  #assess(error: KafkaError | null): void {
    if (readsEnough(this.#all(), this.#options.enough)) this.#report('reading', null);
    else if (error) this.#report('disconnected', error);
  }

  #report(state: 'reading' | 'disconnected', error: KafkaError | null): void {
    if (this.#state === state || this.#stopped) return;
    this.#state = state;
    this.#options.onStateChange?.(state, error);
  }

  #all(): Reading[] {
    return [...this.#readings.values()];
  }

  #isCurrent(reading: Reading): boolean {
    return !this.#stopped && this.#readings.get(partKey(reading)) === reading;
  }
}

/** 25 ms, doubled up to a second, with a spread of a quarter. */
function backoffMs(attempt: number): number {
  return Math.min(1_000, 25 * 2 ** (attempt - 1)) * (0.75 + Math.random() * 0.5);
}
