import { hash } from 'node:crypto';
import { murmur2 } from '../kafka/partitioner.ts';

/**
 * The bucket of an aggregate: murmur2 of its id, sign bit cleared, modulo the number of buckets in the database. It is the
 * same hash that places a key on a partition, with a divisor of its own: neither number follows from the other and either
 * can be anything. Where they share a factor (8 and 12), a bucket's keys meet on fewer partitions (3 of 12), which makes
 * for larger batches and keeps one broken partition out of most buckets.
 */
export function bucketOf(aggregateId: string, buckets: number): number {
  if (!Number.isInteger(buckets) || buckets < 1) {
    throw new RangeError(`buckets must be a positive integer, got ${buckets}`);
  }
  return (murmur2(Buffer.from(aggregateId, 'utf8')) & 0x7fffffff) % buckets;
}

/**
 * 64 bits that stand for an aggregate id in the thin pending row, as a decimal string (it exceeds 2^53). Two ids that
 * share it are blocked together, nothing worse.
 */
export function keyHashOf(aggregateId: string): string {
  return BigInt(`0x${hash('sha1', aggregateId, 'hex').slice(0, 16)}`).toString();
}
