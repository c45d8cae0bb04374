import { beforeEach, describe, expect, it } from '@jest/globals';
import type { EventEnvelope } from '../../events/envelope.ts';
import { hourMs } from '../../ranking/days.ts';
import { formulaNames, formulaOf } from '../../ranking/formula.ts';
import { byRank } from '../../ranking/order.ts';
import { daysToKeep, windowMs, windowNames } from '../../ranking/windows.ts';
import type { Projector } from './projector.ts';
import * as make from './testing/events.ts';
import { feed, fromMysql, fromRedis, weights } from './testing/harness.ts';
import { useHotList } from './testing/hot-list.ts';
import { seeded } from './testing/random.ts';

const hot = useHotList();
const keptDays = daysToKeep(10);
let projector: Projector;
let nowMs: number;

beforeEach(async () => {
  nowMs = Date.now();
  projector = hot.harness.projector({ keptDays, nowMs: () => nowMs });
  await projector.healer.heal();
});

const created = (articleId: string, ageMs: number, boardId = '1') =>
  make.created(articleId, 1, { createdAt: new Date(nowMs - ageMs).toISOString(), boardId });

/** Articles of these ages, each with so many views. */
async function articlesOf(ages: readonly number[], views = (index: number) => index): Promise<string[]> {
  const ids = ages.map(hot.newId);
  const events = ids.flatMap((articleId, index) => [
    created(articleId, ages[index]!),
    make.viewed(articleId, 1, views(index)),
  ]);
  await feed(hot.harness, projector, events);
  return ids;
}

/** Both halves tell the same, and this. */
async function expectWindow(ids: readonly string[], query: Parameters<typeof fromMysql>[1]): Promise<void> {
  const items = await fromMysql(hot.harness, { nowMs, ...query });
  expect(items.map(({ articleId }) => articleId)).toEqual(ids);
  expect(await fromRedis(hot.harness, projector, { nowMs, ...query })).toEqual(items);
}

describe('the lists of windows', () => {
  it('have the articles that were made within the hour, day, week and month, best first', async () => {
    const ages = windowNames.flatMap((window) => [windowMs[window] - 1000, windowMs[window] + 1000]);
    const ids = await articlesOf([0, ...ages]);
    const within = { hour: 2, day: 4, week: 6, month: 8 };
    for (const window of windowNames) await expectWindow(ids.slice(0, within[window]).reverse(), { window });
  });

  it('lose an article when it is too old, without any event', async () => {
    const [older, newer] = await articlesOf([hourMs - 60_000, 0]);
    await expectWindow([newer!, older!], { window: 'hour' });
    nowMs += 59_000;
    await expectWindow([newer!, older!], { window: 'hour' });
    nowMs += 2000;
    await expectWindow([newer!], { window: 'hour' });
    await expectWindow([newer!, older!], { window: 'day' });
  });

  it('let number 11 in when number 1 is deleted, in all windows at once', async () => {
    const ids = (await articlesOf(Array.from({ length: 12 }, (_, index) => index * 60_000))).reverse();
    for (const window of windowNames) await expectWindow(ids.slice(0, 10), { window, limit: 10 });
    const createdAt = new Date(nowMs - 11 * 60_000).toISOString();
    await feed(hot.harness, projector, [make.deleted(ids[0]!, 2, { createdAt })]);
    for (const window of windowNames) await expectWindow(ids.slice(1, 11), { window, limit: 10 });
    await feed(hot.harness, projector, [make.liked(ids[0]!, 1, 100)]); // late: it never revives
    for (const window of windowNames) await expectWindow(ids.slice(1), { window });
  });

  it('are one for each board, and follow an article to another one', async () => {
    const [first, second] = [hot.newId(), hot.newId()];
    await feed(hot.harness, projector, [created(first, 1000, '11'), created(second, 1000, '22')]);
    await expectWindow([first], { window: 'hour', boardId: '11' });
    const createdAt = new Date(nowMs - 1000).toISOString();
    await feed(hot.harness, projector, [make.edited(first, 2, 'moved', { boardId: '22', createdAt })]);
    for (const window of windowNames) {
      await expectWindow([], { window, boardId: '11' });
      await expectWindow([second, first], { window, boardId: '22' });
    }
  });

  it('come back from MySQL alone after a flush, and leave nothing behind in Redis', async () => {
    const ids = await articlesOf([1000, 30 * hourMs, 100 * hourMs, 400 * hourMs]);
    const before = await hot.harness.redis.keys(`${hot.harness.namespace}:*`);
    await hot.harness.flush();
    expect(await fromRedis(hot.harness, projector, { window: 'month' })).toBeNull();
    await projector.healer.heal();
    await expectWindow([...ids].reverse(), { window: 'month' });
    await projector.rebuild({});
    expect(await hot.harness.redis.keys(`${hot.harness.namespace}:*`)).toHaveLength(before.length);
  });
});

describe.each(formulaNames)('lists by the %s formula', (name) => {
  const formula = formulaOf(name, weights);

  it('are what sorting all articles by the score of this moment gives, from both halves, also later', async () => {
    projector = hot.harness.projector({ keptDays, nowMs: () => nowMs, formula });
    await projector.healer.heal();
    const random = seeded(11);
    const articles = Array.from({ length: 150 }, () => ({
      articleId: hot.newId(),
      createdAtMs: Math.floor(nowMs - random() ** 3 * 9 * 24 * hourMs),
      likes: Math.floor(random() ** 3 * 30),
      comments: Math.floor(random() * 3),
      views: Math.floor(random() * 10),
    }));
    const events: EventEnvelope[] = articles.flatMap(({ articleId, createdAtMs, likes, comments, views }) => [
      created(articleId, nowMs - createdAtMs),
      make.liked(articleId, 1, likes),
      make.commented(articleId, 1, comments),
      make.viewed(articleId, 1, views),
    ]);
    await feed(hot.harness, projector, events);
    for (const laterMs of [0, 5 * hourMs]) {
      nowMs += laterMs;
      for (const window of ['day', 'week'] as const) {
        const expected = articles
          .filter(({ createdAtMs }) => createdAtMs >= nowMs - windowMs[window])
          .map((article) => ({
            articleId: article.articleId,
            score: formula.score(formula.stored(article, article.createdAtMs), article.createdAtMs, nowMs),
          }))
          .sort(byRank)
          .slice(0, 20);
        const items = await fromMysql(hot.harness, { window, formula, nowMs, limit: 20 });
        expect(items.map(({ articleId, score }) => ({ articleId, score }))).toEqual(expected);
        expect(await fromRedis(hot.harness, projector, { window, formula, nowMs, limit: 20 })).toEqual(items);
      }
    }
  });
});
