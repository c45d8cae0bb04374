import { crc32c } from '@platformatic/kafka';
import type { OutgoingMessage } from '../port.ts';

// Record batches, magic 2. The client's own encoder makes a small buffer for each field of each header: with 12 headers that
// was most of what publishing cost. This one writes a batch into one buffer, byte for byte the same (the test compares them).
// Source of the format: Kafka's documentation, "Record Batch", and KIP-98.

export interface RecordBatchOptions {
  /** Ms since 1970, the same for each message. */
  timestampMs: number;
  producerId?: bigint;
  producerEpoch?: number;
  /** Sequence number of the first message. */
  sequence?: number;
  isTransactional?: boolean;
  /** About how many bytes it will be. Too small costs copies, nothing else. */
  expectedBytes?: number;
}

/** Where the fields of the batch's header begin. The checksum covers all that follows it. */
export const place = {
  baseOffset: 0,
  length: 8,
  leaderEpoch: 12,
  magic: 16,
  checksum: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  firstTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  sequence: 53,
  count: 57,
  records: 61,
} as const;

export const magic = 2;
const transactional = 1 << 4;

/** One record batch of these messages, 1 or more, in their order, without compression. */
export function encodeRecordBatch(messages: readonly OutgoingMessage[], options: RecordBatchOptions): Buffer {
  const bytes = new GrowingBytes(place.records + (options.expectedBytes ?? messages.length * 1024));
  bytes.skip(place.records);
  for (let offset = 0; offset < messages.length; offset++) appendRecord(bytes, messages[offset]!, offset);

  const batch = bytes.written();
  const timestamp = BigInt(options.timestampMs);
  batch.writeBigInt64BE(0n, place.baseOffset);
  batch.writeInt32BE(batch.length - place.leaderEpoch, place.length);
  batch.writeInt32BE(0, place.leaderEpoch);
  batch.writeInt8(magic, place.magic);
  batch.writeInt16BE(options.isTransactional ? transactional : 0, place.attributes);
  batch.writeInt32BE(messages.length - 1, place.lastOffsetDelta);
  batch.writeBigInt64BE(timestamp, place.firstTimestamp);
  batch.writeBigInt64BE(timestamp, place.maxTimestamp);
  batch.writeBigInt64BE(options.producerId ?? -1n, place.producerId);
  batch.writeInt16BE(options.producerEpoch ?? 0, place.producerEpoch);
  batch.writeInt32BE(options.sequence ?? 0, place.sequence);
  batch.writeInt32BE(messages.length, place.count);
  batch.writeUInt32BE(crc32c(batch.subarray(place.attributes)), place.checksum);
  return batch;
}

/** Most records are 64 to 8,191 bytes long, and their length takes two bytes then. */
const usualLengthBytes = 2;

function appendRecord(bytes: GrowingBytes, { key, value, headers }: OutgoingMessage, offset: number): void {
  const start = bytes.length;
  bytes.skip(usualLengthBytes);
  bytes.int8(0); // attributes
  bytes.varint(0); // ms after the batch's first
  bytes.varint(offset);
  bytes.nullable(key);
  bytes.nullable(value);
  const names = headers ? Object.keys(headers) : noNames;
  bytes.varint(names.length);
  for (let index = 0; index < names.length; index++) {
    const name = names[index]!;
    const header = headers![name]!;
    bytes.text(name);
    if (typeof header === 'string') bytes.text(header);
    else bytes.nullable(header);
  }
  bytes.prefixLength(start, usualLengthBytes);
}

const noNames: readonly string[] = [];

const varintMaxBytes = 5;
/** Up to this length a loop is faster than a call into the runtime. */
const shortBytes = 64;

/** One buffer that is written from front to back and grows as needed. */
class GrowingBytes {
  #buffer: Buffer;
  #at = 0;

  constructor(expected: number) {
    this.#buffer = Buffer.allocUnsafe(expected);
  }

  get length(): number {
    return this.#at;
  }

  written(): Buffer {
    return this.#buffer.subarray(0, this.#at);
  }

  skip(count: number): void {
    this.#reserve(count);
    this.#at += count;
  }

  int8(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#at++] = value;
  }

  /** A 32-bit integer as a zigzag varint. */
  varint(value: number): void {
    this.#reserve(varintMaxBytes);
    this.#at = putVarint(this.#buffer, this.#at, value);
  }

  /** Its length, or -1 for null, then the bytes. */
  nullable(bytes: Buffer | null): void {
    if (bytes === null) {
      this.varint(-1);
      return;
    }
    this.#reserve(varintMaxBytes + bytes.length);
    this.#at = putVarint(this.#buffer, this.#at, bytes.length);
    if (bytes.length <= shortBytes) {
      for (let index = 0; index < bytes.length; index++) this.#buffer[this.#at + index] = bytes[index]!;
    } else {
      this.#buffer.set(bytes, this.#at);
    }
    this.#at += bytes.length;
  }

  /** Its length in UTF-8, then the text. */
  text(text: string): void {
    const { length } = text;
    this.#reserve(varintMaxBytes + length * 3);
    const start = this.#at;
    if (length <= shortBytes) {
      let at = putVarint(this.#buffer, start, length);
      let index = 0;
      for (; index < length; index++) {
        const code = text.charCodeAt(index);
        if (code > 127) break;
        this.#buffer[at++] = code;
      }
      if (index === length) {
        this.#at = at;
        return;
      }
    }
    const byteLength = Buffer.byteLength(text);
    this.#at = putVarint(this.#buffer, start, byteLength);
    this.#buffer.write(text, this.#at, 'utf8');
    this.#at += byteLength;
  }

  /** Puts the length of what was written since `start + room` at `start`, where `room` bytes were left for it. */
  prefixLength(start: number, room: number): void {
    const length = this.#at - start - room;
    const needed = varintBytes(length);
    if (needed !== room) {
      this.#reserve(varintMaxBytes);
      this.#buffer.copyWithin(start + needed, start + room, this.#at);
      this.#at += needed - room;
    }
    putVarint(this.#buffer, start, length);
  }

  #reserve(count: number): void {
    const needed = this.#at + count;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}

function putVarint(buffer: Buffer, start: number, value: number): number {
  let at = start;
  let left = zigzag(value);
  while (left > 127) {
    buffer[at++] = (left & 127) | 128;
    left >>>= 7;
  }
  buffer[at++] = left;
  return at;
}

function varintBytes(value: number): number {
  let count = 1;
  for (let left = zigzag(value); left > 127; left >>>= 7) count++;
  return count;
}

function zigzag(value: number): number {
  return ((value << 1) ^ (value >> 31)) >>> 0;
}
