import { callerError, databaseErrorForCallers } from '../database/for-callers.ts';
import { OutboxError, type OutboxErrorCode } from './errors.ts';

/** HTTP statuses. What is missing here is a mistake in the service: 500. */
const statusOf: Partial<Record<OutboxErrorCode, number>> = {
  OUTCOME_UNKNOWN: 503,
  TRANSACTION_CONFLICT: 503,
  EVENT_TOO_LARGE: 413,
  TOKEN_INVALID: 400,
  ROW_GONE: 409,
  IDEMPOTENCY_KEY_INVALID: 400,
  IDEMPOTENCY_KEY_REUSED: 422,
  IDEMPOTENCY_KEY_IN_USE: 409,
};

/** In place of a message that carries the driver's own words. */
const conflict = 'Other changes were in the way for too long and nothing was kept: try again.';

/**
 * An error as callers of actions see it: a Moleculer error whose `code` is an HTTP status and whose `type` is the error's code
 * (OUTCOME_UNKNOWN, TRANSACTION_CONFLICT, DATABASE_UNAVAILABLE, EVENT_TOO_LARGE, …), retryable where the original is. The
 * original is its `cause`; no driver's message gets out. Errors of the service itself stay as they are.
 */
export function forCallers(error: unknown): unknown {
  if (!(error instanceof OutboxError)) return databaseErrorForCallers(error);
  const message = error.code === 'TRANSACTION_CONFLICT' ? conflict : error.message;
  return callerError(error.retryable, message, statusOf[error.code] ?? 500, error.code, error);
}
