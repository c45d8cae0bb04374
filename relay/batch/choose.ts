import type { PendingRow } from '../sources/store.ts';

/** Which rows of the head to fetch and send next: in order, without those in flight and without held keys. */
export function choose(
  head: readonly PendingRow[],
  limit: number,
  left: { isInFlight(id: string): boolean; isHeld(keyHash: string): boolean },
): PendingRow[] {
  const chosen: PendingRow[] = [];
  for (const row of head) {
    if (chosen.length >= limit) break;
    if (!left.isInFlight(row.id) && !left.isHeld(row.keyHash)) chosen.push(row);
  }
  return chosen;
}

/** Up to so many rows are read together with their events, those of several buckets in one statement. */
export const fewRows = 64;

/** Is the next batch likely to be small? Then one statement reads rows and events. */
export function expectsFew(lastRows: number | null, leftOut: number): boolean {
  return (lastRows ?? 0) < fewRows / 2 && leftOut <= fewRows;
}

/**
 * How many rows to read so that about `wanted` of them can be sent: rows that the last read had to leave out are at the
 * head still. `largest` bounds it.
 */
export function headLimit(wanted: number, leftOut: number, largest: number): number {
  return Math.min(Math.max(wanted, largest), wanted + leftOut);
}
