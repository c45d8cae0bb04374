import { CodedError } from '../errors/coded-error.ts';

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
  | 'TOKEN_INVALID'
  /** The value of `Idempotency-Key` is none, or too long. */
  | 'IDEMPOTENCY_KEY_INVALID'
  /** The key belongs to a request with other contents. */
  | 'IDEMPOTENCY_KEY_REUSED'
  /** A call with the same key is still at work. */
  | 'IDEMPOTENCY_KEY_IN_USE'
  /** An idempotent call within a transaction that is not. */
  | 'IDEMPOTENCY_NESTED';

export class OutboxError extends CodedError<OutboxErrorCode> {
  override readonly name = 'OutboxError';
}

/** Somebody has committed or rolled back a transaction that is still needed. */
export function endedBySomebody(): OutboxError {
  return new OutboxError(
    'TRANSACTION_ENDED',
    'The transaction was committed or rolled back before its events were written: leave that to its opener.',
  );
}

export function outsideTransaction(type: string): OutboxError {
  return new OutboxError(
    'PUBLISH_OUTSIDE_TRANSACTION',
    `publish(${JSON.stringify(type)}) was called outside a transaction, so the event could outlive a change that was undone: ` +
      'write "await this.transaction(async (tx) => { …; tx.publish(…) })", or hand over the running one as { transaction }.',
  );
}

export function notAwaited(): OutboxError {
  return new OutboxError(
    'TRANSACTION_NOT_AWAITED',
    'A nested transaction() was still running when the outer body ended: await it. All of it was undone.',
  );
}

/** Its record would be written, and its answer repeated, in the middle of something else. */
export function nestedIdempotency(): OutboxError {
  return new OutboxError(
    'IDEMPOTENCY_NESTED',
    'An idempotent transaction() was called within one that is not: give "idempotency" to the outer one, which covers all.',
  );
}
