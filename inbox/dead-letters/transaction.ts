import { pause } from '../../clock/clock.ts';
import { backoffMs } from '../backoff.ts';
import { faultOf, KnownIdError } from '../database/errors.ts';
import type { StoreTransaction } from '../store/store.ts';
import { DeadLetterError } from './errors.ts';
import type { DeadLetterContext } from './operations.ts';

const attempts = 10;

/**
 * A transaction that is taken again after a conflict. A database that is away is the caller's affair: he waits, not his
 * request. Throws `DEAD_LETTER_UNAVAILABLE`, and whatever else `work` throws.
 */
export async function inTransaction<Result>(
  { store, clock, random }: Pick<DeadLetterContext, 'store' | 'clock' | 'random'>,
  work: (tx: StoreTransaction) => Promise<Result>,
): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await store.transaction(work);
    } catch (error) {
      const conflict = faultOf(error) === 'conflict' || error instanceof KnownIdError;
      if (!conflict || attempt === attempts) throw inWordsForOperators(error);
      await pause(clock, backoffMs(attempt, 10, 500, random));
    }
  }
}

/** What the database's errors mean for who asked; other errors stay as they are. */
export function inWordsForOperators(error: unknown): unknown {
  if (error instanceof DeadLetterError) return error;
  const fault = error instanceof KnownIdError ? 'conflict' : faultOf(error);
  switch (fault) {
    case 'conflict':
      return new DeadLetterError('DEAD_LETTER_UNAVAILABLE', 'The rows are busy: try again.', error);
    case 'away':
      return new DeadLetterError('DEAD_LETTER_UNAVAILABLE', 'The database is away: try again later.', error);
    case 'not-ready':
      return new DeadLetterError('DEAD_LETTER_UNAVAILABLE', 'Tables or rights are missing in the database.', error);
    case 'other':
      return error;
    default:
      return fault satisfies never;
  }
}
