import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import moleculer, { type ServiceBroker } from 'moleculer';
import type { Config } from '../../config/load.ts';
import { boardSources } from '../../events/board.ts';
import { TcpProxy } from '../../faults/proxy/proxy.ts';
import { topicPartitions } from '../../migrations/topics.ts';
import { encodeToken } from '../../outbox/token.ts';
import { addDays } from '../../ranking/days.ts';
import { daysToKeep } from '../../ranking/windows.ts';
import { JsonSchemaValidator } from '../../validation/validator.ts';
import type { Projector } from '../hot-article/projector.ts';
import * as make from '../hot-article/testing/events.ts';
import { commitOnly, createHarness, feed, type Harness } from '../hot-article/testing/harness.ts';
import { type HotList, hotListService } from './schema.ts';

let harness: Harness;
let projector: Projector;
const brokers: ServiceBroker[] = [];
const proxies: TcpProxy[] = [];

beforeAll(async () => {
  harness = await createHarness();
  projector = harness.projector({ keptDays: daysToKeep(harness.config.hotDays) });
  await projector.healer.heal();
  await tellLag(0);
});
afterAll(async () => {
  await Promise.all(brokers.map((broker) => broker.stop()));
  await Promise.all(proxies.map((proxy) => proxy.refuse()));
  await harness.close();
});

interface EdgeOptions {
  config?: Partial<Config>;
  sources?: readonly string[];
  /** Age of the oldest unsent event of each source. */
  unsentMs?: () => number | Promise<number>;
}

/** A node with the hot list and producers that only tell their lag. */
async function edge({ config, sources = boardSources, unsentMs = () => 0 }: EdgeOptions = {}): Promise<ServiceBroker> {
  const broker = new moleculer.ServiceBroker({
    logger: process.env.TEST_LOGS ? { type: 'Console' } : false,
    validator: new JsonSchemaValidator(),
  });
  brokers.push(broker);
  broker.createService(hotListService({ ...harness.config, ...config }));
  for (const name of sources) {
    const outboxLag = async () => ({ oldestUnsentAgeMs: await unsentMs() });
    broker.createService({ name, actions: { outboxLag } });
  }
  await broker.start();
  return broker;
}

function tellLag(ms: number): Promise<void> {
  const partitions = Object.fromEntries(
    boardSources.flatMap((source) =>
      Array.from({ length: topicPartitions }, (_, index) => [`${harness.namespace}.${source}/${index}`, ms]),
    ),
  );
  return projector.store.publishLag('node-1', JSON.stringify({ partitions, unwrittenMs: 0 }), 60_000);
}

async function proxyTo(url: string): Promise<{ url: string; proxy: TcpProxy }> {
  const target = new URL(url);
  const proxy = await TcpProxy.start({ target: { host: target.hostname, port: Number(target.port) } });
  proxies.push(proxy);
  target.port = String(proxy.port);
  return { url: target.href, proxy };
}

/** A list is given again for 20 ms. */
const pastTheCache = () => new Promise((resolve) => setTimeout(resolve, 30));

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 15_000;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error('not within 15 s');
    await tellLag(0);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const top = (broker: ServiceBroker, params: object = {}) => broker.call<HotList, object>('hot-list.top', params);
const created = (articleId: string, fields: Parameters<typeof make.created>[2] = {}) =>
  make.created(articleId, 1, { createdAt: harness.at(), ...fields });

describe('hot-list.top', () => {
  let broker: ServiceBroker;

  beforeAll(async () => {
    const events = Array.from({ length: 12 }, (_, index) => String(9_007_199_254_740_993n + BigInt(index))).flatMap(
      (articleId, index) => [
        created(articleId, { boardId: index % 2 === 0 ? '1' : '2' }),
        make.viewed(articleId, 1, index),
        make.liked(articleId, 1, 1),
      ],
    );
    await feed(harness, projector, [...events, created('5', { createdAt: harness.at(3), title: 'three days ago' })]);
    broker = await edge();
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
    expect(answer).toMatchObject({ syncing: false, lagMs: 0 });
  });

  it('takes a board, a day and a limit', async () => {
    expect((await top(broker, { board: '2', limit: 3 })).items.map(({ articleId }) => articleId)).toEqual([
      '9007199254741004',
      '9007199254741002',
      '9007199254741000',
    ]);
    expect((await top(broker, { limit: 100 })).items).toHaveLength(12);
    const earlier = await top(broker, { date: addDays(harness.today, -3) });
    expect(earlier.items).toMatchObject([{ rank: 1, articleId: '5', title: 'three days ago' }]);
    expect((await top(broker, { date: addDays(harness.today, -9) })).items).toEqual([]);
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
      [{ date: addDays(harness.today, -10) }, 'date', addDays(harness.today, -9)],
      [{ date: addDays(harness.today, 2) }, 'date', addDays(harness.today, 1)],
      [{ day: harness.today }, 'day', 'board, date, window, limit'],
      [{ window: 'year' }, 'window', 'hour, day, week, month'],
      [{ window: 'day', date: harness.today }, 'window', 'not both'],
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
    const behind = await edge({ unsentMs: () => 4200 });
    expect(await top(behind)).toMatchObject({ lagMs: 4200, syncing: true });
    await tellLag(2500);
    const waiting = await edge();
    expect(await top(waiting)).toMatchObject({ lagMs: 2500, syncing: true });
    await tellLag(0);
  });

  it('is syncing where a producer is not on this node or does not answer, and waits for neither', async () => {
    const alone = await edge({ sources: ['article', 'like'] });
    expect(await top(alone)).toMatchObject({ lagMs: 0, syncing: true });
    const hanging = await edge({ unsentMs: () => new Promise<number>(() => {}) });
    const startedMs = performance.now();
    expect(await top(hanging)).toMatchObject({ lagMs: 0, syncing: true });
    expect(performance.now() - startedMs).toBeLessThan(900); // the call itself has a second
  });

  it('answers by windows beside the list of the day', async () => {
    const articleId = '77777';
    const createdAt = new Date().toISOString();
    await feed(harness, projector, [created(articleId, { createdAt, boardId: '9' })]);
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
    const second = await edge();
    const answer = await top(second, { limit: 100 });
    await harness.flush();
    const other = await edge();
    expect((await top(other, { limit: 100 })).items).toEqual(answer.items);
    expect((await top(other)).syncing).toBe(true); // nobody tells the consumer's lag
    await projector.healer.heal();
    await tellLag(0);
  });

  it('answers from MySQL, at once, where Redis is away', async () => {
    const answer = await top(broker, { limit: 100 });
    const blind = await edge({ config: { redisUrl: 'redis://127.0.0.1:1' } });
    const startedMs = performance.now();
    for (let request = 0; request < 20; request++) {
      await pastTheCache();
      expect((await top(blind, { limit: 100 })).items).toEqual(answer.items);
    }
    expect(performance.now() - startedMs).toBeLessThan(3000);
    expect((await top(blind, { board: '1', limit: 2 })).items).toHaveLength(2);
  });

  it('answers where Redis, then MySQL too, accepts connections and never answers; from memory at last', async () => {
    const redis = await proxyTo(harness.config.redisUrl!);
    const mysql = await proxyTo(harness.config.mysqlUrl!);
    const other = await edge({ config: { redisUrl: redis.url, mysqlUrl: mysql.url } });
    const { items, asOf } = await top(other);
    redis.proxy.set({ mode: 'half-open' });
    const startedMs = performance.now();
    for (let request = 0; request < 20; request++) {
      await pastTheCache();
      expect((await top(other)).items).toEqual(items);
    }
    // a time-out of 200 ms for each request would be 4,600
    expect(performance.now() - startedMs).toBeLessThan(3000);

    mysql.proxy.set({ mode: 'half-open' });
    await pastTheCache();
    const last = await top(other);
    expect(last).toMatchObject({ items, syncing: true });
    expect(Date.parse(last.asOf)).toBeGreaterThanOrEqual(Date.parse(asOf));
    expect(last.lagMs).toBeGreaterThan(0);
    for (let request = 0; request < 10; request++) expect((await top(other)).items).toEqual(items);

    redis.proxy.set({ mode: 'pass' });
    await until(async () => !(await top(other)).syncing);
  });

  it('knows the lag from MySQL where Redis is away for all', async () => {
    const closed = await harness.openRedis('redis://127.0.0.1:1');
    const { publishLag } = await import('../hot-article/consumer-lag.ts');
    const partitions = Object.fromEntries(
      boardSources.flatMap((source) =>
        Array.from({ length: topicPartitions }, (_, index) => [`${harness.namespace}.${source}/${index}`, 30]),
      ),
    );
    const parts = { store: harness.projector({ redis: closed }).store, database: harness.database, nowMs: Date.now };
    await publishLag(parts, 'node-1', { partitions, unwrittenMs: 0 });
    const blind = await edge({ config: { redisUrl: 'redis://127.0.0.1:1' } });
    expect(await top(blind)).toMatchObject({ lagMs: 30, syncing: false });
  });

  it('answers 503, retryable, where nothing can be read and nothing ever was', async () => {
    const lost = await edge({ config: { redisUrl: 'redis://127.0.0.1:1', mysqlUrl: 'mysql://root@127.0.0.1:1' } });
    await expect(top(lost)).rejects.toMatchObject({ code: 503, type: 'HOT_LIST_UNAVAILABLE', retryable: true });
  });
});

describe('a read after a write', () => {
  const board = '31';
  const articleId = '9007199254750000';
  const tokenOf = (...writes: [source: string, version: number][]) =>
    encodeToken(writes.map(([source, version]) => [source, 'article', articleId, String(version)] as const));
  const ofBoard = (broker: ServiceBroker, params: object) => top(broker, { board, ...params });
  let broker: ServiceBroker;

  beforeAll(async () => {
    broker = await edge();
    await feed(harness, projector, [created(articleId, { boardId: board })]);
  });
  beforeEach(() => tellLag(0));

  it('has what was written, though Redis does not have it yet', async () => {
    await commitOnly(harness, projector, [make.liked(articleId, 1, 1)]);
    const answer = await ofBoard(broker, { after: tokenOf(['like', 1]) });
    expect(answer).toMatchObject({ items: [{ articleId, likes: 1 }], syncing: false });
    expect((await ofBoard(broker, { after: tokenOf(['article', 1], ['like', 1]), waitMs: 0 })).syncing).toBe(false);
  });

  it('waits until it arrives', async () => {
    const answer = ofBoard(broker, { after: tokenOf(['like', 2]), waitMs: 2900 });
    const whole = await Promise.race([answer, pastTheCache().then(() => null)]);
    expect(whole).toBeNull();
    await feed(harness, projector, [make.liked(articleId, 2, 2)]);
    expect(await answer).toMatchObject({ items: [{ articleId, likes: 2 }], syncing: false });
  });

  it('is syncing where it does not arrive in time', async () => {
    const startedMs = performance.now();
    expect(await ofBoard(broker, { after: tokenOf(['like', 99]), waitMs: 200 })).toMatchObject({ syncing: true });
    expect(performance.now() - startedMs).toBeGreaterThan(150);
    expect(await ofBoard(broker, { after: tokenOf(['like', 99]), waitMs: 0 })).toMatchObject({ syncing: true });
    expect(await ofBoard(broker, {})).toMatchObject({ syncing: false });
  });

  it('waits no longer than the setting allows', async () => {
    const hasty = await edge({ config: { hotWaitMs: 100 } });
    const startedMs = performance.now();
    expect(await ofBoard(hasty, { after: tokenOf(['like', 99]), waitMs: 60_000 })).toMatchObject({ syncing: true });
    expect(performance.now() - startedMs).toBeLessThan(2000);
  });

  it('waits for all of several tokens', async () => {
    await feed(harness, projector, [make.commented(articleId, 1, 1)]);
    const there = tokenOf(['comment', 1]);
    const missing = tokenOf(['view', 1]);
    expect((await ofBoard(broker, { after: `${there},${tokenOf(['like', 1])}` })).syncing).toBe(false);
    expect((await ofBoard(broker, { after: `${there}, ${missing}`, waitMs: 50 })).syncing).toBe(true);
  });

  it('is syncing, and waits no longer than it may, where the database does not say', async () => {
    const mysql = await proxyTo(harness.config.mysqlUrl!);
    const other = await edge({ config: { mysqlUrl: mysql.url } });
    mysql.proxy.set({ mode: 'half-open' });
    const answer = await ofBoard(other, { after: tokenOf(['like', 1]), waitMs: 100 });
    expect(answer).toMatchObject({ items: [{ articleId }], syncing: true });
  });

  it('refuses what is no token of the board, and says what is one', async () => {
    const foreign = encodeToken([['order', 'order', '1', '1']]);
    const many = Array.from({ length: 51 }, (_, index) => ['like', 'article', String(index + 1), '1'] as const);
    for (const after of ['nonsense', '!', `${tokenOf(['like', 1])},`, foreign, encodeToken(many)]) {
      await expect(ofBoard(broker, { after })).rejects.toMatchObject({
        code: 400,
        type: 'VALIDATION_ERROR',
        data: [expect.objectContaining({ field: 'Hotboard-Token' })],
      });
    }
  });
});
