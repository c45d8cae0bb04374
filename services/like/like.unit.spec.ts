import { describe, expect, it } from '@jest/globals';
import { KeyedBatches } from './batches.ts';
import { decideLikes } from './decide.ts';

const wish = (userId: string, liked: boolean) => ({ userId, liked });

describe('decideLikes', () => {
  it('changes nothing for a second like and for an unlike of what was not liked', () => {
    expect(decideLikes(5, new Set(['1']), [wish('1', true), wish('2', false)])).toEqual({
      counts: [5, 5],
      changes: [],
      added: [],
      removed: [],
      count: 5,
    });
  });

  it('follows the order of wishes, and a like taken back leaves two changes and no row', () => {
    const wishes = [wish('1', true), wish('2', true), wish('1', true), wish('1', false), wish('3', false)];
    expect(decideLikes(5, new Set(['3']), wishes)).toEqual({
      counts: [6, 7, 7, 6, 5],
      changes: [
        { wish: 0, userId: '1', liked: true, count: 6 },
        { wish: 1, userId: '2', liked: true, count: 7 },
        { wish: 3, userId: '1', liked: false, count: 6 },
        { wish: 4, userId: '3', liked: false, count: 5 },
      ],
      added: ['2'],
      removed: ['3'],
      count: 5,
    });
  });
});

describe('KeyedBatches', () => {
  function setUp(maxItems: number) {
    const runs: { key: string; items: readonly number[]; finish(error?: Error): void }[] = [];
    const batches = new KeyedBatches<number, string>({
      maxItems,
      run: (key, items) =>
        new Promise((resolve, reject) => {
          const finish = (error?: Error) => (error ? reject(error) : resolve(items.map((item) => `${key}${item}`)));
          runs.push({ key, items, finish });
        }),
    });
    return { batches, runs };
  }
  const turn = () => new Promise((resolve) => setImmediate(resolve));

  it('runs the first at once, and what arrives meanwhile together', async () => {
    const { batches, runs } = setUp(2);
    const answers = [1, 2, 3, 4].map((item) => batches.add('a', item));
    expect(runs.map(({ items }) => items)).toEqual([[1]]);
    runs[0]!.finish();
    await turn();
    runs[1]!.finish();
    await turn();
    runs[2]!.finish();
    expect(await Promise.all(answers)).toEqual(['a1', 'a2', 'a3', 'a4']);
    expect(runs.map(({ items }) => items)).toEqual([[1], [2, 3], [4]]);
  });

  it('holds up no other key', () => {
    const { batches, runs } = setUp(2);
    void batches.add('a', 1);
    void batches.add('b', 1);
    expect(runs.map(({ key }) => key)).toEqual(['a', 'b']);
  });

  it('gives an error to those of its run only, and goes on', async () => {
    const { batches, runs } = setUp(10);
    const first = batches.add('a', 1);
    const second = batches.add('a', 2);
    runs[0]!.finish(new Error('away'));
    await expect(first).rejects.toThrow('away');
    await turn();
    runs[1]!.finish();
    await expect(second).resolves.toBe('a2');
    await turn();
    void batches.add('a', 3);
    expect(runs.map(({ items }) => items)).toEqual([[1], [2], [3]]);
  });
});
