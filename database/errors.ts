import { CodedError } from '../errors/coded-error.ts';

export type DatabaseErrorCode =
  /** The server cannot be reached, or has no free connection. Nothing was done. */
  | 'DATABASE_UNAVAILABLE'
  /** Migrations are missing. */
  | 'DATABASE_BEHIND'
  /** The database is not what this process is configured for (no such database, no access, other settings). */
  | 'DATABASE_REFUSED';

/** An error of the `database` mixin. `cause` is the driver's own error, for logs only. */
export class DatabaseError extends CodedError<DatabaseErrorCode> {
  override readonly name = 'DatabaseError';
}
