import moleculer from 'moleculer';
import { DatabaseError } from './errors.ts';
import { databaseFailure } from './failures.ts';

const { MoleculerError, MoleculerRetryableError } = moleculer.Errors;

/** In place of messages that carry the driver's own words. */
const unavailable = 'The database cannot be reached at the moment: try again.';
const unfit = 'The database of this service is not fit for use.';

/**
 * A database that is away, as callers of actions see it: a Moleculer error with `code` 503 and `type` DATABASE_UNAVAILABLE (or
 * DATABASE_BEHIND, DATABASE_REFUSED), retryable where trying again can help; the original is its `cause`. Any other error
 * stays as it is.
 */
export function databaseErrorForCallers(error: unknown): unknown {
  if (error instanceof DatabaseError) {
    return callerError(error.retryable, error.retryable ? unavailable : unfit, 503, error.code, error);
  }
  const failure = databaseFailure(error);
  if (failure === 'unreachable' || failure === 'pool-exhausted' || failure === 'connection-lost') {
    return callerError(true, unavailable, 503, 'DATABASE_UNAVAILABLE', error);
  }
  return error;
}

export function callerError(retryable: boolean, message: string, status: number, type: string, cause: unknown): Error {
  const Constructor = retryable ? MoleculerRetryableError : MoleculerError;
  const error = new Constructor(message, status, type);
  error.cause = cause;
  return error;
}
