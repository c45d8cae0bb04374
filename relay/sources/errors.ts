import { CodedError } from '../../errors/coded-error.ts';

export type SourceErrorCode =
  /** The server can't be reached, went away in mid-statement, or shuts down. What the statement did is not known. */
  | 'SOURCE_UNAVAILABLE'
  /** No answer in time; the connection was thrown away. What the statement did is not known. */
  | 'SOURCE_TIMEOUT'
  /** A deadlock or a lock that was not free in time: nothing was done. */
  | 'SOURCE_CONFLICT'
  /** The database or its outbox tables are not there: the migrations have not run. */
  | 'SOURCE_NOT_MIGRATED'
  /** The server refuses this user. */
  | 'SOURCE_DENIED'
  /** The lease has another owner or is over: nothing was done. */
  | 'SOURCE_NOT_OWNER'
  | 'SOURCE_CLOSED'
  | 'SOURCE_UNEXPECTED';

/** A statement on a source's database failed. `cause` is the driver's own error. */
export class SourceError extends CodedError<SourceErrorCode> {
  override readonly name = 'SourceError';

  constructor(code: SourceErrorCode, message: string, cause?: unknown) {
    super(code, message, { retryable: code !== 'SOURCE_CLOSED', cause });
  }
}

/** MySQL's and the driver's codes, in one place. */
const codes: Readonly<Record<string, SourceErrorCode>> = {
  ER_LOCK_DEADLOCK: 'SOURCE_CONFLICT',
  ER_LOCK_WAIT_TIMEOUT: 'SOURCE_CONFLICT',
  ER_CHECKREAD: 'SOURCE_CONFLICT',
  ER_NO_SUCH_TABLE: 'SOURCE_NOT_MIGRATED',
  ER_BAD_DB_ERROR: 'SOURCE_NOT_MIGRATED',
  ER_ACCESS_DENIED_ERROR: 'SOURCE_DENIED',
  ER_DBACCESS_DENIED_ERROR: 'SOURCE_DENIED',
  ER_TABLEACCESS_DENIED_ERROR: 'SOURCE_DENIED',
  ER_CON_COUNT_ERROR: 'SOURCE_UNAVAILABLE',
  ER_SERVER_SHUTDOWN: 'SOURCE_UNAVAILABLE',
  ER_CONNECTION_KILLED: 'SOURCE_UNAVAILABLE',
  ER_QUERY_INTERRUPTED: 'SOURCE_UNAVAILABLE',
  ER_NEW_ABORTING_CONNECTION: 'SOURCE_UNAVAILABLE',
  PROTOCOL_CONNECTION_LOST: 'SOURCE_UNAVAILABLE',
  POOL_CLOSED: 'SOURCE_CLOSED',
  ECONNREFUSED: 'SOURCE_UNAVAILABLE',
  ECONNRESET: 'SOURCE_UNAVAILABLE',
  EPIPE: 'SOURCE_UNAVAILABLE',
  ETIMEDOUT: 'SOURCE_UNAVAILABLE',
  EHOSTUNREACH: 'SOURCE_UNAVAILABLE',
  ENETUNREACH: 'SOURCE_UNAVAILABLE',
  ENOTFOUND: 'SOURCE_UNAVAILABLE',
  EAI_AGAIN: 'SOURCE_UNAVAILABLE',
};

export function toSourceError(cause: unknown, doing: string): SourceError {
  if (cause instanceof SourceError) return cause;
  const error = cause as { code?: string; fatal?: boolean; message?: string } | null;
  const known = codes[error?.code ?? ''];
  const code = known ?? (error?.fatal ? 'SOURCE_UNAVAILABLE' : 'SOURCE_UNEXPECTED');
  return new SourceError(code, `${doing}: ${error?.message || error?.code || String(cause)}`, cause);
}
