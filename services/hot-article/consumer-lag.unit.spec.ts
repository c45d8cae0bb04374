import { describe, expect, it } from '@jest/globals';
import { type AgedReport, combineLag } from './consumer-lag.ts';

const expected = ['like/0', 'like/1'];

describe('the lag of several projectors together', () => {
  it('is that of the worst partition', () => {
    const reports: AgedReport[] = [
      { partitions: { 'like/0': 10 }, unwrittenMs: 0, ageMs: 100 },
      { partitions: { 'like/1': 250 }, unwrittenMs: 0, ageMs: 900 },
    ];
    expect(combineLag(reports, expected, 3000)).toEqual({ lagMs: 250, complete: true, unwrittenMs: 0 });
  });

  it('is not complete where nobody tells of a partition, or only in an old report', () => {
    const fresh = { partitions: { 'like/0': 10 }, unwrittenMs: 0, ageMs: 0 };
    const old = { partitions: { 'like/1': 0 }, unwrittenMs: 0, ageMs: 3001 };
    expect(combineLag([fresh], expected, 3000)).toEqual({ lagMs: 10, complete: false, unwrittenMs: 0 });
    expect(combineLag([fresh, old], expected, 3000)).toEqual({ lagMs: 10, complete: false, unwrittenMs: 0 });
    expect(combineLag([old], expected, 3000)).toEqual({ lagMs: null, complete: false, unwrittenMs: 0 });
  });

  it('takes the worse of two that tell of one partition', () => {
    const one = { partitions: { 'like/0': 0, 'like/1': 0 }, unwrittenMs: 0, ageMs: 0 };
    const other = { partitions: { 'like/1': 70 }, unwrittenMs: 0, ageMs: 0 };
    expect(combineLag([one, other], expected, 3000)).toEqual({ lagMs: 70, complete: true, unwrittenMs: 0 });
  });

  it('tells apart what is applied and not yet in Redis', () => {
    const report = { partitions: { 'like/0': 0, 'like/1': 0 }, unwrittenMs: 4000, ageMs: 0 };
    expect(combineLag([report], expected, 3000)).toEqual({ lagMs: 0, complete: true, unwrittenMs: 4000 });
  });
});
