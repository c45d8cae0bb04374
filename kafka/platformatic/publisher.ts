import { setTimeout as delay } from 'node:timers/promises';
import { KafkaError } from '../errors.ts';
import { byPartition, checkMessages } from '../outgoing.ts';
import type { KafkaConnection, OutgoingMessage, Publisher, PublisherOptions, PublishReport } from '../port.ts';
import { errorOfProtocolCode, hasMoved, protocolCode, toKafkaError } from './errors.ts';
import {
  type Chunk,
  chunksOf,
  halves,
  initProducer,
  type PartAnswer,
  type ProducerIdentity,
  partKey,
  placeOf,
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
  /** Places of the messages that the broker refuses as they are. */
  refused?: readonly number[];
  /** Why the last try did not succeed. */
  trouble: KafkaError | null;
}

/** Brokers hear of a new topic one after the other, so one that is not there is looked for again for so long. */
const newTopicMs = 2_000;

/** A broker closes the connection on a request that is much larger. */
const maxRequestBytes = 16_000_000;

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
    // Waiting for the calls before it counts, too.
    const startedMs = performance.now();
    const before = this.#acks === 'all' ? this.#last : Promise.resolve();
    const run = before.then(() => this.#deliver(parts, startedMs));
    this.#last = run.catch(() => undefined);
    this.#running.add(run);
    return run.finally(() => this.#running.delete(run));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#running);
    this.#wire.close();
  }

  async #deliver(parts: Part[], startedMs: number): Promise<PublishReport> {
    const deadline = startedMs + this.#deliveryTimeoutMs;
    const lookUntil = this.#acks === 'all' ? performance.now() + newTopicMs : 0;
    for (let attempt = 0; ; attempt++) {
      const before = chunksLeft(parts);
      await this.#tryOnce(parts.filter(isOpen), deadline, lookUntil);
      const open = parts.filter(isOpen);
      if (open.length === 0) break;
      const progress = chunksLeft(parts) !== before;
      if (progress) attempt = -1;
      const pauseMs = progress ? 0 : backoffMs(attempt);
      if (performance.now() + pauseMs >= deadline) {
        this.#giveUp(open);
        break;
      }
      if (pauseMs > 0) await delay(pauseMs);
    }
    return reportOf(parts);
  }

  /** Sends the next record batch of each part to its leader, once. */
  async #tryOnce(parts: Part[], deadline: number, lookUntil: number): Promise<void> {
    let byLeader: Map<number, Part[]>;
    try {
      byLeader = await this.#byLeader(parts, lookUntil);
      if (this.#acks === 'all') this.#identity ??= await initProducer(this.#wire, 'any');
    } catch (error) {
      for (const part of parts) this.#noAnswer(part, error);
      return;
    }
    const leftMs = Math.max(250, Math.ceil(deadline - performance.now()));
    const deadlineMs = Math.min(this.#wire.requestTimeoutMs, leftMs);
    await Promise.all([...byLeader].map(([leader, group]) => this.#send(leader, group, deadlineMs)));
  }

  async #byLeader(parts: Part[], lookUntil: number): Promise<Map<number, Part[]>> {
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
          `publish to ${placeOf(part)}`,
        );
        if (leader === undefined && (metadata || performance.now() >= lookUntil)) part.outcome = part.trouble;
        continue;
      }
      const group = byLeader.get(leader) ?? [];
      byLeader.set(leader, group);
      // What does not fit into one request goes with the next one.
      const bytes = group.reduce((sum, { chunks }) => sum + chunks[0]!.bytes, 0);
      if (group.length === 0 || bytes + part.chunks[0]!.bytes <= maxRequestBytes) group.push(part);
    }
    return byLeader;
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
    const error = errorOfProtocolCode(errorCode, `publish to ${placeOf(part)}${message ? ` (${message})` : ''}`);
    part.trouble = error;
    if (refusals.has(error.code)) {
      // Nothing of the chunk is stored. Halves of it are sent until only the message itself is left.
      if (chunk.messages.length > 1) part.chunks.splice(0, 1, ...halves(chunk));
      else {
        part.outcome = error;
        part.refused = chunk.indexes;
      }
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
    const error = toKafkaError(cause, `publish to ${placeOf(part)}`);
    part.trouble = error;
    this.#wire.forget([part.topic]);
    if (!error.retryable && error.code !== 'KAFKA_NOT_ACKNOWLEDGED') part.outcome = error;
    else if (this.#acks === 'leader' && mayHaveArrived(cause))
      part.outcome = notAcknowledged(part, error.message, error);
  }

  #giveUp(parts: Part[]): void {
    for (const part of parts) {
      const { trouble } = part;
      part.outcome = trouble ?? notAcknowledged(part, 'the time to deliver is over');
    }
    // Whether their last batches are stored is not known, so the sequence numbers that follow are not either.
    if (this.#acks === 'all') this.#newIdentity();
  }

  #newIdentity(): void {
    this.#identity = null;
    this.#sequences = new Map();
  }
}

/** The broker refuses what is in the batch, and will again. */
const refusals = new Set<string>(['KAFKA_MESSAGE_TOO_LARGE', 'KAFKA_BAD_ARGUMENT']);

/** The broker does not know, or no longer takes, this producer id: the next try gets a new one. */
const lostProducerCodes = new Set<number>([
  protocolCode.outOfOrderSequenceNumber,
  protocolCode.unknownProducerId,
  protocolCode.invalidProducerEpoch,
  protocolCode.invalidProducerIdMapping,
]);

function partsOf(messages: readonly OutgoingMessage[]): Part[] {
  checkMessages(messages);
  return byPartition(messages).map((group) => ({
    topic: group.topic,
    partition: group.partition,
    chunks: chunksOf(group),
    count: group.messages.length,
    baseOffset: null,
    outcome: 'open',
    trouble: null,
  }));
}

function reportOf(parts: Part[]): PublishReport {
  const report: PublishReport = { acknowledged: [], failed: [] };
  for (const { topic, partition, count, baseOffset, outcome, refused } of parts) {
    if (outcome === 'acknowledged') report.acknowledged.push({ topic, partition, baseOffset, count });
    else if (outcome !== 'open') report.failed.push({ topic, partition, error: outcome, refused });
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
  return new KafkaError('KAFKA_NOT_ACKNOWLEDGED', `publish to ${placeOf(part)}: ${why}`, { retryable: true, cause });
}

function closed(): KafkaError {
  return new KafkaError('KAFKA_CLOSED', 'the publisher is closed', { retryable: false });
}

/** 20 ms, doubled up to a second, with a spread of a quarter so that nodes do not come in step. */
function backoffMs(attempt: number): number {
  return Math.min(1_000, 20 * 2 ** attempt) * (0.75 + Math.random() * 0.5);
}
