import { describe, expect, it } from '@jest/globals';
import { formulaNames, formulaOf, hackerNews, hackerNewsRank, linear, reddit, redditHot, weighted } from './formula.ts';

const weights = { likes: 3, comments: 2, views: 1 };

describe('the linear formula', () => {
  it('gives each part its own weight', () => {
    const { stored } = linear(weights);
    expect(stored({ likes: 1, comments: 0, views: 0 }, 0)).toBe(3);
    expect(stored({ likes: 0, comments: 1, views: 0 }, 0)).toBe(2);
    expect(stored({ likes: 0, comments: 0, views: 1 }, 0)).toBe(1);
    expect(stored({ likes: 7, comments: 11, views: 13 }, 0)).toBe(56);
  });

  it('takes weights from its settings', () => {
    const { stored, id } = linear({ likes: 10, comments: 0, views: 0.5 });
    expect(stored({ likes: 2, comments: 9, views: 3 }, 0)).toBe(21.5);
    expect(id).not.toBe(linear(weights).id);
  });

  it('gives equal sums of fractional weights the same score', () => {
    const fractional = { likes: 0.3, comments: 0.1, views: 0.1 };
    expect(0.1 + 0.1 + 0.1).not.toBe(0.3); // why it matters
    expect(weighted(fractional, { likes: 1, comments: 0, views: 0 })).toBe(
      weighted(fractional, { likes: 0, comments: 2, views: 1 }),
    );
  });

  it('does not change with time', () => {
    const { stored, score, changesWithTime } = linear(weights);
    expect(changesWithTime).toBe(false);
    expect(stored({ likes: 1, comments: 1, views: 1 }, 0)).toBe(stored({ likes: 1, comments: 1, views: 1 }, 5e12));
    expect(score(6, 0, 0)).toBe(score(6, 5e12, 9e12));
  });
});

describe('the Reddit formula', () => {
  const epoch = 1_134_028_003;

  it('starts at the epoch of the published formula', () => {
    expect(redditHot(0, epoch)).toBe(0);
    expect(redditHot(1, epoch)).toBe(0);
    expect(redditHot(10, epoch)).toBe(1);
    expect(redditHot(-10, epoch)).toBe(-1);
    expect(redditHot(1000, epoch + 45_000)).toBe(4);
  });

  it('rounds to 7 decimals as the published code does', () => {
    // log10(7) = 0.84509804…, 100,000 / 45,000 = 2.2222…
    expect(redditHot(7, epoch + 100_000)).toBe(3.0673203);
  });

  it('counts 12.5 hours as much as ten times the points', () => {
    const { stored } = reddit(weights);
    const older = stored({ likes: 100, comments: 0, views: 0 }, epoch * 1000);
    const newer = stored({ likes: 10, comments: 0, views: 0 }, (epoch + 45_000) * 1000);
    expect(newer).toBeCloseTo(older, 6);
  });
});

describe('the Hacker News formula', () => {
  it('gives the values of the published formula', () => {
    expect(hackerNewsRank(1, 0)).toBe(0);
    expect(hackerNewsRank(2, 0)).toBeCloseTo(1 / 2 ** 1.8, 12);
    expect(hackerNewsRank(11, 0)).toBeCloseTo(1.81196, 4);
    expect(hackerNewsRank(101, 8)).toBeCloseTo(0.63096, 4); // 10^1.6 / 10^1.8
  });

  it('sinks with age and says so', () => {
    const { stored, score, changesWithTime } = hackerNews(weights);
    const points = stored({ likes: 3, comments: 0, views: 1 }, 0);
    expect(changesWithTime).toBe(true);
    expect(score(points, 0, 0)).toBeCloseTo(1.81196, 4);
    expect(score(points, 0, 3_600_000)).toBeLessThan(score(points, 0, 0));
  });

  it('is a number for an article below one point', () => {
    expect(hackerNewsRank(0, 1)).toBeLessThan(0);
  });
});

describe('each formula', () => {
  it.each(formulaNames)(
    '(%s) rises with each like, comment and view, and never with age: lists are read by that',
    (name) => {
      const { stored, score } = formulaOf(name, weights);
      const nowMs = Date.parse('2026-11-21T03:00:00Z');
      const at = (likes: number, comments: number, views: number, ageMs = 0) =>
        score(stored({ likes, comments, views }, nowMs - 1e7), nowMs - 1e7 - ageMs, nowMs);
      for (const count of [2, 10, 1000]) {
        expect(at(count + 1, 0, 0)).toBeGreaterThan(at(count, 0, 0));
        expect(at(0, count + 1, 0)).toBeGreaterThan(at(0, count, 0));
        expect(at(0, 0, count + 1)).toBeGreaterThan(at(0, 0, count));
        expect(at(count, 0, 0, 1e7)).toBeLessThanOrEqual(at(count, 0, 0));
      }
    },
  );
});
