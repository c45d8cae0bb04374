import { describe, expect, it } from '@jest/globals';
import { Circuit } from '../hot-article/circuit.ts';
import type { ScoredItem } from '../hot-article/hot-lists.ts';
import { HotListUnavailableError, ListReader } from './list-reader.ts';

const item = (articleId: string, score: number): ScoredItem => ({
  articleId,
  title: `title ${articleId}`,
  score,
  stored: score,
  createdAtMs: 0,
  likes: score,
  comments: 0,
  views: 0,
});
const query = { of: { day: '2026-11-21' }, boardId: null, limit: 10 };

function setUp() {
  const state = {
    nowMs: 1_000_000,
    redis: [item('1', 5)] as ScoredItem[] | null | 'away',
    mysql: [item('2', 7)] as ScoredItem[] | 'away',
    redisReads: 0,
    mysqlReads: 0,
  };
  const now = () => state.nowMs;
  let held: Promise<void> | undefined;
  /** MySQL takes its time, until what is answered is called. */
  const hold = () => {
    const answer = Promise.withResolvers<void>();
    held = answer.promise;
    return answer.resolve;
  };
  const reader = new ListReader({
    readRedis: async () => {
      state.redisReads++;
      if (state.redis === 'away') throw new Error('redis is away');
      return state.redis;
    },
    readMysql: async () => {
      state.mysqlReads++;
      const items = state.mysql;
      if (items === 'away') throw new Error('mysql is away');
      await held;
      return items;
    },
    redisCircuit: new Circuit({ firstMs: 1000, longestMs: 1000 }, now),
    mysqlCircuit: new Circuit({ firstMs: 1000, longestMs: 1000 }, now),
    nowMs: now,
    monotonicMs: now,
    freshMs: 50,
    remembered: 2,
  });
  return { state, reader, hold };
}

describe('reading a list', () => {
  it('comes from Redis, ranked, with the time at which it was read', async () => {
    const { reader } = setUp();
    expect(await reader.read(query)).toEqual({
      items: [{ rank: 1, ...item('1', 5) }],
      readAtMs: 1_000_000,
      from: 'redis',
    });
  });

  it('comes from MySQL where Redis has no list of that day', async () => {
    const { state, reader } = setUp();
    state.redis = null;
    expect(await reader.read(query)).toMatchObject({ items: [{ articleId: '2' }], from: 'mysql' });
  });

  it('comes from MySQL where Redis is away, and Redis is not asked for each request', async () => {
    const { state, reader } = setUp();
    state.redis = 'away';
    for (let request = 0; request < 10; request++) {
      state.nowMs += 60;
      expect((await reader.read(query)).from).toBe('mysql');
    }
    expect(state.redisReads).toBe(1);
  });

  it('comes from memory with its own time where both are away', async () => {
    const { state, reader } = setUp();
    await reader.read(query);
    state.redis = 'away';
    state.mysql = 'away';
    state.nowMs += 60_000;
    expect(await reader.read(query)).toMatchObject({
      items: [{ articleId: '1' }],
      readAtMs: 1_000_000,
      from: 'memory',
    });
  });

  it('fails with a retryable error only where there was no answer ever', async () => {
    const { state, reader } = setUp();
    state.redis = 'away';
    state.mysql = 'away';
    await expect(reader.read(query)).rejects.toMatchObject({ code: 'HOT_LIST_UNAVAILABLE', retryable: true });
    await expect(reader.read(query)).rejects.toThrow(HotListUnavailableError);
  });

  it('is one read for requests at the same time and for some milliseconds after', async () => {
    const { state, reader } = setUp();
    await Promise.all(Array.from({ length: 20 }, () => reader.read(query)));
    state.nowMs += 49;
    await reader.read(query);
    expect(state.redisReads).toBe(1);
    state.nowMs += 1;
    await reader.read(query);
    expect(state.redisReads).toBe(2);
  });

  it('keeps lists of different days, boards and limits apart', async () => {
    const { state, reader } = setUp();
    const queries = [
      query,
      { ...query, of: { day: '2026-11-20' } },
      { ...query, of: { window: 'day' as const } },
      { ...query, boardId: '1' },
      { ...query, limit: 11 },
    ];
    for (const each of queries) await reader.read(each);
    expect(state.redisReads).toBe(queries.length);
  });

  it('reads the truth by reads that begin after each call, and few of them', async () => {
    const { state, reader, hold } = setUp();
    const release = hold();
    const first = reader.readTruth(query);
    await Promise.resolve();
    state.mysql = [item('2', 8)]; // committed after the first read had begun
    const later = [reader.readTruth(query), reader.readTruth(query)];
    release();
    expect((await first).items).toMatchObject([{ score: 7 }]);
    for (const list of await Promise.all(later)) expect(list).toMatchObject({ from: 'mysql', items: [{ score: 8 }] });
    expect(state.mysqlReads).toBe(2);
  });

  it('tells who asks for the truth that MySQL is away, and the next one too', async () => {
    const { state, reader } = setUp();
    state.mysql = 'away';
    await expect(reader.readTruth(query)).rejects.toThrow('mysql is away');
    state.mysql = [item('2', 7)];
    state.nowMs += 1001;
    expect((await reader.readTruth(query)).items).toMatchObject([{ score: 7 }]);
  });

  it('remembers only so many lists', async () => {
    const { state, reader } = setUp();
    for (const limit of [1, 2, 3]) await reader.read({ ...query, limit });
    state.redis = 'away';
    state.mysql = 'away';
    state.nowMs += 60;
    await expect(reader.read({ ...query, limit: 1 })).rejects.toThrow(HotListUnavailableError);
    expect((await reader.read({ ...query, limit: 3 })).from).toBe('memory');
  });
});
