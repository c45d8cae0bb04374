import { describe, expect, it } from '@jest/globals';
import { judge, type Position, positionIn, positionMessage, positionsTopic, transactionalIdOf } from './position.ts';

const place = { topic: positionsTopic('shop', 'order'), partition: 3 };
const row = (id: string, day = '2026-11-25') => ({ id, day, check: `00${id}00000000`.slice(0, 8) });
const position: Position = { incarnation: 'i', epoch: 7, owner: 'a/1', rows: [row('1')] };

function written(value: Buffer | null) {
  return { ...place, offset: 5n, timestampMs: 0, key: null, value, headers: {} };
}

describe('a position', () => {
  it('comes back with exactly the rows that were put in, ids of 64 bits, in any order, of several days', () => {
    const ids = ['18446744073709551615', '9007199254740993', '9007199254740992', '7'];
    const rows = [...ids.map((id) => row(id)), row('5', '2026-11-26'), row('9', '2026-11-26')];
    const { value, key, ...where } = positionMessage(place, transactionalIdOf('shop', 'order', 3), {
      ...position,
      rows,
    });
    expect(where).toEqual({ topic: 'shop.order.positions', partition: 3 });
    expect(String(key)).toBe('shop.order.3');
    const sorted = [...ids.toReversed().map((id) => row(id)), ...rows.slice(4)];
    expect(positionIn(written(value))).toEqual({ ...position, rows: sorted });
    expect(positionIn(written(positionMessage(place, '', { ...position, rows: [] }).value)).rows).toEqual([]);
  });

  it('takes few bytes: a batch of 1,000 rows that are spread over eight buckets less than 11,000', () => {
    const rows = Array.from({ length: 1_000 }, (_, at) => row(String(9_000_000_000n + BigInt(at * 8 + (at % 3)))));
    expect(positionMessage(place, '', { ...position, rows }).value!.length).toBeLessThan(11_000);
  });

  it.each([null, '', '{}', '{"incarnation":"i","epoch":1,"owner":"a","days":[{"day":"d","steps":"x"}]}'])(
    'is refused: %s',
    (text) => {
      expect(() => positionIn(written(text === null ? null : Buffer.from(text)))).toThrow(
        'shop.order.positions[3] at 5 holds no position of a relay.',
      );
    },
  );

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
