import { DatabaseError } from '../database/errors.ts';
import { type DatabaseFailure, databaseFailure, isTransient } from '../database/failures.ts';
import { OutboxError } from './errors.ts';

const firstBackoffMs = 5;
const lastBackoffMs = 200;

/** The pause before the next attempt, with full jitter. `random`: 0 to 1. */
export function backoffMs(attempt: number, random: number): number {
  return random * Math.min(firstBackoffMs * 2 ** attempt, lastBackoffMs);
}

/**
 * Why a transaction that ended with `error` may be taken again; null where it may not. `recorded` is the first failure of
 * its own statements: only that one counts (or its wrapping), not one of another database that the body asked.
 */
export function transientReason(error: unknown, recorded: { error: unknown } | null): DatabaseFailure | null {
  for (let at = error, depth = 0; at instanceof Object && depth < 5; at = (at as Error).cause, depth++) {
    if (at instanceof OutboxError) return null;
    if (recorded === null || at === recorded.error) {
      const failure = databaseFailure(at);
      if (isTransient(failure)) return failure;
    }
  }
  return null;
}

export function givenUp(reason: DatabaseFailure, attempts: number, cause: unknown): Error {
  const message = `The transaction was given up after ${attempts} attempts, nothing was kept; the last ended by: ${(cause as Error).message}`;
  return reason === 'connection-lost'
    ? new DatabaseError('DATABASE_UNAVAILABLE', message, { retryable: true, cause })
    : new OutboxError('TRANSACTION_CONFLICT', message, { retryable: true, cause });
}
