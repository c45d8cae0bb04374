import { describe, expect, it } from '@jest/globals';
import { daysAhead, type Layout, oldestAgeDays, type Partition, planRetention } from './plan.ts';

const settings = { days: 3, auditDays: 0, aheadDays: 2, maxOverflowRows: 100 };

/** Partitions that end before these days of November, and the last one. */
function layout(before: number[], given: Partial<Layout> = {}): Layout {
  const partitions: Partition[] = before.map((end) => ({ name: `p${end - 1}`, before: day(end) }));
  return { today: day(20), partitions: [...partitions, { name: 'pmax', before: null }], overflowRows: 0, ...given };
}
const day = (number: number) => `2026-11-${String(number).padStart(2, '0')}`;
const plan = (from: Layout, unsent: number[] = []) => planRetention(from, settings, unsent.map(day));
const splits = (from: Layout) => plan(from).split.map(({ name, before }) => [name, before]);

describe('the days ahead', () => {
  it('are split off one by one, in order, until there are enough', () => {
    expect(splits(layout([20, 21]))).toEqual([
      ['p20261121', '2026-11-22'],
      ['p20261122', '2026-11-23'],
    ]);
    expect(splits(layout([20, 21, 22]))).toEqual([['p20261122', '2026-11-23']]);
    expect(splits(layout([20, 21, 22, 23]))).toEqual([]);
    expect(splits(layout([20, 25]))).toEqual([]);
  });

  it('cross the ends of months and years', () => {
    expect(splits(layout([], { today: '2027-12-30', partitions: [{ name: 'pmax', before: null }] }))).toEqual([
      ['p20271230', '2027-12-31'],
      ['p20271231', '2028-01-01'],
      ['p20280101', '2028-01-02'],
    ]);
  });

  it('after a time without a janitor: one partition for all of it up to today', () => {
    expect(splits(layout([10, 11], { overflowRows: 100 }))[0]).toEqual(['p20261120', '2026-11-21']);
  });

  it('are not split off while the last partition has many rows', () => {
    expect(plan(layout([10, 11], { overflowRows: 101 }))).toMatchObject({ split: [], overflows: true });
    expect(plan(layout([10, 11], { overflowRows: 100 }))).toMatchObject({ overflows: false });
  });

  it('are counted', () => {
    expect(daysAhead(layout([20, 21, 22, 23]))).toBe(2);
    expect(daysAhead(layout([20, 21]))).toBe(0);
    expect(daysAhead(layout([10]))).toBe(-1);
    expect(daysAhead(layout([]))).toBe(-1);
    expect(oldestAgeDays(layout([17, 18, 21]))).toBe(4);
    expect(oldestAgeDays(layout([21]))).toBe(0);
  });
});

describe('old days', () => {
  const old = layout([14, 15, 16, 17, 18, 19, 20, 21, 22, 23]);

  it('go when they are older than the days that stay, oldest first', () => {
    expect(plan(old)).toMatchObject({ drop: ['p13', 'p14', 'p15', 'p16'], held: [] });
  });

  it('stay where any of their events is not sent, others go', () => {
    expect(plan(old, [14])).toMatchObject({ drop: ['p13', 'p15', 'p16'], held: ['p14'] });
    expect(plan(old, [13, 14, 15, 16])).toMatchObject({ drop: [], held: ['p13', 'p14', 'p15', 'p16'] });
  });

  it('count for the partition that holds them: the first one holds all before it, a later one the gap before it', () => {
    expect(plan(layout([14, 17, 21]), [2])).toMatchObject({ drop: ['p16'], held: ['p13'] });
    expect(plan(layout([14, 17, 21]), [14])).toMatchObject({ drop: ['p13'], held: ['p16'] });
    expect(plan(layout([14, 17, 21]), [15])).toMatchObject({ drop: ['p13'], held: ['p16'] });
  });

  it('never takes the last partition', () => {
    expect(plan(layout([10, 11]))).toMatchObject({ drop: ['p9', 'p10'] });
    expect(plan(layout([])).drop).toEqual([]);
  });
});
