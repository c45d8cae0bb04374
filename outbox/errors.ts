export type OutboxErrorCode =
  /** The connection broke while COMMIT was on its way: the change, with its events, is there or it is not. */
  | 'OUTCOME_UNKNOWN'
  /** Deadlocks or locked rows for as long as we tried. Nothing was kept. */
  | 'TRANSACTION_CONFLICT'
  /** Something was done with a transaction that has ended, or is being committed. */
  | 'TRANSACTION_ENDED'
  /** A nested transaction was started and not awaited. */
  | 'TRANSACTION_NOT_AWAITED'
  | 'PUBLISH_OUTSIDE_TRANSACTION'
  /** The type is in no catalogue, or belongs to another source. */
  | 'EVENT_UNKNOWN_TYPE'
  /** The payload does not fit its schema, or the aggregate's id is none. */
  | 'EVENT_INVALID'
  | 'EVENT_TOO_LARGE'
  /** A call on a model that publishes, which would change rows without their events. */
  | 'WRITE_WITHOUT_EVENT'
  /** The row to be changed was deleted meanwhile. */
  | 'ROW_GONE'
  /** The database has another number of buckets than this process, or no outbox at all. */
  | 'OUTBOX_MISMATCH'
  | 'TOKEN_INVALID';

export class OutboxError extends Error {
  override readonly name = 'OutboxError';
  readonly code: OutboxErrorCode;
  /** Whether the same call can succeed later without any change. */
  readonly retryable: boolean;

  constructor(code: OutboxErrorCode, message: string, options: { retryable?: boolean; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
  }
}

/** Somebody has committed or rolled back a transaction that is still needed. */
export function endedBySomebody(): OutboxError {
  return new OutboxError(
    'TRANSACTION_ENDED',
    'The transaction was committed or rolled back before its events were written: leave that to its opener.',
  );
}
