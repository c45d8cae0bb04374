/**
 * What a failed statement means for its transaction, in the words of this project: the only place that knows MySQL's and
 * MariaDB's error numbers.
 */
export type DatabaseFailure =
  /** The server chose this transaction as a deadlock's victim (or a cluster refused it): all of it is undone. */
  | 'deadlock'
  /** A row stayed locked for longer than `innodb_lock_wait_timeout`: the statement is undone, the transaction is not. */
  | 'lock-wait'
  /** MySQL: a row is locked and the statement says NOWAIT. MariaDB answers 'lock-wait' to it. */
  | 'locked'
  /** MariaDB >= 11.6.2: a row changed since the snapshot. */
  | 'snapshot'
  /** The connection broke: what was not committed is undone. */
  | 'connection-lost'
  /** No connection could be had: nothing was done. */
  | 'unreachable'
  /** All connections of the pool were in use for too long: nothing was done. */
  | 'pool-exhausted';

const byNumber: Readonly<Record<number, DatabaseFailure>> = {
  1213: 'deadlock', // ER_LOCK_DEADLOCK
  3101: 'deadlock', // ER_TRANSACTION_ROLLBACK_DURING_COMMIT (group replication)
  1205: 'lock-wait', // ER_LOCK_WAIT_TIMEOUT
  3572: 'locked', // ER_LOCK_NOWAIT
  1020: 'snapshot', // ER_CHECKREAD
  1053: 'connection-lost', // ER_SERVER_SHUTDOWN
  1152: 'connection-lost', // ER_ABORTING_CONNECTION
  1927: 'connection-lost', // ER_CONNECTION_KILLED (MariaDB)
  4031: 'connection-lost', // ER_CLIENT_INTERACTION_TIMEOUT
};

const byCode: Readonly<Record<string, DatabaseFailure>> = {
  PROTOCOL_CONNECTION_LOST: 'connection-lost',
  PROTOCOL_SEQUENCE_TIMEOUT: 'connection-lost',
  ECONNRESET: 'connection-lost',
  EPIPE: 'connection-lost',
  ETIMEDOUT: 'connection-lost',
  ECONNREFUSED: 'unreachable',
  ENOTFOUND: 'unreachable',
  EAI_AGAIN: 'unreachable',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  ER_CON_COUNT_ERROR: 'unreachable',
};

/** Sequelize's own errors about getting a connection. */
const byName: Readonly<Record<string, DatabaseFailure>> = {
  SequelizeConnectionAcquireTimeoutError: 'pool-exhausted',
  SequelizeConnectionRefusedError: 'unreachable',
  SequelizeHostNotFoundError: 'unreachable',
  SequelizeHostNotReachableError: 'unreachable',
  SequelizeConnectionTimedOutError: 'unreachable',
};

interface DriverError {
  name?: string;
  message?: string;
  errno?: number;
  code?: string;
  original?: DriverError;
}

/** Null for any other error: a mistake in the statement, a broken rule of the table, something that is no database's error. */
export function databaseFailure(error: unknown): DatabaseFailure | null {
  if (typeof error !== 'object' || error === null) return null;
  const { name, original } = error as DriverError;
  const driver = original ?? (error as DriverError);
  const found = byNumber[driver.errno ?? 0] ?? byCode[driver.code ?? ''] ?? byName[name ?? ''];
  // Getting a connection failed while it was being made: nothing was sent.
  if (name === 'SequelizeConnectionError' && found === 'connection-lost') return 'unreachable';
  if (found) return found;
  // mysql2 gives these no code.
  if (/closed state$|^Connection lost/.test(driver.message ?? '')) return 'connection-lost';
  return null;
}

/** A row with the same unique key is there: the statement is undone, the transaction is not. */
export function isDuplicateKey(error: unknown): boolean {
  const { errno, original } = (error ?? {}) as DriverError;
  return (original?.errno ?? errno) === 1062; // ER_DUP_ENTRY
}

/** Whether the same transaction, taken again from its start, can succeed. */
export function isTransient(failure: DatabaseFailure | null): boolean {
  return failure === 'deadlock' || failure === 'lock-wait' || failure === 'snapshot' || failure === 'connection-lost';
}
