import { describe, expect, it } from '@jest/globals';
import { offsetOf, rowsToCount } from './paging.ts';

describe('paging', () => {
  it('skips the pages before', () => {
    expect(offsetOf({ page: 1, pageSize: 30 })).toBe(0);
    expect(offsetOf({ page: 7, pageSize: 30 })).toBe(180);
  });

  it('counts the rows of the ten pages around and one more', () => {
    expect(rowsToCount({ page: 1, pageSize: 30 })).toBe(301);
    expect(rowsToCount({ page: 10, pageSize: 30 })).toBe(301);
    expect(rowsToCount({ page: 11, pageSize: 30 })).toBe(601);
    expect(rowsToCount({ page: 20, pageSize: 5 })).toBe(101);
    expect(rowsToCount({ page: 10_000, pageSize: 100 })).toBe(1_000_001);
  });
});
