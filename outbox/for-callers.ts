import moleculer from 'moleculer';
import { DatabaseError } from '../database/errors.ts';
import { databaseFailure } from '../database/failures.ts';
import { OutboxError, type OutboxErrorCode } from './errors.ts';

const { MoleculerError, MoleculerRetryableError } = moleculer.Errors;

/** HTTP statuses. What is missing here is a mistake in the service: 500. */
const statusOf: Partial<Record<OutboxErrorCode, number>> = {
  OUTCOME_UNKNOWN: 503,
  TRANSACTION_CONFLICT: 503,
  EVENT_TOO_LARGE: 413,
  TOKEN_INVALID: 400,
  ROW_GONE: 409,
};

/** In place of messages that carry the driver's own words. */
const unavailable = 'The database cannot be reached at the moment: try again.';
const unfit = 'The database of this service is not fit for use.';
const conflict = 'Other changes were in the way for too long and nothing was kept: try again.';

/**
 * An error as callers of actions see it: a Moleculer error whose `code` is an HTTP status and whose `type` is the error's code
 * (OUTCOME_UNKNOWN, TRANSACTION_CONFLICT, DATABASE_UNAVAILABLE, EVENT_TOO_LARGE, …), retryable where the original is. The
 * original is its `cause`; no driver's message gets out. Errors of the service itself stay as they are.
 */
export function forCallers(error: unknown): unknown {
  if (error instanceof OutboxError) {
    const message = error.code === 'TRANSACTION_CONFLICT' ? conflict : error.message;
    return withCause(error.retryable, message, statusOf[error.code] ?? 500, error.code, error);
  }
  if (error instanceof DatabaseError) {
    return withCause(error.retryable, error.retryable ? unavailable : unfit, 503, error.code, error);
  }
  const failure = databaseFailure(error);
  if (failure === 'unreachable' || failure === 'pool-exhausted' || failure === 'connection-lost') {
    return withCause(true, unavailable, 503, 'DATABASE_UNAVAILABLE', error);
  }
  return error;
}

function withCause(retryable: boolean, message: string, status: number, type: string, cause: unknown): Error {
  const Constructor = retryable ? MoleculerRetryableError : MoleculerError;
  const error = new Constructor(message, status, type);
  error.cause = cause;
  return error;
}
