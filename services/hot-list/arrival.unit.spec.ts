import { describe, expect, it } from '@jest/globals';
import { encodeToken } from '../../outbox/token.ts';
import { Arrivals, type Versions, writesOf } from './arrival.ts';

const none: Versions = { article: 0n, comment: 0n, like: 0n, view: 0n };
const like = (articleId: string, version: bigint) => ({ source: 'like' as const, articleId, version });

/** A projection whose time passes only while somebody waits. */
function setUp(waiters = 10) {
  const state = { nowMs: 0, looks: [] as string[][], likes: new Map<string, bigint>(), away: false };
  const arrivals = new Arrivals({
    readVersions: async (articleIds) => {
      state.looks.push([...articleIds]);
      if (state.away) throw new Error('away');
      const known = articleIds.filter((id) => state.likes.has(id));
      return new Map(known.map((id) => [id, { ...none, like: state.likes.get(id)! }]));
    },
    everyMs: 20,
    waiters,
    monotonicMs: () => state.nowMs,
    pause: async (ms) => {
      state.nowMs += ms;
    },
  });
  return { state, arrivals };
}

describe('the arrival of writes', () => {
  it('is told at once where they are there, or later ones are', async () => {
    const { state, arrivals } = setUp();
    state.likes.set('1', 5n);
    expect(await arrivals.arrived([like('1', 5n), like('1', 4n)], 0)).toBe(true);
    expect(await arrivals.arrived([like('1', 6n)], 0)).toBe(false);
    expect(await arrivals.arrived([like('2', 1n)], 0)).toBe(false);
    expect(await arrivals.arrived([{ source: 'comment', articleId: '1', version: 1n }], 0)).toBe(false);
    expect(await arrivals.arrived([], 0)).toBe(true);
  });

  it('is waited for, and no longer than it may be', async () => {
    const { state, arrivals } = setUp();
    const waited = arrivals.arrived([like('1', 1n)], 1000);
    state.likes.set('1', 1n);
    expect(await waited).toBe(true);
    const startedMs = state.nowMs;
    expect(await arrivals.arrived([like('1', 2n)], 200)).toBe(false);
    expect(state.nowMs - startedMs).toBeLessThanOrEqual(200);
  });

  it('is one look after the other for all who wait', async () => {
    const { state, arrivals } = setUp();
    const ids = Array.from({ length: 8 }, (_, index) => String(index + 1));
    await Promise.all(ids.map((id) => arrivals.arrived([like(id, 1n)], 100)));
    expect(state.looks[0]).toEqual(ids);
    expect(state.looks.length).toBeLessThanOrEqual(6);
  });

  it('is not known where the database is away, and is when it is back in time', async () => {
    const { state, arrivals } = setUp();
    state.away = true;
    state.likes.set('1', 1n);
    expect(await arrivals.arrived([like('1', 1n)], 60)).toBe(false);
    const waited = arrivals.arrived([like('1', 1n)], 1000);
    state.away = false;
    expect(await waited).toBe(true);
  });

  it('is waited for by so many at most', async () => {
    const { state, arrivals } = setUp(2);
    const waiting = [arrivals.arrived([like('1', 1n)], 1000), arrivals.arrived([like('1', 1n)], 1000)];
    expect(await arrivals.arrived([like('1', 1n)], 1000)).toBe(false);
    state.likes.set('1', 1n);
    expect(await Promise.all(waiting)).toEqual([true, true]);
  });
});

describe('the tokens of writes', () => {
  it('are read one by one, with commas between them', () => {
    const [first, second] = [
      encodeToken([['like', 'article', '9007199254740993', '18446744073709551615']]),
      encodeToken([
        ['article', 'article', '7', '1'],
        ['view', 'article', '7', '2'],
      ]),
    ];
    expect(writesOf(`${first}, ${second}`)).toEqual([
      like('9007199254740993', 18_446_744_073_709_551_615n),
      { source: 'article', articleId: '7', version: 1n },
      { source: 'view', articleId: '7', version: 2n },
    ]);
  });
});
