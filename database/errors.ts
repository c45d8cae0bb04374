export type DatabaseErrorCode =
  /** The server cannot be reached, or has no free connection. Nothing was done. */
  | 'DATABASE_UNAVAILABLE'
  /** Migrations are missing. */
  | 'DATABASE_BEHIND'
  /** The database is not what this process is configured for (no such database, no access, other settings). */
  | 'DATABASE_REFUSED';

/** An error of the `database` mixin. `cause` is the driver's own error, for logs only. */
export class DatabaseError extends Error {
  override readonly name = 'DatabaseError';
  readonly code: DatabaseErrorCode;
  /** Whether the same call can succeed later without any change. */
  readonly retryable: boolean;

  constructor(code: DatabaseErrorCode, message: string, options: { retryable: boolean; cause?: unknown }) {
    super(message, { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable;
  }
}
