import { describe, expect, it } from '@jest/globals';
import { createRecordsBatch, IS_CONTROL, IS_TRANSACTIONAL, Reader, readRecordsBatches } from '@platformatic/kafka';
import { place } from './record-batch.ts';
import { messagesOf, positionAfter } from './records.ts';

interface Fields {
  attributes?: number;
  producerId?: bigint;
  key?: Buffer;
  headers?: Map<Buffer, Buffer>;
  compression?: 'gzip' | 'snappy' | 'lz4' | 'zstd';
}

/** Made by the client library: messages a millisecond apart from 1,000 on. */
function batch(firstOffset: bigint, values: string[], { attributes = 0, ...fields }: Fields = {}): Buffer {
  const records = values.map((value, at) => ({
    topic: 't',
    key: fields.key as Buffer,
    value: Buffer.from(value),
    headers: fields.headers as Map<Buffer, Buffer>,
    timestamp: 1_000n + BigInt(at),
  }));
  const bytes = Buffer.from(
    createRecordsBatch(records, { producerId: fields.producerId ?? -1n, compression: fields.compression }).buffer,
  );
  bytes.writeBigInt64BE(firstOffset, place.baseOffset);
  bytes.writeInt16BE(bytes.readInt16BE(place.attributes) | attributes, place.attributes);
  return bytes;
}

const transactional = (firstOffset: bigint, producerId: bigint, ...values: string[]) =>
  batch(firstOffset, values, { producerId, attributes: IS_TRANSACTIONAL });

function marker(offset: bigint, producerId: bigint, kind: 'abort' | 'commit'): Buffer {
  const key = Buffer.from([0, 0, 0, kind === 'abort' ? 0 : 1]);
  return batch(offset, [''], { producerId, attributes: IS_TRANSACTIONAL | IS_CONTROL, key });
}

const read = (batches: Buffer[], aborted: { producerId: bigint; firstOffset: bigint }[] = [], position = 0n) => {
  const records = Buffer.concat(batches);
  const messages = messagesOf('t', 0, records, aborted, position);
  return { values: messages.map(({ value }) => String(value)), next: positionAfter(records, position) };
};

describe('messages of a fetch answer', () => {
  it('begin at the position, where the broker’s batch begins before it', () => {
    expect(read([batch(10n, ['a', 'b', 'c'])], [], 11n)).toEqual({ values: ['b', 'c'], next: 13n });
  });

  it('carry offset, time and headers', () => {
    const headers = new Map([[Buffer.from('name'), Buffer.from('ä')]]);
    const messages = messagesOf('t', 3, batch(7n, ['a', 'b'], { headers, key: Buffer.from('k') }), [], 0n);
    expect(messages[1]).toMatchObject({
      ...{ topic: 't', partition: 3, offset: 8n, timestampMs: 1_001, key: Buffer.from('k'), value: Buffer.from('b') },
      headers: { name: Buffer.from('ä') },
    });
    expect(messages.map((message) => [message.headerText!('name'), message.headerText!('other')])).toEqual([
      ['ä', undefined],
      ['ä', undefined],
    ]);
    const logAppendTime = batch(0n, ['a', 'b'], { attributes: 1 << 3 });
    expect(messagesOf('t', 0, logAppendTime, [], 0n).map(({ timestampMs }) => timestampMs)).toEqual([1_001, 1_001]);
  });

  it('read the headers of each message, however they differ from those of the one before', () => {
    const names = ['a', 'b', 'ab', 'ä', 'Ã¤'];
    const all = names.flatMap((one) => names.map((other) => [one, other] as const));
    const batches = all.map(([one, other], at) => {
      const headers = new Map([
        [Buffer.from(one), Buffer.from(other)],
        [Buffer.from(other), Buffer.from('last')],
      ]);
      return batch(BigInt(at), ['v'], { headers: at % 7 === 0 ? new Map() : headers });
    });
    const messages = messagesOf('t', 0, Buffer.concat(batches), [], 0n);
    const texts = messages.map((message) => names.map((name) => message.headerText!(name)));
    const buffers = messages.map(({ headers }) => names.map((name) => headers[name]?.toString()));
    expect(texts).toEqual(buffers);
    expect(texts[1]).toEqual(['b', 'last', undefined, undefined, undefined]);
  });

  it.each(['gzip', 'snappy', 'lz4', 'zstd'] as const)('are read where they are packed by %s', (compression) => {
    expect(read([batch(5n, ['a', 'b'.repeat(500)], { compression })])).toEqual({
      values: ['a', 'b'.repeat(500)],
      next: 7n,
    });
  });

  it('are those that the client library reads, with values of all sizes', () => {
    const values = [0, 1, 62, 63, 64, 127, 128, 8_190, 8_200, 3_000_000].map((size) => 'x'.repeat(size));
    const bytes = batch(2n ** 40n, values);
    const [theirs] = readRecordsBatches(Reader.from(bytes));
    expect(read([bytes]).values).toEqual(theirs!.records.map(({ value }) => String(value)));
    expect(read([bytes]).next).toBe(2n ** 40n + 10n);
  });

  it('end where the answer was cut off', () => {
    const cut = batch(1n, ['b']).subarray(0, -1);
    for (const length of [0, 1, 11, 12, 60, cut.length]) {
      expect(read([batch(0n, ['a']), cut.subarray(0, length)])).toEqual({ values: ['a'], next: 1n });
    }
  });

  it('are an error where a record goes beyond its batch, or the batch is of another version', () => {
    const broken = batch(0n, ['a']);
    broken[place.records] = 126;
    expect(() => read([broken])).toThrow('a record goes beyond its batch');
    const old = batch(0n, ['a']);
    old[place.magic] = 1;
    expect(() => read([old])).toThrow('a record batch of version 1');
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
