import { describe, expect, it } from '@jest/globals';
import { partitionOf } from '../kafka/partitioner.ts';
import { bucketOf, keyHashOf } from './keys.ts';

describe('bucketOf', () => {
  it('spreads ids over all buckets and stays the same for an id', () => {
    const counts = new Map<number, number>();
    for (let id = 0; id < 8000; id++) {
      const bucket = bucketOf(String(id), 8);
      counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
    }
    expect([...counts.keys()].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(150);
    // Fixed for ever: a database's rows were placed by it.
    expect(['1', '42', '9007199254740993', 'ünïcode'].map((id) => bucketOf(id, 8))).toEqual(
      ['1', '42', '9007199254740993', 'ünïcode'].map((id) => partitionOf(id, 8)),
    );
  });

  it('refuses a number of buckets that is none', () => {
    expect(() => bucketOf('1', 0)).toThrow('buckets must be a positive integer, got 0');
  });
});

describe('keyHashOf', () => {
  it('is the first 64 bits of SHA-1, unsigned', () => {
    expect(keyHashOf('abc')).toBe(BigInt('0xa9993e364706816a').toString());
  });
});
