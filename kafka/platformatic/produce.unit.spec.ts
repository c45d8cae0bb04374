import { describe, expect, it } from '@jest/globals';
import { chunksOf, halves } from './produce.ts';

const messages = (...sizes: number[]) => ({
  messages: sizes.map((size) => ({ topic: 't', partition: 0, key: null, value: Buffer.alloc(size) })),
  indexes: sizes.map((_, at) => at * 10),
});

describe('record batches', () => {
  it('hold what fits, in order, and remember the places in the caller’s batch', () => {
    const chunks = chunksOf(messages(100, 100, 100, 100, 100), 300);
    expect(chunks.map(({ indexes }) => indexes)).toEqual([[0, 10], [20, 30], [40]]);
    for (const chunk of chunks) expect(chunk.bytes).toBeLessThanOrEqual(300);
  });

  it('hold a message alone that is larger than they may be', () => {
    const chunks = chunksOf(messages(10, 5_000, 10), 1_000);
    expect(chunks.map(({ indexes }) => indexes)).toEqual([[0], [10], [20]]);
  });

  it('are halved until one message is left', () => {
    let chunk = chunksOf(messages(1, 1, 1, 1, 1))[0]!;
    const seen: number[] = [];
    while (chunk.messages.length > 1) {
      const [first, second] = halves(chunk) as [typeof chunk, typeof chunk];
      expect([...first.indexes, ...second.indexes]).toEqual(chunk.indexes);
      seen.push(first.messages.length);
      chunk = second;
    }
    expect(seen).toEqual([2, 1, 1]);
    expect(chunk.indexes).toEqual([40]);
  });

  it('are none for no messages', () => {
    expect(chunksOf(messages())).toEqual([]);
  });
});
