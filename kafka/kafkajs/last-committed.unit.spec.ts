import { describe, expect, it } from '@jest/globals';
import { visible } from './last-committed.ts';

type Fetched = Parameters<typeof visible>[0];

/** `p` is a producer's data in a transaction, `p!` its marker, `-` a message without a transaction. */
function fetched(log: string[], aborted: [producerId: string, firstOffset: number][]): Fetched {
  return {
    abortedTransactions: aborted.map(([producerId, firstOffset]) => ({ producerId, firstOffset: String(firstOffset) })),
    messages: log.map((entry, offset) => ({
      offset: String(offset),
      isControlRecord: entry.endsWith('!'),
      batchContext: { producerId: entry.replace('!', ''), inTransaction: entry !== '-' },
    })),
  } as unknown as Fetched;
}

const offsets = (given: Fetched) => visible(given).map(({ offset }) => Number(offset));

describe('what a read-committed reader sees', () => {
  it('is all but markers where nothing was aborted', () => {
    expect(offsets(fetched(['a', 'a!', '-', 'b', 'b!'], []))).toEqual([0, 2, 3]);
  });

  it('leaves out aborted transactions, and shows the next one of the same producer', () => {
    expect(offsets(fetched(['a', 'a!', 'a', 'a!', '-'], [['a', 0]]))).toEqual([2, 4]);
  });

  it('leaves out interleaved ones in the order in which brokers list them, by their ends', () => {
    const log = ['a', 'b', '-', 'a', 'b', 'b!', 'a', 'a!', 'a', 'a!'];
    expect(
      offsets(
        fetched(log, [
          ['b', 1],
          ['a', 0],
        ]),
      ),
    ).toEqual([2, 8]);
  });
});
