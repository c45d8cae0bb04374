import { setTimeout as delay } from 'node:timers/promises';
import { KafkaError } from '../errors.ts';
import { byPartition, checkMessages } from '../outgoing.ts';
import type { OutgoingMessage, PublishReport } from '../port.ts';
import { errorOfProtocolCode, hasMoved, protocolCode, toKafkaError } from './errors.ts';
import {
  type Chunk,
  chunksOf,
  halves,
  type PartAnswer,
  type ProducerIdentity,
  partKey,
  placeOf,
  produce,
} from './produce.ts';
import { mayHaveArrived, type Wire } from './wire.ts';

/** A producer id and how many messages each partition got from it: what makes a repeated batch a duplicate. */
export interface ProducerSession {
  identity: ProducerIdentity;
  sequences: Map<string, number>;
}

export interface DeliveryOptions {
  wire: Wire;
  acks: 'all' | 'leader';
  transactionalId?: string;
  /** The session to send with; null sends without idempotence. Asked before every try. */
  session(): Promise<ProducerSession | null>;
  /** The broker does not take the session any more. True: there will be another one. */
  sessionLost(session: ProducerSession): boolean;
  /** All or nothing: when one part failed for good, the others need not be tried. */
  together?: boolean;
  /** What has no acknowledgement after one try, or two where the leader had moved, has failed. */
  triedOnce?: boolean;
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

/** One batch on its way to its partitions' leaders: as many tries as its time allows, and an answer for each partition. */
export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #parts: Part[];
  #leaderMoved = false;

  /** Throws `KAFKA_BAD_ARGUMENT` for a malformed batch. */
  constructor(messages: readonly OutgoingMessage[], options: DeliveryOptions) {
    checkMessages(messages);
    this.#options = options;
    this.#parts = byPartition(messages).map((group) => ({
      topic: group.topic,
      partition: group.partition,
      chunks: chunksOf(group),
      count: group.messages.length,
      baseOffset: null,
      outcome: 'open',
      trouble: null,
    }));
  }

  get partitions(): { topic: string; partition: number }[] {
    return this.#parts.map(({ topic, partition }) => ({ topic, partition }));
  }

  /** Tries until all is acknowledged or failed for good, or the time is over. `gaveUp`: what was sent last is not known. */
  async run(deadline: number): Promise<{ report: PublishReport; gaveUp: boolean }> {
    const lookUntil = this.#options.acks === 'all' ? performance.now() + newTopicMs : 0;
    for (let attempt = 0; ; attempt++) {
      const before = this.#chunksLeft;
      await this.#tryOnce(this.#open, deadline, lookUntil);
      const open = this.#open;
      if (open.length === 0) return { report: this.#report(), gaveUp: false };
      const isDoomed = this.#options.together && this.#parts.some(({ outcome }) => outcome instanceof KafkaError);
      const progress = this.#chunksLeft !== before;
      if (progress) attempt = -1;
      const pauseMs = progress ? 0 : backoffMs(attempt);
      const isOver = isDoomed || (this.#options.triedOnce && !progress && (attempt > 0 || !this.#leaderMoved));
      if (isOver || performance.now() + pauseMs >= deadline) {
        for (const part of open) part.outcome = part.trouble ?? notAcknowledged(part, 'the time to deliver is over');
        return { report: this.#report(), gaveUp: true };
      }
      if (pauseMs > 0) await delay(pauseMs);
    }
  }

  /** Sends the next record batch of each part to its leader, once. */
  async #tryOnce(parts: Part[], deadline: number, lookUntil: number): Promise<void> {
    const { wire } = this.#options;
    let byLeader: Map<number, Part[]>;
    let session: ProducerSession | null;
    try {
      byLeader = await this.#byLeader(parts, lookUntil);
      session = byLeader.size > 0 ? await this.#options.session() : null;
    } catch (error) {
      for (const part of parts) this.#noAnswer(part, error);
      return;
    }
    const leftMs = Math.max(250, Math.ceil(deadline - performance.now()));
    const deadlineMs = Math.min(wire.requestTimeoutMs, leftMs);
    await Promise.all([...byLeader].map(([leader, group]) => this.#send(leader, group, session, deadlineMs)));
  }

  async #byLeader(parts: Part[], lookUntil: number): Promise<Map<number, Part[]>> {
    const { wire } = this.#options;
    const byLeader = new Map<number, Part[]>();
    const unknown = [...new Set(parts.map(({ topic }) => topic))].filter((topic) => !wire.known(topic));
    if (unknown.length > 0) await wire.refresh(unknown);
    for (const part of parts) {
      const metadata = wire.known(part.topic);
      const leader = metadata?.partitions.find(({ partition }) => partition === part.partition)?.leader;
      if (leader === undefined || leader < 0) {
        wire.forget([part.topic]);
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

  async #send(leader: number, parts: Part[], session: ProducerSession | null, deadlineMs: number): Promise<void> {
    const { wire, acks, transactionalId } = this.#options;
    let answers: Map<string, PartAnswer>;
    try {
      answers = await produce(wire, leader, {
        acks,
        transactionalId,
        identity: session?.identity,
        parts: parts.map((part) => ({
          topic: part.topic,
          partition: part.partition,
          messages: part.chunks[0]!.messages,
          bytes: part.chunks[0]!.bytes,
          sequence: session ? (session.sequences.get(partKey(part)) ?? 0) : undefined,
        })),
        deadlineMs,
      });
    } catch (error) {
      for (const part of parts) this.#noAnswer(part, error);
      return;
    }
    for (const part of parts) {
      const answer = answers.get(partKey(part));
      if (answer) this.#answered(part, answer, session);
      else this.#noAnswer(part, notAcknowledged(part, 'the broker left it out of its answer'));
    }
  }

  #answered(part: Part, { errorCode, message, baseOffset }: PartAnswer, session: ProducerSession | null): void {
    const key = partKey(part);
    const chunk = part.chunks[0]!;
    if (errorCode === protocolCode.none || errorCode === protocolCode.duplicateSequenceNumber) {
      session?.sequences.set(key, ((session.sequences.get(key) ?? 0) + chunk.messages.length) % sequenceSpace);
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
    } else if (hasMoved(errorCode)) {
      this.#leaderMoved = true;
      this.#options.wire.forget([part.topic]);
    } else if (session && lostProducerCodes.has(errorCode)) {
      if (!this.#options.sessionLost(session)) part.outcome = error;
    } else if (!error.retryable) part.outcome = error;
    // An answer that the replicas are too few or too slow leaves open whether the leader keeps the batch.
    else if (this.#options.acks === 'leader') part.outcome = notAcknowledged(part, error.message, error);
  }

  #noAnswer(part: Part, cause: unknown): void {
    const error = toKafkaError(cause, `publish to ${placeOf(part)}`);
    part.trouble = error;
    this.#options.wire.forget([part.topic]);
    if (!error.retryable) part.outcome = error;
    else if (this.#options.acks === 'leader' && mayHaveArrived(cause)) {
      part.outcome = notAcknowledged(part, error.message, error);
    }
  }

  #report(): PublishReport {
    const report: PublishReport = { acknowledged: [], failed: [] };
    for (const { topic, partition, count, baseOffset, outcome, refused } of this.#parts) {
      if (outcome === 'acknowledged') report.acknowledged.push({ topic, partition, baseOffset, count });
      else if (outcome !== 'open') report.failed.push({ topic, partition, error: outcome, refused });
    }
    return report;
  }

  get #open(): Part[] {
    return this.#parts.filter(({ outcome }) => outcome === 'open');
  }

  get #chunksLeft(): number {
    return this.#parts.reduce((sum, { chunks }) => sum + chunks.length, 0);
  }
}

/** The broker refuses what is in the batch, and will again. */
const refusals = new Set<string>(['KAFKA_MESSAGE_TOO_LARGE', 'KAFKA_BAD_ARGUMENT']);

/** The broker does not know, or no longer takes, this producer id. */
const lostProducerCodes = new Set<number>([
  protocolCode.outOfOrderSequenceNumber,
  protocolCode.unknownProducerId,
  protocolCode.invalidProducerEpoch,
  protocolCode.invalidProducerIdMapping,
]);

function notAcknowledged(part: Part, why: string, cause?: unknown): KafkaError {
  return new KafkaError('KAFKA_NOT_ACKNOWLEDGED', `publish to ${placeOf(part)}: ${why}`, { retryable: true, cause });
}

/** 20 ms, doubled up to a second, with a spread of a quarter so that nodes do not come in step. */
function backoffMs(attempt: number): number {
  return Math.min(1_000, 20 * 2 ** attempt) * (0.75 + Math.random() * 0.5);
}
