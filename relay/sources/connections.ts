import mysql from 'mysql2';
import { SourceError, toSourceError } from './errors.ts';

export interface ConnectionsOptions {
  /** `mysql://user:password@host:port/database` */
  url: string;
  /** Connections, 2 or more. */
  limit: number;
  /** A statement without an answer after so long fails, and its connection is thrown away. */
  statementTimeoutMs: number;
  connectTimeoutMs?: number;
}

/** Statements of one transaction: rows as arrays, and the number of rows that a statement changed. */
export interface SourceTransaction {
  rows<Row extends unknown[]>(sql: string, values?: readonly unknown[]): Promise<Row[]>;
  change(sql: string, values?: readonly unknown[]): Promise<number>;
}

type RunStatement = (sql: string, values?: readonly unknown[]) => Promise<unknown>;

/** A process that was stopped must not keep locks: the server ends its session after 15 s without a statement. */
const sessionSettings = "SET SESSION wait_timeout = 15, innodb_lock_wait_timeout = 5, time_zone = '+00:00'";
const isolation = 'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED';

/** Before the server's own limit, so that no statement meets a connection that the server has just closed. */
const idleMs = 8_000;
const closeTimeoutMs = 2_000;

/**
 * A few connections to one database. Each statement commits by itself. BIGINT, DATE and DATETIME come as strings, text and
 * binary columns as they are declared. Throws `SourceError` only.
 */
export class Connections {
  readonly #pool: mysql.Pool;
  readonly #statementTimeoutMs: number;
  #closed = false;

  constructor(options: ConnectionsOptions) {
    this.#statementTimeoutMs = options.statementTimeoutMs;
    this.#pool = mysql.createPool({
      uri: options.url,
      connectionLimit: options.limit,
      maxIdle: options.limit - 1, // the driver looks for idle ones only where this is below the limit
      idleTimeout: idleMs,
      gracefulEnd: true,
      connectTimeout: options.connectTimeoutMs ?? 3_000,
      enableKeepAlive: true,
      supportBigNumbers: true,
      bigNumberStrings: true,
      dateStrings: true,
      timezone: 'Z',
    });
    this.#pool.on('connection', (connection) => {
      connection.on('error', () => {}); // the statement in flight gets it; the pool forgets the connection
      // Queued ahead of the statement that asked for the connection.
      for (const sql of [sessionSettings, isolation]) {
        connection.query(sql, (error) => {
          if (error) connection.destroy();
        });
      }
    });
  }

  /** Rows as arrays, in the order of the statement's columns. */
  rows<Row extends unknown[]>(doing: string, sql: string, values: readonly unknown[] = []): Promise<Row[]> {
    return this.#run(doing, sql, values) as Promise<Row[]>;
  }

  /** The number of rows that the statement changed. */
  async change(doing: string, sql: string, values: readonly unknown[] = []): Promise<number> {
    return ((await this.#run(doing, sql, values)) as { affectedRows: number }).affectedRows;
  }

  /**
   * A transaction on a connection of its own. Any error rolls it back; an error at COMMIT leaves it open whether it was done,
   * so `work` must be such that it can be repeated.
   */
  transaction<T>(doing: string, work: (tx: SourceTransaction) => Promise<T>): Promise<T> {
    return this.#with(doing, async (run) => {
      await run('START TRANSACTION');
      try {
        const result = await work({
          rows: (sql, values = []) => run(sql, values) as Promise<never>,
          change: async (sql, values = []) => ((await run(sql, values)) as { affectedRows: number }).affectedRows,
        });
        await run('COMMIT');
        return result;
      } catch (error) {
        // Where this fails as well, the connection is gone, and the server rolls back by itself.
        await run('ROLLBACK').catch(() => undefined);
        throw error;
      }
    });
  }

  #run(doing: string, sql: string, values: readonly unknown[]): Promise<unknown> {
    return this.#with(doing, (run) => run(sql, values));
  }

  async #with<T>(doing: string, use: (run: RunStatement) => Promise<T>): Promise<T> {
    const connection = await this.#acquire(doing);
    let broken = false;
    const run: RunStatement = (sql, values = []) => {
      if (broken) return Promise.reject(new SourceError('SOURCE_UNAVAILABLE', `${doing}: the connection is gone`));
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          broken = true;
          reject(new SourceError('SOURCE_TIMEOUT', `${doing}: no answer within ${this.#statementTimeoutMs} ms`));
          connection.destroy();
        }, this.#statementTimeoutMs);
        connection.query({ sql, rowsAsArray: true }, values as unknown[], (error, result) => {
          clearTimeout(timer);
          if (!error) {
            resolve(result);
            return;
          }
          if ((error as { fatal?: boolean }).fatal && !broken) {
            broken = true;
            connection.destroy();
          }
          reject(toSourceError(error, doing));
        });
      });
    };
    try {
      return await use(run);
    } finally {
      if (!broken) connection.release();
    }
  }

  #acquire(doing: string): Promise<mysql.PoolConnection> {
    if (this.#closed) return Promise.reject(new SourceError('SOURCE_CLOSED', `${doing}: the source is closed`));
    return new Promise((resolve, reject) => {
      this.#pool.getConnection((error, connection) => {
        if (!error) resolve(connection);
        else if (this.#closed) reject(new SourceError('SOURCE_CLOSED', `${doing}: the source is closed`, error));
        else reject(toSourceError(error, doing));
      });
    });
  }

  /** Ends the connections; statements in flight get their answer first, for a short time. */
  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#closed = true;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, closeTimeoutMs);
      this.#pool.end(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
