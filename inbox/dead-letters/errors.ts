import { CodedError } from '../../errors/coded-error.ts';

export type DeadLetterErrorCode =
  /** A request that can't be meant; `message` names the field, its value and what is allowed. */
  | 'DEAD_LETTER_BAD_REQUEST'
  /** There is no letter with that id. */
  | 'DEAD_LETTER_UNKNOWN'
  /** The letter was replayed or discarded, so it can't be edited any more. */
  | 'DEAD_LETTER_SETTLED'
  /** Somebody else has edited the letter since it was read: show it again. */
  | 'DEAD_LETTER_CHANGED'
  /** The database is away or busy. What was answered before it is done; the rest can be asked for again. */
  | 'DEAD_LETTER_UNAVAILABLE';

/** An error of the operations on dead letters. */
export class DeadLetterError extends CodedError<DeadLetterErrorCode> {
  override readonly name = 'DeadLetterError';

  constructor(code: DeadLetterErrorCode, message: string, cause?: unknown) {
    super(code, message, { retryable: code === 'DEAD_LETTER_UNAVAILABLE', cause });
  }
}
