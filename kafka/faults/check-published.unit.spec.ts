import { describe, expect, it } from '@jest/globals';
import { KafkaError } from '../errors.ts';
import { checkPublished, type PublishCall, type StoredMessage } from './check-published.ts';

const error = new KafkaError('KAFKA_UNAVAILABLE', 'away', { retryable: true });
const topic = 't';

/** A call of one caller with one message for partition 0. */
function acknowledged(id: string, baseOffset: bigint | null = null, caller = 'a'): PublishCall {
  const report = { acknowledged: [{ topic, partition: 0, baseOffset, count: 1 }], failed: [] };
  return { caller, batch: [{ partition: 0, id }], report };
}

function failed(id: string): PublishCall {
  return {
    caller: 'a',
    batch: [{ partition: 0, id }],
    report: { acknowledged: [], failed: [{ topic, partition: 0, error }] },
  };
}

const stored = (...ids: string[]): StoredMessage[] => ids.map((id, at) => ({ partition: 0, offset: BigInt(at), id }));

const sound = { lost: [], phantom: [], foreign: [], outOfOrder: [] };

describe('the check of what was published', () => {
  it('finds nothing in a sound history, and counts failures and doubles', () => {
    const calls = [acknowledged('1', 0n), failed('2'), failed('3'), acknowledged('4', 3n)];
    expect(checkPublished(calls, stored('1', '2', '1', '4'))).toEqual({
      ...sound,
      acknowledged: 2,
      failed: 2,
      doubled: 1,
    });
  });

  it('sees an acknowledged message that is not there', () => {
    expect(checkPublished([acknowledged('1'), acknowledged('2')], stored('1')).lost).toEqual(['0/2']);
  });

  it('sees a message in another partition than its own', () => {
    const verdict = checkPublished([acknowledged('1')], [{ partition: 1, offset: 0n, id: '1' }]);
    expect(verdict).toMatchObject({ lost: ['0/1'], foreign: ['1/1'] });
  });

  it('sees a message that nobody published', () => {
    expect(checkPublished([acknowledged('1')], stored('1', 'x')).foreign).toEqual(['0/x']);
  });

  it('sees an acknowledgement for a place at which something else is', () => {
    expect(checkPublished([acknowledged('1', 1n)], stored('1', 'x')).phantom).toHaveLength(1);
  });

  it.each([
    ['with another count', [{ topic, partition: 0, baseOffset: null, count: 2 }], []],
    ['for a partition to which nothing was sent', [one(0), one(1)], []],
    ['twice for one partition', [one(0)], [{ topic, partition: 0, error }]],
    ['for none of the partitions', [], []],
  ])('sees an answer %s', (_, acknowledgements, failures) => {
    const call = acknowledged('1');
    call.report = { acknowledged: acknowledgements, failed: failures };
    expect(checkPublished([call], stored('1')).phantom).toHaveLength(1);
  });

  it('sees messages of one caller in the wrong order', () => {
    const verdict = checkPublished([acknowledged('1'), acknowledged('2')], stored('2', '1'));
    expect(verdict).toMatchObject({ lost: [], outOfOrder: ['0/2'] });
  });

  it('asks for no order between callers, or for what was not acknowledged', () => {
    const calls = [acknowledged('1'), acknowledged('x', null, 'b'), failed('2'), acknowledged('3')];
    expect(checkPublished(calls, stored('x', '1', '3', '2')).outOfOrder).toEqual([]);
  });
});

function one(partition: number) {
  return { topic, partition, baseOffset: null, count: 1 };
}
