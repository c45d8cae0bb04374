import { describe, expect, it } from '@jest/globals';
import { judge, type Position, positionIn, positionMessage, positionsTopic, transactionalIdOf } from './position.ts';

const place = { topic: positionsTopic('shop', 'order'), partition: 3 };
const position: Position = { incarnation: 'i', epoch: 7, owner: 'a/1', ids: ['1'] };

function written(value: Buffer | null) {
  return { ...place, offset: 5n, timestampMs: 0, key: null, value, headers: {} };
}

describe('a position', () => {
  it('comes back with exactly the ids that were put in, 64 bits and in any order', () => {
    const ids = ['18446744073709551615', '9007199254740993', '9007199254740992', '7'];
    const { value, key, ...where } = positionMessage(place, transactionalIdOf('shop', 'order', 3), {
      ...position,
      ids,
    });
    expect(where).toEqual({ topic: 'shop.order.positions', partition: 3 });
    expect(String(key)).toBe('shop.order.3');
    expect(positionIn(written(value))).toEqual({ ...position, ids: ids.toReversed() });
    expect(positionIn(written(positionMessage(place, '', { ...position, ids: [] }).value)).ids).toEqual([]);
  });

  it('takes few bytes: a batch of 1,000 rows that are spread over eight buckets less than 3,000', () => {
    const ids = Array.from({ length: 1_000 }, (_, index) => String(9_000_000_000n + BigInt(index * 8 + (index % 3))));
    expect(positionMessage(place, '', { ...position, ids }).value!.length).toBeLessThan(3_000);
  });

  it.each([null, '', '{}', '{"incarnation":"i","epoch":1,"owner":"a","steps":"x"}'])('is refused: %s', (text) => {
    expect(() => positionIn(written(text === null ? null : Buffer.from(text)))).toThrow(
      'shop.order.positions[3] at 5 holds no position of a relay.',
    );
  });

  it.each([
    ['sent', { epoch: 7, owner: 'a/1' }],
    ['sent', { epoch: 8, owner: 'b/1' }],
    ['later', { epoch: 6, owner: 'a/1' }],
    ['later', { epoch: 7, owner: 'b/1' }],
    ['foreign', { incarnation: 'j', epoch: 1, owner: 'b/1' }],
  ])('is %s to %j', (judgement, mine) => {
    expect(judge(position, { incarnation: 'i', ...mine })).toBe(judgement);
  });
});
