import mysql, { type PoolConnection } from 'mysql2';
import type { Database, DatabaseTransaction } from './database.ts';
import { CommitUnknownError, faultOf, PoolClosedError, SessionError } from './errors.ts';
import { run, Session } from './session.ts';

export interface PoolOptions {
  /** `mysql://user:password@host:port/database`. */
  url: string;
  /** Transactions at the same time at most. */
  connections: number;
}

/**
 * A stopped process loses its session, and with it its row locks, after `wait_timeout` seconds. Strict: a value that does not
 * fit is an error, never cut.
 */
const prepareSession = [
  'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED',
  `SET SESSION wait_timeout = 15, innodb_lock_wait_timeout = 5, time_zone = '+00:00',
   sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'`,
];

/** A pool of mysql2 connections of the inbox's own. Connects when it is first used. */
export function openPool(options: PoolOptions): Database {
  const pool = mysql.createPool({
    uri: options.url,
    connectionLimit: Math.max(2, options.connections),
    // Below the limit, else the driver never ends idle connections.
    maxIdle: Math.max(2, options.connections) - 1,
    idleTimeout: 10_000,
    connectTimeout: 5000,
    supportBigNumbers: true,
    bigNumberStrings: true,
    timezone: 'Z',
    charset: 'utf8mb4',
  });
  let closed = false;
  const prepared = new WeakMap<object, Promise<void>>();
  pool.on('connection', (connection) => {
    // A second error on a connection that the pool has already dropped must not end the process.
    connection.on('error', () => undefined);
    const preparing = prepare(connection as unknown as PoolConnection);
    preparing.catch(() => undefined);
    prepared.set(connection, preparing);
  });
  const acquire = async (): Promise<PoolConnection> => {
    if (closed) throw new PoolClosedError('The pool of the inbox is closed.');
    const connection = await new Promise<PoolConnection>((resolve, reject) => {
      pool.getConnection((error, connection) => (error ? reject(error) : resolve(connection)));
    });
    await prepared.get(connection);
    return connection;
  };
  return {
    async transaction(work) {
      const connection = await acquire();
      return transact(connection, work);
    },
    async query<Row>(sql: string, params: readonly unknown[] = []) {
      const connection = await acquire();
      try {
        const result = await run(connection, { sql, values: params as unknown[] });
        connection.release();
        return result as Row[];
      } catch (error) {
        connection.destroy();
        throw error;
      }
    },
    close() {
      closed = true;
      return new Promise((resolve, reject) => pool.end((error) => (error ? reject(error) : resolve())));
    },
  };
}

async function transact<Result>(
  connection: PoolConnection,
  work: (tx: DatabaseTransaction) => Promise<Result>,
): Promise<Result> {
  const session = new Session(connection);
  let result: Result;
  try {
    await run(connection, { sql: 'START TRANSACTION' });
    result = await work(session);
    if (session.failure !== null) throw session.failure;
  } catch (error) {
    session.end();
    await rollBack(connection, session.failure);
    throw session.failure ?? error;
  }
  session.end();
  try {
    await run(connection, { sql: 'COMMIT' });
  } catch (cause) {
    connection.destroy();
    throw new CommitUnknownError('The answer to COMMIT was lost.', { cause });
  }
  connection.release();
  return result;
}

async function rollBack(connection: PoolConnection, failure: unknown): Promise<void> {
  try {
    if (faultOf(failure) === 'away') throw failure;
    await run(connection, { sql: 'ROLLBACK' });
    connection.release();
  } catch {
    connection.destroy();
  }
}

async function prepare(connection: PoolConnection): Promise<void> {
  try {
    for (const sql of prepareSession) await run(connection, { sql });
  } catch (cause) {
    connection.destroy();
    throw new SessionError('A database session could not be prepared.', { cause });
  }
}
