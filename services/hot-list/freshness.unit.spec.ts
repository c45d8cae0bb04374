import { describe, expect, it } from '@jest/globals';
import type { ConsumerLag } from '../hot-article/consumer-lag.ts';
import { FreshnessGauge } from './freshness.ts';

function setUp() {
  const state = {
    nowMs: 0,
    sources: { article: 0, like: 0 } as Record<string, number | null | 'fails' | 'hangs'>,
    consumer: { lagMs: 0, complete: true, unwrittenMs: 0 } as ConsumerLag | 'fails' | 'hangs',
    calls: 0,
  };
  const answer = async <Value>(value: Value | 'fails' | 'hangs'): Promise<Value> => {
    if (value === 'fails') throw new Error('away');
    if (value === 'hangs') return new Promise(() => {});
    return value as Value;
  };
  const gauge = new FreshnessGauge({
    sources: Object.keys(state.sources),
    sourceLag: (source) => {
      state.calls++;
      return answer(state.sources[source]!);
    },
    consumerLag: () => answer(state.consumer),
    monotonicMs: () => state.nowMs,
    everyMs: 500,
    waitMs: 20,
    trustedMs: 3000,
    syncingAboveMs: 1000,
  });
  const read = async (from: 'redis' | 'mysql' = 'redis') => {
    await gauge.refresh();
    return gauge.of(from);
  };
  return { state, read };
}

describe('the freshness of the hot list', () => {
  it('is the greater of what is not sent and what is not applied', async () => {
    const { state, read } = setUp();
    state.sources.like = 700;
    state.consumer = { lagMs: 300, complete: true, unwrittenMs: 0 };
    expect(await read()).toEqual({ lagMs: 700, syncing: false });
    state.consumer = { lagMs: 900, complete: true, unwrittenMs: 0 };
    state.nowMs = 1000;
    expect(await read()).toEqual({ lagMs: 900, syncing: false });
  });

  it('is syncing when it is more than a second behind', async () => {
    const { state, read } = setUp();
    state.sources.like = 1001;
    expect(await read()).toEqual({ lagMs: 1001, syncing: true });
  });

  it('is syncing, with the lag of the others, where one cannot be asked', async () => {
    for (const broken of ['fails', 'hangs', null] as const) {
      const { state, read } = setUp();
      state.sources.article = broken;
      state.sources.like = 40;
      expect(await read()).toEqual({ lagMs: 40, syncing: true });
    }
  });

  it('is syncing where a partition of the consumer is not known', async () => {
    const { state, read } = setUp();
    state.consumer = { lagMs: 5, complete: false, unwrittenMs: 0 };
    expect(await read()).toEqual({ lagMs: 5, syncing: true });
  });

  it('is syncing with no lag at all where nothing is known', async () => {
    const { state, read } = setUp();
    state.sources = { article: 'fails', like: 'fails' };
    state.consumer = 'fails';
    expect(await read()).toEqual({ lagMs: null, syncing: true });
  });

  it('counts what Redis has not got yet for lists from Redis only', async () => {
    const { state, read } = setUp();
    state.consumer = { lagMs: 5, complete: true, unwrittenMs: 4000 };
    expect(await read('redis')).toEqual({ lagMs: 4000, syncing: true });
    expect(await read('mysql')).toEqual({ lagMs: 5, syncing: false });
  });

  it('forgets what was said too long ago', async () => {
    const { state, read } = setUp();
    await read();
    state.consumer = 'fails';
    state.nowMs = 2900;
    expect(await read()).toEqual({ lagMs: 0, syncing: false });
    state.nowMs = 3500;
    expect((await read()).syncing).toBe(true);
  });

  it('asks once for all requests of half a second', async () => {
    const { state, read } = setUp();
    await Promise.all(Array.from({ length: 50 }, () => read()));
    state.nowMs = 499;
    await read();
    expect(state.calls).toBe(2); // two sources
    state.nowMs = 500;
    await read();
    expect(state.calls).toBe(4);
  });

  it('holds up nobody but the request that asks, and that one not for long', async () => {
    const { state, read } = setUp();
    state.consumer = 'hangs';
    const first = read();
    expect(await read()).toEqual({ lagMs: null, syncing: true });
    expect(await first).toEqual({ lagMs: 0, syncing: true });
  });
});
