import { describe, expect, it } from '@jest/globals';
import { Circuit } from '../hot-article/circuit.ts';
import type { HotItem } from '../hot-article/hot-table.ts';
import { HotListUnavailableError, ListReader } from './list-reader.ts';

const item = (articleId: string, score: number): HotItem => ({
  articleId,
  title: `title ${articleId}`,
  score,
  likes: score,
  comments: 0,
  views: 0,
});
const query = { day: '2026-11-21', boardId: null, limit: 10 };

function setUp() {
  const state = {
    nowMs: 1_000_000,
    redis: [item('1', 5)] as HotItem[] | null | 'away',
    mysql: [item('2', 7)] as HotItem[] | 'away',
    redisReads: 0,
    mysqlReads: 0,
  };
  const now = () => state.nowMs;
  const reader = new ListReader({
    readRedis: async () => {
      state.redisReads++;
      if (state.redis === 'away') throw new Error('redis is away');
      return state.redis;
    },
    readMysql: async () => {
      state.mysqlReads++;
      if (state.mysql === 'away') throw new Error('mysql is away');
      return state.mysql;
    },
    redisCircuit: new Circuit({ firstMs: 1000, longestMs: 1000 }, now),
    mysqlCircuit: new Circuit({ firstMs: 1000, longestMs: 1000 }, now),
    nowMs: now,
    monotonicMs: now,
    freshMs: 50,
    remembered: 2,
  });
  return { state, reader };
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
    const queries = [query, { ...query, day: '2026-11-20' }, { ...query, boardId: '1' }, { ...query, limit: 11 }];
    for (const each of queries) await reader.read(each);
    expect(state.redisReads).toBe(queries.length);
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
