import { setTimeout as delay } from 'node:timers/promises';
import { KafkaError } from '../errors.ts';
import type { KafkaConnection, OutgoingMessage, Publisher, PublisherOptions, PublishReport } from '../port.ts';
import { errorOfProtocolCode, hasMoved, protocolCode, toKafkaError } from './errors.ts';
import {
  type Chunk,
  chunksOf,
  initProducer,
  type PartAnswer,
  type ProducerIdentity,
  partKey,
  produce,
} from './produce.ts';
import { mayHaveArrived, Wire } from './wire.ts';

export interface PlatformaticPublisherOptions extends PublisherOptions {
  /**
   * `all` (default): idempotent; a batch without an answer is sent again with the same producer id and sequence numbers,
   * so that a broker that has it already takes it as a duplicate. Calls go one after the other.
   *
   * `leader`: at most once, for what is useless when it is late. Only what certainly was not stored is sent again; calls go
   * side by side.
   */
  acks?: 'all' | 'leader';
}

/** The messages of one partition on their way. */
interface Part {
  topic: string;
  partition: number;
  chunks: Chunk[];
  count: number;
  baseOffset: bigint | null;
  outcome: 'open' | 'acknowledged' | KafkaError;
  startedMs: number;
  /** Why the last try did not succeed. */
  trouble: KafkaError | null;
}

const newTopicMs = 2_000;

/** Idempotence counts a producer id's messages for each partition in 31 bits. */
const sequenceSpace = 2 ** 31;

export class PlatformaticPublisher implements Publisher {
  readonly #wire: Wire;
  readonly #acks: 'all' | 'leader';
  readonly #deliveryTimeoutMs: number;
  readonly #running = new Set<Promise<unknown>>();
  #last: Promise<unknown> = Promise.resolve();
  #identity: ProducerIdentity | null = null;
  #sequences = new Map<string, number>();
  #closed = false;

  constructor(connection: KafkaConnection, options: PlatformaticPublisherOptions = {}) {
    this.#acks = options.acks ?? 'all';
    this.#deliveryTimeoutMs = options.deliveryTimeoutMs ?? 10_000;
    this.#wire = new Wire(connection, {
      requestTimeoutMs: Math.min(connection.requestTimeoutMs ?? 5_000, this.#deliveryTimeoutMs),
    });
  }

  publish(messages: readonly OutgoingMessage[]): Promise<PublishReport> {
    if (this.#closed) return Promise.reject(closed());
    let parts: Part[];
    try {
      parts = partsOf(messages);
    } catch (error) {
      return Promise.reject(error);
    }
    if (parts.length === 0) return Promise.resolve({ acknowledged: [], failed: [] });
    const run =
      this.#acks === 'all'
        ? this.#last.then(() => this.#deliver(parts))
        : Promise.resolve().then(() => this.#deliver(parts));
    this.#last = run.catch(() => undefined);
    this.#running.add(run);
    return run.finally(() => this.#running.delete(run));
  }

  /** Batches in flight get their answer first; what waits for another try fails with `KAFKA_CLOSED`. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#running);
    this.#wire.close();
  }

  async #deliver(parts: Part[]): Promise<PublishReport> {
    const started = performance.now();
    for (const part of parts) part.startedMs = started;
    const deadline = started + this.#deliveryTimeoutMs;
    for (let attempt = 0; ; attempt++) {
      const before = chunksLeft(parts);
      await this.#tryOnce(parts.filter(isOpen), deadline);
      const open = parts.filter(isOpen);
      if (open.length === 0) break;
      const progress = chunksLeft(parts) !== before;
      if (progress) attempt = -1;
      const pauseMs = progress ? 0 : backoffMs(attempt);
      if (this.#closed || performance.now() + pauseMs >= deadline) {
        this.#giveUp(open);
        break;
      }
      if (pauseMs > 0) await delay(pauseMs);
    }
    return reportOf(parts);
  }

  /** Sends the next record batch of each part to its leader, once. */
  async #tryOnce(parts: Part[], deadline: number): Promise<void> {
    let byLeader: Map<number, Part[]>;
    try {
      byLeader = await this.#byLeader(parts);
      if (this.#acks === 'all') this.#identity ??= await initProducer(this.#wire, 'any');
    } catch (error) {
      for (const part of parts) this.#noAnswer(part, error);
      return;
    }
    const leftMs = Math.max(250, Math.ceil(deadline - performance.now()));
    const deadlineMs = Math.min(this.#wire.requestTimeoutMs, leftMs);
    await Promise.all([...byLeader].map(([leader, group]) => this.#send(leader, group, deadlineMs)));
  }

  async #byLeader(parts: Part[]): Promise<Map<number, Part[]>> {
    const byLeader = new Map<number, Part[]>();
    const unknown = [...new Set(parts.map(({ topic }) => topic))].filter((topic) => !this.#wire.known(topic));
    if (unknown.length > 0) await this.#wire.refresh(unknown);
    for (const part of parts) {
      const metadata = this.#wire.known(part.topic);
      const leader = metadata?.partitions.find(({ partition }) => partition === part.partition)?.leader;
      if (leader === undefined || leader < 0) {
        this.#wire.forget([part.topic]);
        part.trouble = errorOfProtocolCode(
          leader === undefined ? protocolCode.unknownTopicOrPartition : protocolCode.leaderNotAvailable,
          `publish to ${partKey(part)}`,
        );
        if (leader === undefined && (metadata || this.#isOverdue(part))) part.outcome = part.trouble;
        continue;
      }
      const group = byLeader.get(leader);
      if (group) group.push(part);
      else byLeader.set(leader, [part]);
    }
    return byLeader;
  }

  /**
   * Brokers hear of a new topic one after the other, so one that is not there is looked for again for a while, except
   * where that would make the messages useless.
   */
  #isOverdue({ startedMs }: Part): boolean {
    return this.#acks === 'leader' || performance.now() - startedMs > newTopicMs;
  }

  async #send(leader: number, parts: Part[], deadlineMs: number): Promise<void> {
    const identity = this.#identity;
    let answers: Map<string, PartAnswer>;
    try {
      answers = await produce(this.#wire, leader, {
        acks: this.#acks,
        identity: identity ?? undefined,
        parts: parts.map((part) => ({
          topic: part.topic,
          partition: part.partition,
          messages: part.chunks[0]!.messages,
          sequence: identity ? (this.#sequences.get(partKey(part)) ?? 0) : undefined,
        })),
        deadlineMs,
      });
    } catch (error) {
      for (const part of parts) this.#noAnswer(part, error);
      return;
    }
    for (const part of parts) {
      const answer = answers.get(partKey(part));
      if (answer) this.#answered(part, answer, identity);
      else this.#noAnswer(part, notAcknowledged(part, 'the broker left it out of its answer'));
    }
  }

  #answered(part: Part, { errorCode, message, baseOffset }: PartAnswer, identity: ProducerIdentity | null): void {
    const key = partKey(part);
    const chunk = part.chunks[0]!;
    if (errorCode === protocolCode.none || errorCode === protocolCode.duplicateSequenceNumber) {
      // Another leader's answer may have cost this identity meanwhile; the next one counts from zero.
      if (identity && identity === this.#identity) {
        this.#sequences.set(key, ((this.#sequences.get(key) ?? 0) + chunk.messages.length) % sequenceSpace);
      }
      if (part.baseOffset === null) part.baseOffset = baseOffset;
      part.chunks.shift();
      if (part.chunks.length === 0) part.outcome = 'acknowledged';
      return;
    }
    const error = errorOfProtocolCode(errorCode, `publish to ${key}${message ? ` (${message})` : ''}`);
    part.trouble = error;
    if (error.code === 'KAFKA_MESSAGE_TOO_LARGE' && chunk.messages.length > 1) {
      // The topic takes less than this adapter's batches hold: halve, until only the message that is too large fails.
      part.chunks.splice(0, 1, ...chunksOf(chunk.messages, Math.ceil(chunk.bytes / 2)));
      if (part.chunks[0]!.messages.length === chunk.messages.length) part.chunks.splice(0, 1, ...singles(chunk));
      return;
    }
    if (hasMoved(errorCode)) {
      this.#wire.forget([part.topic]);
      return;
    }
    if (lostProducerCodes.has(errorCode)) {
      this.#newIdentity();
      return;
    }
    if (!error.retryable) part.outcome = error;
    // An answer that the replicas are too few or too slow leaves open whether the leader keeps the batch.
    else if (this.#acks === 'leader') part.outcome = notAcknowledged(part, error.message, error);
  }

  #noAnswer(part: Part, cause: unknown): void {
    const error = toKafkaError(cause, `publish to ${partKey(part)}`);
    part.trouble = error;
    this.#wire.forget([part.topic]);
    if (!error.retryable && error.code !== 'KAFKA_NOT_ACKNOWLEDGED') part.outcome = error;
    else if (this.#acks === 'leader' && mayHaveArrived(cause))
      part.outcome = notAcknowledged(part, error.message, error);
  }

  #giveUp(parts: Part[]): void {
    for (const part of parts) {
      const { trouble } = part;
      if (this.#closed) part.outcome = closed(trouble);
      else part.outcome = trouble ?? notAcknowledged(part, 'the time to deliver is over');
    }
    // Whether their last batches are stored is not known, so the sequence numbers that follow are not either.
    if (this.#acks === 'all') this.#newIdentity();
  }

  #newIdentity(): void {
    this.#identity = null;
    this.#sequences = new Map();
  }
}

/** The broker does not know, or no longer takes, this producer id: the next try gets a new one. */
const lostProducerCodes = new Set<number>([
  protocolCode.outOfOrderSequenceNumber,
  protocolCode.unknownProducerId,
  protocolCode.invalidProducerEpoch,
  protocolCode.invalidProducerIdMapping,
]);

function partsOf(messages: readonly OutgoingMessage[]): Part[] {
  const groups = new Map<string, OutgoingMessage[]>();
  messages.forEach((message, index) => {
    checkMessage(message, index);
    const key = partKey(message);
    const group = groups.get(key);
    if (group) group.push(message);
    else groups.set(key, [message]);
  });
  return [...groups.values()].map((group) => ({
    topic: group[0]!.topic,
    partition: group[0]!.partition,
    chunks: chunksOf(group),
    count: group.length,
    baseOffset: null,
    outcome: 'open',
    startedMs: performance.now(),
    trouble: null,
  }));
}

function checkMessage({ topic, partition, key, value }: OutgoingMessage, index: number): void {
  const complain = (what: string) => {
    throw new KafkaError('KAFKA_BAD_ARGUMENT', `message ${index}: ${what}`, { retryable: false });
  };
  if (typeof topic !== 'string' || topic === '') complain(`topic must be a non-empty string, got ${String(topic)}`);
  if (!Number.isInteger(partition) || partition < 0) {
    complain(`partition must be an integer of 0 or more, got ${String(partition)}`);
  }
  if (key !== null && !Buffer.isBuffer(key)) complain('key must be a Buffer or null');
  if (value !== null && !Buffer.isBuffer(value)) complain('value must be a Buffer or null');
}

function singles(chunk: Chunk): Chunk[] {
  return chunk.messages.flatMap((message) => chunksOf([message]));
}

function reportOf(parts: Part[]): PublishReport {
  const report: PublishReport = { acknowledged: [], failed: [] };
  for (const { topic, partition, count, baseOffset, outcome } of parts) {
    if (outcome === 'acknowledged') report.acknowledged.push({ topic, partition, baseOffset, count });
    else if (outcome !== 'open') report.failed.push({ topic, partition, error: outcome });
  }
  return report;
}

function isOpen({ outcome }: Part): boolean {
  return outcome === 'open';
}

function chunksLeft(parts: Part[]): number {
  return parts.reduce((sum, { chunks }) => sum + chunks.length, 0);
}

function notAcknowledged(part: Part, why: string, cause?: unknown): KafkaError {
  return new KafkaError('KAFKA_NOT_ACKNOWLEDGED', `publish to ${partKey(part)}: ${why}`, { retryable: true, cause });
}

function closed(cause?: unknown): KafkaError {
  return new KafkaError('KAFKA_CLOSED', 'the publisher is closed', { retryable: false, cause });
}

/** 20 ms, doubled up to a second, with a spread of a quarter so that nodes do not come in step. */
function backoffMs(attempt: number): number {
  return Math.min(1_000, 20 * 2 ** attempt) * (0.75 + Math.random() * 0.5);
}
