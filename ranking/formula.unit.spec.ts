import { describe, expect, it } from '@jest/globals';
import { hackerNews, hackerNewsRank, linear, reddit, redditHot, weighted } from './formula.ts';

const weights = { likes: 3, comments: 2, views: 1 };

describe('the linear formula', () => {
  it('gives each part its own weight', () => {
    const { score } = linear(weights);
    expect(score({ likes: 1, comments: 0, views: 0 }, 0, 0)).toBe(3);
    expect(score({ likes: 0, comments: 1, views: 0 }, 0, 0)).toBe(2);
    expect(score({ likes: 0, comments: 0, views: 1 }, 0, 0)).toBe(1);
    expect(score({ likes: 7, comments: 11, views: 13 }, 0, 0)).toBe(56);
  });

  it('takes weights from its settings', () => {
    const { score, id } = linear({ likes: 10, comments: 0, views: 0.5 });
    expect(score({ likes: 2, comments: 9, views: 3 }, 0, 0)).toBe(21.5);
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
    const { score, changesWithTime } = linear(weights);
    expect(changesWithTime).toBe(false);
    expect(score({ likes: 1, comments: 1, views: 1 }, 0, 0)).toBe(
      score({ likes: 1, comments: 1, views: 1 }, 5e12, 9e12),
    );
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
    const { score } = reddit(weights);
    const older = score({ likes: 100, comments: 0, views: 0 }, epoch * 1000, 0);
    const newer = score({ likes: 10, comments: 0, views: 0 }, (epoch + 45_000) * 1000, 0);
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
    const { score, changesWithTime } = hackerNews(weights);
    const counts = { likes: 3, comments: 0, views: 1 };
    expect(changesWithTime).toBe(true);
    expect(score(counts, 0, 0)).toBeCloseTo(1.81196, 4);
    expect(score(counts, 0, 3_600_000)).toBeLessThan(score(counts, 0, 0));
  });

  it('is a number for an article below one point', () => {
    expect(hackerNewsRank(0, 1)).toBeLessThan(0);
  });
});
