import { describe, expect, it } from '@jest/globals';
import { Loop } from './loop.ts';
import { sparingly } from './sparingly.ts';

const never = 3_600_000;

function setUp(work: (run: number) => Promise<void> = async () => {}) {
  const seen = { runs: 0, errors: [] as unknown[], atOnce: 0, mostAtOnce: 0 };
  const waiting: { runs: number; resolve(): void }[] = [];
  const loop = new Loop({
    everyMs: never,
    async work() {
      seen.mostAtOnce = Math.max(seen.mostAtOnce, ++seen.atOnce);
      try {
        await work(++seen.runs);
      } finally {
        seen.atOnce--;
        for (const each of waiting.filter(({ runs }) => runs <= seen.runs)) each.resolve();
      }
    },
    onError: (error) => seen.errors.push(error),
  });
  const ran = (runs: number) => new Promise<void>((resolve) => waiting.push({ runs, resolve }));
  return { loop, seen, ran };
}

describe('a loop', () => {
  it('works at once when it starts and when it is woken, one run at a time', async () => {
    const { loop, seen, ran } = setUp();
    const first = ran(1);
    loop.start();
    await first;
    const second = ran(2);
    setImmediate(() => loop.wake());
    await second;
    await loop.stop();
    expect(seen).toMatchObject({ runs: 2, mostAtOnce: 1 });
  });

  it('runs once more where it is woken in the midst of a run', async () => {
    const { loop, seen, ran } = setUp(async (run) => {
      if (run === 1) loop.wake();
    });
    const second = ran(2);
    loop.start();
    await second;
    await loop.stop();
    expect(seen.runs).toBe(2);
  });

  it('goes on after an error, and is not hurried by a wake-up then', async () => {
    const { loop, seen, ran } = setUp(async () => {
      throw new Error('away');
    });
    const first = ran(1);
    loop.start();
    await first;
    for (let count = 0; count < 5; count++) {
      loop.wake();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await loop.stop();
    expect(seen.runs).toBe(1);
    expect(seen.errors).toHaveLength(1);
  });

  it('waits in stop() for the run in hand', async () => {
    let finish: () => void = () => {};
    const { loop } = setUp(() => new Promise((resolve) => (finish = resolve)));
    loop.start();
    let stopped = false;
    const stopping = loop.stop().then(() => {
      stopped = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(stopped).toBe(false);
    finish();
    await stopping;
  });
});

describe('logging sparingly', () => {
  it('passes on a message once in a while, with how often it was left out', () => {
    let nowMs = 0;
    const lines: string[] = [];
    const warn = sparingly(
      1000,
      (what) => lines.push(what),
      () => nowMs,
    );
    for (let count = 0; count < 5; count++) warn('Redis is away', null);
    warn('another', null);
    nowMs = 1000;
    warn('Redis is away', null);
    expect(lines).toEqual(['Redis is away', 'another', 'Redis is away (and 4 times before)']);
  });
});
