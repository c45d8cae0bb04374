import { compressionsAlgorithmsByBitmask, IS_COMPRESSED, IS_CONTROL, IS_TRANSACTIONAL } from '@platformatic/kafka';
import { KafkaError } from '../errors.ts';
import type { IncomingMessage } from '../port.ts';
import type { AbortedTransaction } from './fetch-answer.ts';
import { HeaderTexts, readHeaders } from './headers.ts';
import { magic, place } from './record-batch.ts';
import { type Cursor, readBytes, readVarint, readWideVarint } from './varint.ts';

/** Bit of a record batch's attributes: the broker set the time, and it is the batch's. */
const isLogAppendTime = 1 << 3;

/** The position after these record batches, read without a look into them. */
export function positionAfter(records: Buffer, position: bigint): bigint {
  let next = position;
  for (const { lastOffset } of batchesOf(records)) if (lastOffset >= next) next = lastOffset + 1n;
  return next;
}

/**
 * Messages of a fetch answer from `position` on, without control records and without those of aborted transactions (the client
 * library leaves that to its caller). Source: org.apache.kafka.clients.consumer.internals.
 * CompletedFetch, and KIP-98 for control records.
 */
export function messagesOf(
  topic: string,
  partition: number,
  records: Buffer,
  abortedTransactions: readonly AbortedTransaction[],
  position: bigint,
): IncomingMessage[] {
  const waiting = [...abortedTransactions].sort((one, other) => (one.firstOffset < other.firstOffset ? -1 : 1));
  const aborted = new Set<bigint>();
  const messages: IncomingMessage[] = [];
  const texts = new HeaderTexts();
  for (const batch of batchesOf(records)) {
    while (waiting[0] && waiting[0].firstOffset <= batch.lastOffset) aborted.add(waiting.shift()!.producerId);
    if (batch.attributes & IS_CONTROL) {
      if (isAbortMarker(batch)) aborted.delete(batch.producerId);
      continue;
    }
    if (batch.attributes & IS_TRANSACTIONAL && aborted.has(batch.producerId)) continue;
    for (const record of recordsOf(batch)) {
      const offset = batch.firstOffset + BigInt(record.offsetDelta);
      // A fetch answers whole batches: the first may begin before the position.
      if (offset < position) continue;
      const timestampMs =
        batch.attributes & isLogAppendTime ? batch.maxTimestampMs : batch.firstTimestampMs + record.timestampDelta;
      messages.push(new FetchedMessage(topic, partition, offset, timestampMs, record, texts));
    }
  }
  return messages;
}

interface Batch {
  firstOffset: bigint;
  lastOffset: bigint;
  attributes: number;
  firstTimestampMs: number;
  maxTimestampMs: number;
  producerId: bigint;
  count: number;
  /** The bytes of its records, as they are in the log. */
  packed: Buffer;
}

/** A broker cuts its answer off at the limit of bytes: what is not whole at the end is left out. */
function* batchesOf(records: Buffer): Generator<Batch> {
  for (let at = 0; at + place.leaderEpoch <= records.length; ) {
    const end = at + place.leaderEpoch + records.readInt32BE(at + place.length);
    if (end > records.length) return;
    const version = records.readInt8(at + place.magic);
    if (version !== magic) {
      throw new KafkaError('KAFKA_UNEXPECTED', `a record batch of version ${version}`, { retryable: false });
    }
    const firstOffset = records.readBigInt64BE(at + place.baseOffset);
    yield {
      firstOffset,
      lastOffset: firstOffset + BigInt(records.readInt32BE(at + place.lastOffsetDelta)),
      attributes: records.readInt16BE(at + place.attributes),
      firstTimestampMs: Number(records.readBigInt64BE(at + place.firstTimestamp)),
      maxTimestampMs: Number(records.readBigInt64BE(at + place.maxTimestamp)),
      producerId: records.readBigInt64BE(at + place.producerId),
      count: records.readInt32BE(at + place.count),
      packed: records.subarray(at + place.records, end),
    };
    at = end;
  }
}

interface FetchedRecord {
  timestampDelta: number;
  offsetDelta: number;
  key: Buffer | null;
  value: Buffer | null;
  /** Where its headers begin. */
  bytes: Buffer;
  headersAt: number;
}

function* recordsOf({ attributes, count, packed }: Batch): Generator<FetchedRecord> {
  const compression = attributes & IS_COMPRESSED;
  const bytes = compression === 0 ? packed : unpacked(packed, compression);
  const cursor: Cursor = { bytes, at: 0 };
  for (let index = 0; index < count; index++) {
    const length = readVarint(cursor);
    const end = cursor.at + length;
    cursor.at++; // attributes: none are defined
    const timestampDelta = readWideVarint(cursor);
    const offsetDelta = readVarint(cursor);
    const key = readBytes(cursor);
    const value = readBytes(cursor);
    if (length < 0 || end > bytes.length || cursor.at > end) {
      throw new KafkaError('KAFKA_UNEXPECTED', 'a record goes beyond its batch', { retryable: false });
    }
    yield { timestampDelta, offsetDelta, key, value, bytes, headersAt: cursor.at };
    cursor.at = end;
  }
}

function unpacked(packed: Buffer, compression: number): Buffer {
  const algorithm = compressionsAlgorithmsByBitmask[compression];
  if (algorithm) return algorithm.decompressSync(packed);
  throw new KafkaError('KAFKA_UNEXPECTED', `compression ${compression} is not known`, { retryable: false });
}

function isAbortMarker(batch: Batch): boolean {
  const [record] = recordsOf(batch);
  const key = record?.key ?? null;
  // version INT16, type INT16: 0 is abort, 1 is commit
  return key !== null && key.length >= 4 && key.readInt16BE(2) === 0;
}

/** Headers are read when they are asked for: most who read a message want a few of them, and as text. */
class FetchedMessage implements IncomingMessage {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly #bytes: Buffer;
  readonly #headersAt: number;
  readonly #shared: HeaderTexts;
  #texts: HeaderTexts['current'] | null = null;

  constructor(
    topic: string,
    partition: number,
    offset: bigint,
    timestampMs: number,
    { key, value, bytes, headersAt }: FetchedRecord,
    shared: HeaderTexts,
  ) {
    this.topic = topic;
    this.partition = partition;
    this.offset = offset;
    this.timestampMs = timestampMs;
    this.key = key;
    this.value = value;
    this.#bytes = bytes;
    this.#headersAt = headersAt;
    this.#shared = shared;
  }

  get headers(): Record<string, Buffer> {
    return readHeaders({ bytes: this.#bytes, at: this.#headersAt });
  }

  headerText(name: string): string | undefined {
    this.#texts ??= this.#shared.read({ bytes: this.#bytes, at: this.#headersAt });
    const { places, values } = this.#texts;
    const place = places.get(name);
    return place === undefined ? undefined : values[place];
  }
}
