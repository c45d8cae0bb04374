/**
 * What an error of the database means for the work in hand. `conflict`: another transaction was in the way, again at once.
 * `away`: the server or the connection is not there, or the outcome of a commit is not known; again when it is back.
 * `not-ready`: no rights, no database or no table: somebody has to act, and no event is to blame. `other`: the statement itself.
 */
export type DatabaseFault = 'conflict' | 'away' | 'not-ready' | 'other';

const conflicts = new Set([
  1205, // ER_LOCK_WAIT_TIMEOUT
  1213, // ER_LOCK_DEADLOCK
  1020, // ER_CHECKREAD: MariaDB 11.6.2 and later, a row changed since it was read
  1637, // ER_TOO_MANY_CONCURRENT_TRXS
]);

const away = new Set([
  1021, // ER_DISK_FULL
  1030, // ER_GET_ERRNO: the storage engine's own error
  1037, // ER_OUTOFMEMORY
  1040, // ER_CON_COUNT_ERROR: too many connections
  1041, // ER_OUT_OF_RESOURCES
  1053, // ER_SERVER_SHUTDOWN
  1114, // ER_RECORD_FILE_FULL
  1129, // ER_HOST_IS_BLOCKED
  1152, // ER_ABORTING_CONNECTION
  1158, // ER_NET_READ_ERROR
  1159, // ER_NET_READ_INTERRUPTED
  1160, // ER_NET_ERROR_ON_WRITE
  1161, // ER_NET_WRITE_INTERRUPTED
  1180, // ER_ERROR_DURING_COMMIT
  1203, // ER_TOO_MANY_USER_CONNECTIONS
  1290, // ER_OPTION_PREVENTS_STATEMENT: read-only during a fail-over
  1317, // ER_QUERY_INTERRUPTED
  1792, // ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
  1836, // ER_READ_ONLY_MODE
  1927, // MariaDB, ER_CONNECTION_KILLED
  1969, // MariaDB, ER_STATEMENT_TIMEOUT
  3024, // MySQL, ER_QUERY_TIMEOUT
  3169, // MySQL, ER_SESSION_WAS_KILLED
  4031, // MySQL, ER_CLIENT_INTERACTION_TIMEOUT
]);

const notReady = new Set([
  1044, // ER_DBACCESS_DENIED_ERROR
  1045, // ER_ACCESS_DENIED_ERROR
  1049, // ER_BAD_DB_ERROR
  1142, // ER_TABLEACCESS_DENIED_ERROR
  1146, // ER_NO_SUCH_TABLE
]);

/** Codes of Node and mysql2 that mean a connection could not be had or is lost. */
const connectionCodes =
  /^(PROTOCOL_|E(CONN|PIPE|TIMEDOUT|HOSTUNREACH|NETUNREACH|NETDOWN|NOTFOUND|AI_AGAIN|ADDR)|POOL_|HANDSHAKE_)/;

/** The outcome of a COMMIT is not known: it may have happened. Taking the batch again is safe. */
export class CommitUnknownError extends Error {
  override readonly name = 'CommitUnknownError';
  readonly code = 'INBOX_COMMIT_UNKNOWN';
  readonly retryable = true;
}

/** No answer to a statement: its connection is given up. */
export class StatementTimeoutError extends Error {
  override readonly name = 'StatementTimeoutError';
  readonly code = 'ETIMEDOUT';
  readonly retryable = true;
}

/** The settings of a new session were refused: nothing is wrong with what was to run in it. */
export class SessionError extends Error {
  override readonly name = 'SessionError';
  readonly code = 'INBOX_SESSION';
  readonly retryable = true;
}

export class PoolClosedError extends Error {
  override readonly name = 'PoolClosedError';
  readonly code = 'POOL_CLOSED';
  readonly retryable = false;
}

/** A statement in a transaction that an earlier error has already undone, or after the handler's end. */
export class TransactionOverError extends Error {
  override readonly name = 'TransactionOverError';
  readonly code = 'INBOX_TRANSACTION_OVER';
  readonly retryable = false;
}

/** An id that the unique key refused although it could not be there by the watermarks. */
export class KnownIdError extends Error {
  override readonly name = 'KnownIdError';
  readonly code = 'INBOX_KNOWN_ID';
  readonly retryable = true;
}

/** What a handler threw that is no error of the database: whatever it is, the event is to blame. */
export class HandlerError extends Error {
  override readonly name = 'HandlerError';
  readonly code = 'INBOX_HANDLER';
  readonly retryable = false;
  readonly thrown: unknown;

  constructor(thrown: unknown) {
    super('The handler failed.');
    this.thrown = thrown;
  }
}

/**
 * Whether an error, or what it was caused by, comes from the database: its number together with an SQL state, or Sequelize's
 * name. A lost connection to something else that a handler talks to is none.
 */
export function isDatabaseError(error: unknown): boolean {
  for (const each of chainOf(error)) {
    const { errno, sqlState, name, fatal, code } = each;
    if (typeof errno === 'number' && typeof sqlState === 'string') return true;
    if (typeof name === 'string' && name.startsWith('Sequelize')) return true;
    if (fatal === true && typeof code === 'string' && code.startsWith('PROTOCOL_')) return true;
    if (each instanceof TransactionOverError) return true;
  }
  return false;
}

/** Follows `cause` and Sequelize's `original`, since a handler may have wrapped what the driver threw. */
export function faultOf(error: unknown): DatabaseFault {
  for (const each of chainOf(error)) {
    const fault = faultOfOne(each);
    if (fault !== 'other') return fault;
  }
  return 'other';
}

function* chainOf(error: unknown): Generator<Record<string, unknown>> {
  let current = error;
  for (let depth = 0; depth < 8 && typeof current === 'object' && current !== null; depth++) {
    const each = current as Record<string, unknown>;
    yield each;
    current = each.cause ?? each.original ?? each.parent;
  }
}

export function isDuplicateKey(error: unknown): boolean {
  return (error as { errno?: unknown } | null)?.errno === 1062;
}

function faultOfOne(error: { code?: unknown; errno?: unknown; name?: unknown; fatal?: unknown }): DatabaseFault {
  if (error instanceof CommitUnknownError) return 'away';
  if (error instanceof SessionError) return 'not-ready';
  const errno = typeof error.errno === 'number' ? error.errno : 0;
  if (conflicts.has(errno)) return 'conflict';
  if (away.has(errno)) return 'away';
  if (notReady.has(errno)) return 'not-ready';
  if (typeof error.code === 'string' && connectionCodes.test(error.code)) return 'away';
  if (error.fatal === true) return 'away';
  if (typeof error.name === 'string' && /^SequelizeConnection|^SequelizeHostNot/.test(error.name)) return 'away';
  return 'other';
}
