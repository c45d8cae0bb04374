import { describe, expect, it } from '@jest/globals';
import {
  createRecordsBatch,
  type MessageRecord,
  NumericMap,
  produceV7,
  produceV8,
  produceV9,
  produceV10,
  produceV11,
} from '@platformatic/kafka';
import type { OutgoingMessage } from '../port.ts';
import { produceVersions, writeRequest } from './produce-request.ts';
import { encodeRecordBatch } from './record-batch.ts';

const timestampMs = 1_795_000_000_123;

/** A sequence of numbers in [0, 1) that a seed tells (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const alphabets = ['a', 'abc-0129', 'äé', '한국어', '😀x', '\ud800', '\u0000\u007f\u0080\u07ff\u0800'];
const lengths = [0, 1, 20, 62, 63, 64, 65, 127, 128, 300, 8_190, 8_200, 20_000];

function randomMessages(next: () => number): OutgoingMessage[] {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)]!;
  const text = () =>
    pick(alphabets)
      .repeat(40)
      .slice(0, Math.floor(next() * 90));
  const bytes = () => (next() < 0.2 ? null : Buffer.alloc(pick(lengths), Math.floor(next() * 256)));
  const headers = () => {
    if (next() < 0.2) return undefined;
    const given: Record<string, string | Buffer> = {};
    for (let left = Math.floor(next() * 14); left > 0; left--) given[text()] = next() < 0.5 ? text() : (bytes() ?? '');
    return given;
  };
  return Array.from({ length: 1 + Math.floor(next() * 50) }, () => ({
    topic: 't',
    partition: 3,
    key: bytes(),
    value: bytes(),
    headers: headers(),
  }));
}

function toRecords(messages: readonly OutgoingMessage[]): MessageRecord[] {
  return messages.map(({ topic, partition, key, value, headers }) => ({
    topic,
    partition,
    key: key ?? undefined,
    value: value as Buffer,
    timestamp: BigInt(timestampMs),
    headers: new Map(Object.entries(headers ?? {}).map(([name, one]) => [Buffer.from(name), Buffer.from(one)])),
  }));
}

describe('a record batch', () => {
  it('is byte for byte what the client library makes of the same messages', () => {
    for (let seed = 1; seed <= 60; seed++) {
      const next = random(seed);
      const messages = randomMessages(next);
      const sequence = Math.floor(next() * 2 ** 31);
      const identity = next() < 0.3 ? {} : { producerId: 2n ** 40n + 7n, producerEpoch: 12 };
      const isTransactional = next() < 0.3;
      const wanted = createRecordsBatch(toRecords(messages), {
        ...identity,
        sequences: new NumericMap([['t:3', sequence]]),
        transactionalId: isTransactional ? 'id' : undefined,
      }).buffer;
      const made = encodeRecordBatch(messages, {
        timestampMs,
        ...identity,
        sequence,
        isTransactional,
        expectedBytes: seed % 2 ? undefined : 1,
      });
      expect({ seed, same: made.equals(wanted) }).toEqual({ seed, same: true });
    }
  });

  it('takes messages larger than a megabyte', () => {
    const messages = [{ topic: 't', partition: 3, key: null, value: Buffer.alloc(3_000_000, 'x') }];
    const wanted = createRecordsBatch(toRecords(messages)).buffer;
    expect(encodeRecordBatch(messages, { timestampMs }).equals(wanted)).toBe(true);
  });
});

describe('a produce request', () => {
  const libraries = [produceV11, produceV10, produceV9, produceV8, produceV7];

  it.each(libraries.map((library, index) => [library.api.version, library, produceVersions[index]!] as const))(
    'of version %i is byte for byte that of the client library',
    (version, library, own) => {
      const next = random(version);
      const parts = [
        { topic: 'one', partition: 0 },
        { topic: 'one', partition: 7 },
        { topic: 'two', partition: 0 },
      ].map((place, index) => ({
        ...place,
        messages: randomMessages(next).map((message) => ({ ...message, ...place })),
        bytes: 100,
        sequence: 10 * index,
      }));
      for (const transactionalId of [undefined, 'id']) {
        const identity = { producerId: 5n, producerEpoch: 1 };
        const wanted = library.createRequest(
          -1,
          4_000,
          parts.flatMap(({ messages }) => toRecords(messages)),
          {
            ...identity,
            transactionalId,
            sequences: new NumericMap(parts.map((part) => [`${part.topic}:${part.partition}`, part.sequence])),
          },
        );
        const request = { acks: -1 as const, timeoutMs: 4_000, timestampMs, parts, identity, transactionalId };
        expect(own.version).toBe(version);
        expect(writeRequest(request, version >= 9).buffer.equals(wanted.buffer)).toBe(true);
      }
    },
  );
});
