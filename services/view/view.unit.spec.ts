import { describe, expect, it } from '@jest/globals';
import { backoffMs, flushTimes, ViewFlusher } from './flusher.ts';
import type { GatheredViews, TakeOptions, ViewStore } from './view-store.ts';
import { viewsByArticle } from './views.ts';

const gathered = (flushId: string, articleId: string, views: number): GatheredViews => ({ flushId, articleId, views });

describe('flushTimes', () => {
  it('leaves no view waiting for longer than allowed, the pause included', () => {
    for (const flushMs of [50, 100, 2000, 60_000]) {
      const { pauseMs, batchAgeMs } = flushTimes(flushMs);
      expect(batchAgeMs + pauseMs).toBe(flushMs);
      expect(pauseMs).toBeLessThanOrEqual(500);
    }
  });
});

describe('backoffMs', () => {
  it('doubles up to five seconds', () => {
    expect([0, 1, 2, 3, 4, 20].map((failures) => backoffMs(500, failures))).toEqual([
      500, 1000, 2000, 4000, 5000, 5000,
    ]);
  });
});

describe('viewsByArticle', () => {
  it('adds up batches of one article', () => {
    const sums = viewsByArticle([gathered('a', '1', 2), gathered('b', '2', 1), gathered('c', '1', 5)]);
    expect([...sums]).toEqual([
      ['1', 7],
      ['2', 1],
    ]);
  });
});

describe('ViewFlusher', () => {
  /** A store that gives what it is told to, and a sleep that the test ends. */
  function setUp(batches: GatheredViews[][]) {
    const asked: TakeOptions[] = [];
    const log: string[] = [];
    const sleeps: { ms: number; signal: AbortSignal; end(): void }[] = [];
    const store: ViewStore = {
      record: () => Promise.reject(new Error('not here')),
      async take(options) {
        asked.push(options);
        return batches.shift() ?? [];
      },
      done: async (ids) => void log.push(`done ${ids}`),
      giveBack: async (ids) => void log.push(`back ${ids}`),
    };
    let failWrites = 0;
    const flusher = new ViewFlusher({
      store,
      async write(views) {
        if (failWrites-- > 0) throw new Error('away');
        log.push(`write ${views.map(({ flushId }) => flushId)}`);
      },
      flushCount: 100,
      flushMs: 2000,
      claimTimeoutMs: 9000,
      logger: { info: (text) => log.push(String(text)), warn: (text) => log.push(String(text)) },
      sleep: (ms, signal) =>
        new Promise((end) => {
          sleeps.push({ ms, signal, end });
          signal.addEventListener('abort', () => end());
        }),
    });
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    return { flusher, asked, log, sleeps, turn, failNext: (times: number) => (failWrites = times) };
  }

  it('takes what is old enough, or was left behind, and says done after it is written', async () => {
    const { flusher, asked, log } = setUp([[gathered('a', '1', 5), gathered('b', '2', 1)]]);
    await flusher.round();
    expect(asked).toEqual([{ batchAgeMs: 1500, claimAgeMs: 9000, limit: 200, articleIds: [] }]);
    expect(log).toEqual(['write a,b', 'done a,b']);
  });

  it('writes a full batch at once, whatever its age', async () => {
    const { flusher, asked, sleeps, turn } = setUp([]);
    flusher.start();
    await turn();
    flusher.recorded('7', 99);
    await turn();
    expect(asked).toHaveLength(1);
    flusher.recorded('7', 100);
    flusher.recorded('7', 101);
    await turn();
    expect(asked.map(({ articleIds }) => articleIds)).toEqual([[], ['7']]);
    expect(sleeps).toHaveLength(2);
    await flusher.stop();
  });

  it('gives back what it could not write, and waits longer each time', async () => {
    const { flusher, log, sleeps, turn, failNext } = setUp([
      [gathered('a', '1', 5)],
      [gathered('a', '1', 5)],
      [gathered('a', '1', 5)],
    ]);
    failNext(2);
    flusher.start();
    await turn();
    flusher.recorded('7', 100);
    await turn();
    expect(sleeps.map(({ ms }) => ms)).toEqual([1000]);
    sleeps[0]!.end();
    await turn();
    sleeps[1]!.end();
    await turn();
    expect(sleeps.map(({ ms }) => ms)).toEqual([1000, 2000, 500]);
    expect(log).toEqual([
      'back a',
      'Views could not be written (away); they are kept and tried again.',
      'back a',
      'write a',
      'done a',
      'Views are written again.',
    ]);
    await flusher.stop();
  });

  it('goes on without a pause while there is more, and ends when told to', async () => {
    const full = Array.from({ length: 200 }, (_, index) => gathered(`f${index}`, String(index), 1));
    const { flusher, asked, sleeps, turn } = setUp([full, full, []]);
    flusher.start();
    await turn();
    expect(asked).toHaveLength(3);
    expect(sleeps).toHaveLength(1);
    await flusher.stop();
    expect(sleeps[0]!.signal.aborted).toBe(true);
    expect(asked).toHaveLength(3);
  });
});
