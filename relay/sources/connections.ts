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

  #run(doing: string, sql: string, values: readonly unknown[]): Promise<unknown> {
    if (this.#closed) return Promise.reject(new SourceError('SOURCE_CLOSED', `${doing}: the source is closed`));
    return new Promise((resolve, reject) => {
      this.#pool.getConnection((connectError, connection) => {
        if (connectError) {
          const closed = this.#closed ? { code: 'POOL_CLOSED', message: 'the source is closed' } : connectError;
          reject(toSourceError(closed, doing));
          return;
        }
        const timer = setTimeout(() => {
          reject(new SourceError('SOURCE_TIMEOUT', `${doing}: no answer within ${this.#statementTimeoutMs} ms`));
          connection.destroy();
        }, this.#statementTimeoutMs);
        connection.query({ sql, rowsAsArray: true }, values as unknown[], (error, result) => {
          clearTimeout(timer);
          if (error) {
            if ((error as { fatal?: boolean }).fatal) connection.destroy();
            else connection.release();
            reject(toSourceError(error, doing));
          } else {
            connection.release();
            resolve(result);
          }
        });
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
