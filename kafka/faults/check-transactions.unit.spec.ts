import { describe, expect, it } from '@jest/globals';
import { checkTransactions, type TransactionCall } from './check-transactions.ts';

const call = (number: number, outcome: TransactionCall['outcome'], id = `${number}`): TransactionCall => ({
  id,
  number,
  outcome,
});
const sound = { lost: [], torn: [], unfenced: [], doubled: [], outOfOrder: [] };

describe('the check of transactions', () => {
  it('finds nothing where each number is there once, and tells what became of unknown ones', () => {
    const calls = [
      call(1, 'committed'),
      call(2, 'unknown', '2a'),
      call(2, 'committed', '2b'),
      call(3, 'refused', '3a'),
      call(3, 'unknown', '3b'),
      call(4, 'zombie', '4z'),
    ];
    const seen = ['1', '2b', '3b'];
    expect(checkTransactions(calls, [seen, seen])).toEqual({
      ...sound,
      committed: 2,
      unknown: 2,
      unknownCommitted: 1,
      refused: 1,
      zombies: 1,
    });
  });

  it('sees a committed one that is not there', () => {
    expect(checkTransactions([call(1, 'committed')], [[], []]).lost).toEqual(['1']);
  });

  it('sees one that is in some partitions only', () => {
    expect(checkTransactions([call(1, 'unknown')], [['1'], []]).torn).toEqual(['1']);
  });

  it.each(['refused', 'zombie'] as const)('sees one that was %s, but is there', (outcome) => {
    expect(checkTransactions([call(1, outcome)], [['1'], ['1']]).unfenced).toEqual(['1']);
  });

  it('sees a zombie that was told that it committed', () => {
    expect(checkTransactions([{ ...call(1, 'zombie'), believed: true }], [[], []]).unfenced).toEqual(['1']);
  });

  it('sees one that is there twice', () => {
    expect(checkTransactions([call(1, 'committed')], [['1', '1'], ['1']]).doubled).toEqual(['0/1']);
  });

  it('sees a number that came twice, as the position was not the last one', () => {
    const calls = [call(1, 'unknown', '1a'), call(1, 'committed', '1b')];
    expect(checkTransactions(calls, [['1a', '1b']]).outOfOrder).toEqual(['0/1b is the 2th']);
  });
});
