import { describe, expect, it } from '@jest/globals';
import { IS_CONTROL, IS_TRANSACTIONAL, type RecordsBatch } from '@platformatic/kafka';
import { messagesOf } from './records.ts';

const record = (offsetDelta: number, value: string, key: Buffer | null = null) => ({
  length: 0,
  attributes: 0,
  timestampDelta: BigInt(offsetDelta),
  offsetDelta,
  key,
  value: Buffer.from(value),
  headers: [] as [Buffer | null, Buffer | null][],
});

function batch(firstOffset: bigint, values: string[], fields: Partial<RecordsBatch> = {}): RecordsBatch {
  return {
    firstOffset,
    length: 0,
    partitionLeaderEpoch: 0,
    magic: 2,
    crc: 0,
    attributes: 0,
    lastOffsetDelta: values.length - 1,
    firstTimestamp: 1_000n,
    maxTimestamp: 5_000n,
    producerId: -1n,
    producerEpoch: -1,
    firstSequence: 0,
    records: values.map((value, at) => record(at, value)),
    ...fields,
  };
}

const transactional = (firstOffset: bigint, producerId: bigint, ...values: string[]) =>
  batch(firstOffset, values, { producerId, attributes: IS_TRANSACTIONAL });

function marker(offset: bigint, producerId: bigint, kind: 'abort' | 'commit'): RecordsBatch {
  const key = Buffer.from([0, 0, 0, kind === 'abort' ? 0 : 1]);
  const attributes = IS_TRANSACTIONAL | IS_CONTROL;
  return { ...batch(offset, ['']), producerId, attributes, records: [record(0, '', key)] };
}

const read = (batches: RecordsBatch[], aborted: { producerId: bigint; firstOffset: bigint }[] = [], position = 0n) => {
  const { messages, next } = messagesOf('t', 0, batches, aborted, position);
  return { values: messages.map(({ value }) => String(value)), next };
};

describe('messages of a fetch answer', () => {
  it('begin at the position, where the broker’s batch begins before it', () => {
    expect(read([batch(10n, ['a', 'b', 'c'])], [], 11n)).toEqual({ values: ['b', 'c'], next: 13n });
  });

  it('carry offset, time and headers', () => {
    const one = {
      ...record(0, 'a'),
      headers: [
        [Buffer.from('name'), Buffer.from('v')],
        [Buffer.from('none'), null],
      ],
    };
    const { messages } = messagesOf('t', 3, [batch(7n, ['a'], { records: [one as never] })], [], 0n);
    expect(messages[0]).toMatchObject({
      topic: 't',
      partition: 3,
      offset: 7n,
      timestampMs: 1_000,
      headers: { name: Buffer.from('v'), none: Buffer.alloc(0) },
    });
    const logAppendTime = batch(0n, ['a', 'b'], { attributes: 1 << 3 });
    expect(messagesOf('t', 0, [logAppendTime], [], 0n).messages.map(({ timestampMs }) => timestampMs)).toEqual([
      5_000, 5_000,
    ]);
  });

  it('leave out markers and go on behind them', () => {
    expect(read([transactional(0n, 1n, 'a'), marker(1n, 1n, 'commit')])).toEqual({ values: ['a'], next: 2n });
  });

  it('leave out two aborted transactions of one producer, and keep the committed one between them', () => {
    const batches = [
      transactional(0n, 1n, 'aborted'),
      marker(1n, 1n, 'abort'),
      transactional(2n, 1n, 'committed'),
      marker(3n, 1n, 'commit'),
      transactional(4n, 1n, 'aborted'),
      marker(5n, 1n, 'abort'),
    ];
    const aborted = [
      { producerId: 1n, firstOffset: 4n },
      { producerId: 1n, firstOffset: 0n },
    ];
    expect(read(batches, aborted)).toEqual({ values: ['committed'], next: 6n });
  });

  it('leave out aborted messages whose marker is not in this answer', () => {
    const batches = [transactional(0n, 1n, 'aborted'), transactional(1n, 2n, 'other'), batch(2n, ['plain'])];
    expect(read(batches, [{ producerId: 1n, firstOffset: 0n }])).toEqual({ values: ['other', 'plain'], next: 3n });
  });
});
