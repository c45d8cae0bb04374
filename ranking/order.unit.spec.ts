import { describe, expect, it } from '@jest/globals';
import { articleIdOf, byRank, compareIds, memberOf, ranked } from './order.ts';

describe('the order of a list', () => {
  it('is by score, and equal scores go by the newer article', () => {
    const entries = [
      { articleId: '9', score: 5 },
      { articleId: '10', score: 5 },
      { articleId: '1', score: 7 },
      { articleId: '9007199254740993', score: 5 },
      { articleId: '9007199254740992', score: 5 },
    ];
    expect(entries.sort(byRank).map((entry) => entry.articleId)).toEqual([
      '1',
      '9007199254740993',
      '9007199254740992',
      '10',
      '9',
    ]);
  });

  it('numbers places from 1 without a gap', () => {
    expect(
      ranked([
        { articleId: '2', score: 5 },
        { articleId: '1', score: 5 },
      ]).map(({ rank }) => rank),
    ).toEqual([1, 2]);
  });
});

describe('ids', () => {
  it('compare as numbers beyond 2^53', () => {
    expect(compareIds('9007199254740993', '9007199254740992')).toBeGreaterThan(0);
    expect(compareIds('9', '10')).toBeLessThan(0);
    expect(compareIds('10', '10')).toBe(0);
  });

  it('sort as members of a sorted set in the order of their numbers, and come back unchanged', () => {
    const ids = ['9', '10', '9007199254740993', '18446744073709551615', '1000'];
    expect(ids.map(memberOf).sort().map(articleIdOf)).toEqual([...ids].sort(compareIds));
    expect(memberOf('18446744073709551615')).toHaveLength(20);
  });
});
