import { CodedError } from '../../errors/coded-error.ts';

export type OperatorErrorCode =
  /** A parameter is missing, unknown or out of range; the message says which, and what is allowed. */
  | 'OUTBOX_PARAMS_INVALID'
  /** This node has no such source. */
  | 'OUTBOX_SOURCE_UNKNOWN'
  | 'OUTBOX_EVENT_NOT_FOUND'
  /** Nothing of this key waits for an operator or an attempt: it is sent as it comes. */
  | 'OUTBOX_KEY_NOT_BLOCKED'
  /** The event was sent already. */
  | 'OUTBOX_EVENT_NOT_WAITING'
  /** The key has a request that is not carried out yet. */
  | 'OUTBOX_REQUEST_PENDING'
  /** The bucket's owner could not do what was wanted; the message says why. */
  | 'OUTBOX_REQUEST_REFUSED'
  /** The new payload is not what the catalogue allows, or too large. */
  | 'OUTBOX_PAYLOAD_INVALID';

/** HTTP statuses, as `code` of the errors that callers of actions get. */
export const operatorStatus = {
  OUTBOX_PARAMS_INVALID: 422,
  OUTBOX_SOURCE_UNKNOWN: 404,
  OUTBOX_EVENT_NOT_FOUND: 404,
  OUTBOX_KEY_NOT_BLOCKED: 409,
  OUTBOX_EVENT_NOT_WAITING: 409,
  OUTBOX_REQUEST_PENDING: 409,
  OUTBOX_REQUEST_REFUSED: 409,
  OUTBOX_PAYLOAD_INVALID: 422,
} as const satisfies Record<OperatorErrorCode, number>;

/** What an operator asked for can't be done. */
export class OperatorError extends CodedError<OperatorErrorCode> {
  override readonly name = 'OperatorError';

  constructor(code: OperatorErrorCode, message: string, cause?: unknown) {
    // a request that is under way ends by itself
    super(code, message, { retryable: code === 'OUTBOX_REQUEST_PENDING', cause });
  }
}
