import type { LedgerRow } from '../history.ts';
import type { Invariant } from '../invariants.ts';

export interface Violation {
  invariant: Invariant;
  /** What is wrong, in words. */
  detail: string;
  aggregate?: string | undefined;
  bucket?: number | undefined;
  partition?: number | undefined;
}

export function byAggregate<Row extends LedgerRow>(rows: readonly Row[]): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const group = groups.get(row.aggregate);
    if (group) group.push(row);
    else groups.set(row.aggregate, [row]);
  }
  return groups;
}
