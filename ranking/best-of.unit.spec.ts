import { describe, expect, it } from '@jest/globals';
import { bestOf, type Candidate, type Wanted } from './best-of.ts';
import { daysIn, hourMs } from './days.ts';
import { type Formula, formulaNames, formulaOf } from './formula.ts';
import { byRank } from './order.ts';
import { bucketsOf, type ListOf, windowMs, windowNames } from './windows.ts';

const nowMs = Date.parse('2026-11-21T09:20:00Z');
const seoul = daysIn('Asia/Seoul');

/** Numbers from 0 to 1, the same in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296;
    return state / 4_294_967_296;
  };
}

function articles(formula: Formula, count: number, reachMs: number, random: () => number): Candidate[] {
  return Array.from({ length: count }, (_, index) => {
    const createdAtMs = Math.floor(nowMs - random() * reachMs);
    // many ties, and a few that are far above
    const likes = Math.floor(random() ** 4 * 40);
    return {
      articleId: String(9_007_199_254_740_993n + BigInt(index)),
      stored: formula.stored({ likes, comments: 0, views: 0 }, createdAtMs),
      createdAtMs,
    };
  });
}

/** A store that holds these, and counts what it is asked for. */
function storeOf(all: readonly Candidate[]) {
  const placed = all.map((article) => ({
    article,
    day: seoul.dayOf(new Date(article.createdAtMs)),
    hour: Math.floor(article.createdAtMs / hourMs),
  }));
  const asked = { articles: 0, rounds: 0 };
  const read = async (wanted: readonly Wanted[]) => {
    asked.rounds++;
    return wanted.map(({ bucket, take }) => {
      const found = placed
        .filter(({ day, hour }) => day === bucket.day && (bucket.hour === null || hour === bucket.hour))
        .map(({ article }) => article)
        .sort((a, b) => byRank({ ...a, score: a.stored }, { ...b, score: b.stored }))
        .slice(0, take);
      asked.articles += found.length;
      return found;
    });
  };
  return { asked, read };
}

function sortedAll(all: readonly Candidate[], formula: Formula, fromMs: number, limit: number) {
  return all
    .filter(({ createdAtMs }) => createdAtMs >= fromMs)
    .map((item) => ({ ...item, score: formula.score(item.stored, item.createdAtMs, nowMs) }))
    .sort(byRank)
    .slice(0, limit);
}

describe('the best of some buckets', () => {
  const weights = { likes: 3, comments: 2, views: 1 };
  const cases = formulaNames.flatMap((name) => windowNames.map((window) => [name, window] as const));

  it.each(cases)('is by the %s formula what sorting all articles of the last %s gives', async (name, window) => {
    const formula = formulaOf(name, weights);
    const of: ListOf = { window };
    for (const [seed, limit] of [
      [1, 1],
      [2, 10],
      [3, 100],
    ] as const) {
      // biome-ignore format: one line
      const all = articles(formula, 600, windowMs[window] * 1.5, seeded(seed));
      const buckets = bucketsOf(of, nowMs, seoul, formula.changesWithTime);
      const { read } = storeOf(all);
      const best = await bestOf({ buckets, limit, formula, nowMs, read });
      expect(best).toEqual(sortedAll(all, formula, nowMs - windowMs[window], limit));
    }
  });

  it('reads a small part of what there is', async () => {
    const formula = formulaOf('hacker-news', weights);
    const all = articles(formula, 5000, windowMs.week, seeded(4));
    const { read, asked } = storeOf(all);
    const buckets = bucketsOf({ window: 'week' }, nowMs, seoul, true);
    await bestOf({ buckets, limit: 10, formula, nowMs, read });
    expect(asked.articles).toBeLessThan(1000);
  });

  it('is one read of no more than the limit for a day whose scores do not change with time', async () => {
    const formula = formulaOf('linear', weights);
    const { read, asked } = storeOf(articles(formula, 500, 6 * hourMs, seeded(5)));
    const best = await bestOf({
      buckets: bucketsOf({ day: '2026-11-21' }, nowMs, seoul),
      limit: 10,
      formula,
      nowMs,
      read,
    });
    expect(best).toHaveLength(10);
    expect(asked).toEqual({ articles: 10, rounds: 1 });
  });

  it('is null where a bucket can not be read', async () => {
    const formula = formulaOf('linear', weights);
    const buckets = bucketsOf({ window: 'hour' }, nowMs, seoul);
    expect(await bestOf({ buckets, limit: 10, formula, nowMs, read: async () => null })).toBeNull();
  });
});
