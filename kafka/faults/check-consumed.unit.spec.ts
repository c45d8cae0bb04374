import { describe, expect, it } from '@jest/globals';
import { type ConsumerEvent, checkConsumed } from './check-consumed.ts';

const handed = (member: string, from: bigint, next: bigint): ConsumerEvent => ({
  kind: 'handed',
  member,
  partition: 0,
  from,
  next,
});
const handled = (member: string, from: bigint, next: bigint): ConsumerEvent => ({
  ...(handed(member, from, next) as ConsumerEvent & { kind: 'handed' }),
  kind: 'handled',
});
const owner = (member: string): ConsumerEvent => ({ kind: 'owner', member, partition: 0 });
const committed = (offset: bigint): ConsumerEvent => ({ kind: 'committed', partition: 0, offset });

const ends = [{ partition: 0, end: 4n }];
const sound = { missed: [], skipped: [], committedPast: [], twoOwners: [] };

describe('the check of what was consumed', () => {
  it('finds nothing where a member took over and did some again', () => {
    const events = [
      handed('a', 0n, 2n),
      owner('a'),
      handled('a', 0n, 2n),
      committed(2n),
      handed('a', 2n, 3n),
      handed('b', 1n, 4n),
      owner('b'),
      handled('b', 1n, 4n),
      committed(4n),
    ];
    expect(checkConsumed(events, ends)).toEqual({ ...sound, batches: 2, repeated: 1 });
  });

  it('sees messages that nobody was done with', () => {
    expect(checkConsumed([handed('a', 0n, 4n), handled('a', 0n, 3n)], ends).missed).toEqual(['0: 3 to 4']);
    expect(checkConsumed([], ends).missed).toEqual(['0: 0 to 4']);
  });

  it('sees a batch that begins behind messages that nobody was done with', () => {
    const events = [handed('a', 0n, 2n), handed('b', 2n, 4n), handled('b', 2n, 4n), handled('a', 0n, 2n)];
    expect(checkConsumed(events, ends)).toMatchObject({ skipped: ['0: 0 to 2'], missed: ['0: 2 to 4'] });
  });

  it('sees a position past what was handled', () => {
    const events = [handed('a', 0n, 4n), committed(4n), handled('a', 0n, 4n)];
    expect(checkConsumed(events, ends)).toEqual({
      ...sound,
      batches: 1,
      repeated: 0,
      committedPast: ['0: 4, handled up to 0'],
    });
  });

  it('sees a member that holds itself for the owner after another one got a batch', () => {
    const events = [handed('a', 0n, 4n), handed('b', 0n, 4n), owner('a'), handled('b', 0n, 4n)];
    expect(checkConsumed(events, ends).twoOwners).toEqual(['0: a, and b has a batch']);
  });
});
