import { beforeAll, describe, expect, it } from '@jest/globals';
import type { ServiceBroker } from 'moleculer';
import { addDays } from '../../ranking/days.ts';
import { soon } from '../../testing/until.ts';
import { publishLag } from '../hot-article/consumer-lag.ts';
import * as make from '../hot-article/testing/events.ts';
import { feed, fromMysql } from '../hot-article/testing/harness.ts';
import { pastTheCache, top, useEdges } from './testing/edge.ts';

const hot = useEdges();

/** Of twenty answers, each read anew. A stall of the machine is in few of them, a time-out in all. */
async function usualMs(ask: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  while (times.length < 20) {
    await pastTheCache();
    const startedMs = performance.now();
    await ask();
    times.push(performance.now() - startedMs);
  }
  return times.sort((a, b) => a - b)[times.length / 2]!;
}

/** What the list alone takes from MySQL: little, but not on a busy machine. */
const mysqlMs = () => usualMs(() => fromMysql(hot.harness, { limit: 100 }));

describe('hot-list.top', () => {
  let broker: ServiceBroker;

  beforeAll(async () => {
    const events = Array.from({ length: 12 }, (_, index) => String(9_007_199_254_740_993n + BigInt(index))).flatMap(
      (articleId, index) => [
        hot.created(articleId, { boardId: index % 2 === 0 ? '1' : '2' }),
        make.viewed(articleId, 1, index),
        make.liked(articleId, 1, 1),
      ],
    );
    await feed(hot.harness, hot.projector, [
      ...events,
      hot.created('5', { createdAt: hot.harness.at(3), title: 'three days ago' }),
    ]);
    broker = await hot.edge();
  });

  it('answers the ten best of today with what their scores are made of', async () => {
    const before = Date.now();
    const answer = await top(broker);
    expect(Object.keys(answer).sort()).toEqual(['asOf', 'items', 'lagMs', 'syncing']);
    expect(answer.items).toHaveLength(10);
    expect(answer.items[0]).toEqual({
      rank: 1,
      articleId: '9007199254741004',
      title: 'title 9007199254741004',
      score: 14,
      likes: 1,
      comments: 0,
      views: 11,
    });
    expect(answer.items.map(({ rank }) => rank)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(Date.parse(answer.asOf)).toBeGreaterThanOrEqual(before - 100);
    await hot.answers(() => top(broker), { syncing: false, lagMs: 0 });
  });

  it('takes a board, a day and a limit', async () => {
    expect((await top(broker, { board: '2', limit: 3 })).items.map(({ articleId }) => articleId)).toEqual([
      '9007199254741004',
      '9007199254741002',
      '9007199254741000',
    ]);
    expect((await top(broker, { limit: 100 })).items).toHaveLength(12);
    const earlier = await top(broker, { date: addDays(hot.harness.today, -3) });
    expect(earlier.items).toMatchObject([{ rank: 1, articleId: '5', title: 'three days ago' }]);
    expect((await top(broker, { date: addDays(hot.harness.today, -9) })).items).toEqual([]);
    expect((await top(broker, { board: '77' })).items).toEqual([]);
  });

  it('refuses what is no board, no day or no limit, naming what is allowed', async () => {
    const bad = [
      [{ limit: 0 }, 'limit', '1 to 100'],
      [{ limit: 101 }, 'limit', '1 to 100'],
      [{ limit: 1.5 }, 'limit', '1 to 100'],
      [{ board: 'x' }, 'board', 'id'],
      [{ board: 7 }, 'board', 'string'],
      [{ date: '2026-02-30' }, 'date', 'YYYY-MM-DD'],
      [{ date: 'today' }, 'date', 'YYYY-MM-DD'],
      [{ date: addDays(hot.harness.today, -10) }, 'date', addDays(hot.harness.today, -9)],
      [{ date: addDays(hot.harness.today, 2) }, 'date', addDays(hot.harness.today, 1)],
      [{ day: hot.harness.today }, 'day', 'board, date, window, limit'],
      [{ window: 'year' }, 'window', 'hour, day, week, month'],
      [{ window: 'day', date: hot.harness.today }, 'window', 'not both'],
      [{ waitMs: -1 }, 'waitMs', '0 to'],
    ] as const;
    for (const [params, field, allowed] of bad) {
      await expect(top(broker, params)).rejects.toMatchObject({
        code: 400,
        type: 'VALIDATION_ERROR',
        data: [expect.objectContaining({ field, allowed: expect.stringContaining(allowed) })],
      });
    }
  });

  it('says how far it is behind: unsent events, or those not yet applied', async () => {
    const behind = await hot.edge({ unsentMs: () => 4200 });
    await hot.answers(() => top(behind), { lagMs: 4200, syncing: true });
    const waiting = await hot.edge();
    await hot.answers(() => top(waiting), { lagMs: 2500, syncing: true }, 2500);
  });

  it('is syncing where a producer is not on this node or does not answer, and waits for neither', async () => {
    const alone = await hot.edge({ sources: ['article', 'like'] });
    await hot.answers(() => top(alone), { lagMs: 0, syncing: true });
    const hanging = await hot.edge({ unsentMs: () => new Promise<number>(() => {}) });
    await hot.answers(() => top(hanging), { lagMs: 0, syncing: true });
    expect(await usualMs(() => top(hanging))).toBeLessThan(900); // the call itself has a second
  });

  it('answers by windows beside the list of the day', async () => {
    const articleId = '77777';
    const createdAt = new Date().toISOString();
    await feed(hot.harness, hot.projector, [hot.created(articleId, { createdAt, boardId: '9' })]);
    for (const window of ['hour', 'day', 'week', 'month']) {
      const { items } = await top(broker, { window, board: '9' });
      expect(items.map((item) => item.articleId)).toEqual([articleId]);
    }
  });

  it('explains each score where it is asked to', async () => {
    const [item] = (await top(broker, { explain: true, limit: 1 })).items;
    expect(item).toMatchObject({
      score: 14,
      explanation: {
        formula: 'linear',
        points: 14,
        parts: {
          likes: { count: 1, weight: 3, points: 3 },
          comments: { count: 0, weight: 2, points: 0 },
          views: { count: 11, weight: 1, points: 11 },
        },
      },
    });
  });

  it('answers from MySQL where Redis has no list', async () => {
    const second = await hot.edge();
    const answer = await top(second, { limit: 100 });
    await hot.harness.flush();
    const other = await hot.edge();
    expect((await top(other, { limit: 100 })).items).toEqual(answer.items);
    expect((await top(other)).syncing).toBe(true); // nobody tells the consumer's lag
    await hot.projector.healer.heal();
  });

  it('answers from MySQL, at once, where Redis is away', async () => {
    const answer = await top(broker, { limit: 100 });
    const blind = await hot.edge({ config: { redisUrl: 'redis://127.0.0.1:1' } });
    const ask = async () => expect((await top(blind, { limit: 100 })).items).toEqual(answer.items);
    const without = await mysqlMs();
    expect(await usualMs(ask)).toBeLessThan(without + 150); // a time-out would be 200
    expect((await top(blind, { board: '1', limit: 2 })).items).toHaveLength(2);
  });

  it('answers where Redis, then MySQL too, accepts connections and never answers; from memory at last', async () => {
    const redis = await hot.proxyTo(hot.harness.config.redisUrl!);
    const mysql = await hot.proxyTo(hot.harness.config.mysqlUrl!);
    const other = await hot.edge({ config: { redisUrl: redis.url, mysqlUrl: mysql.url } });
    const { items, asOf } = await top(other);
    redis.proxy.set({ mode: 'half-open' });
    const without = await mysqlMs();
    const ask = async () => expect((await top(other)).items).toEqual(items);
    expect(await usualMs(ask)).toBeLessThan(without + 150); // a time-out would be 200

    mysql.proxy.set({ mode: 'half-open' });
    await pastTheCache();
    const last = await top(other);
    expect(last).toMatchObject({ items, syncing: true });
    expect(Date.parse(last.asOf)).toBeGreaterThanOrEqual(Date.parse(asOf));
    expect(last.lagMs).toBeGreaterThan(0);
    for (let request = 0; request < 10; request++) expect((await top(other)).items).toEqual(items);

    redis.proxy.set({ mode: 'pass' });
    await hot.answers(() => top(other), { items, syncing: false });
  });

  it('knows the lag from MySQL where Redis is away for all', async () => {
    const closed = await hot.harness.openRedis('redis://127.0.0.1:1');
    const parts = {
      store: hot.harness.projector({ redis: closed }).store,
      database: hot.harness.database,
      nowMs: Date.now,
    };
    const blind = await hot.edge({ config: { redisUrl: 'redis://127.0.0.1:1' } });
    await soon('the lag', async () => {
      await publishLag(parts, 'node-1', hot.lagOf(30));
      expect(await top(blind)).toMatchObject({ lagMs: 30, syncing: false });
      return true;
    });
  });

  it('answers 503, retryable, where nothing can be read and nothing ever was', async () => {
    const lost = await hot.edge({ config: { redisUrl: 'redis://127.0.0.1:1', mysqlUrl: 'mysql://root@127.0.0.1:1' } });
    await expect(top(lost)).rejects.toMatchObject({ code: 503, type: 'HOT_LIST_UNAVAILABLE', retryable: true });
  });
});
