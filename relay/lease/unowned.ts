import { isLive } from './decide.ts';
import type { LeaseTable } from './types.ts';

/**
 * Since when each bucket has had no owner, as far as this process has seen. Pure: gives a new map.
 * `nowMs`: monotonic.
 */
export function unownedSince(
  before: ReadonlyMap<number, number>,
  table: Pick<LeaseTable, 'leases'>,
  nowMs: number,
): Map<number, number> {
  const since = new Map<number, number>();
  for (const lease of table.leases) if (!isLive(lease)) since.set(lease.bucket, before.get(lease.bucket) ?? nowMs);
  return since;
}

/** A takeover may take so long; a bucket without an owner for longer is nobody's. */
export function takeoverLimitMs(leaseMs: number): number {
  return leaseMs + 2_000;
}

/** Buckets where work waits and that nobody has had for longer than a takeover takes. */
export function abandonedBuckets(
  since: ReadonlyMap<number, number>,
  withWork: Iterable<number>,
  nowMs: number,
  leaseMs: number,
): number[] {
  const waiting = new Set(withWork);
  return [...since]
    .filter(([bucket, sinceMs]) => waiting.has(bucket) && nowMs - sinceMs > takeoverLimitMs(leaseMs))
    .map(([bucket]) => bucket);
}
