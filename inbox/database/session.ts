import type { Connection, QueryOptions } from 'mysql2';
import type { DatabaseTransaction } from './database.ts';
import { faultOf, StatementTimeoutError, TransactionOverError } from './errors.ts';

/** A statement that has no answer after this time ends its connection: a half-open one would hang for minutes. */
export const statementTimeoutMs = 20_000;

/**
 * Runs one statement on a connection of mysql2. The driver's own time limit is not used: its timer outlives a lost connection,
 * and it leaves the connection open.
 */
export function run(connection: Connection, options: QueryOptions): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new StatementTimeoutError(`The database gave no answer within ${statementTimeoutMs} ms.`));
      connection.destroy();
      (connection as Connection & { stream?: { destroy(): void } }).stream?.destroy();
    }, statementTimeoutMs);
    connection.query(options, (error, result) => {
      clearTimeout(timer);
      if (error) reject(error);
      else resolve(result);
    });
  });
}

/**
 * The statements of one open transaction. A conflict or a lost connection has undone the transaction at the server, and what
 * follows would run in a new one that COMMIT then keeps: so nothing follows, and `failure` makes the caller roll back.
 */
export class Session implements DatabaseTransaction {
  readonly transaction: unknown;
  #connection: Connection;
  #failure: unknown = null;
  #over = false;

  constructor(connection: Connection, transaction?: unknown) {
    this.#connection = connection;
    this.transaction = transaction;
  }

  /** The error that doomed the transaction, or null. */
  get failure(): unknown {
    return this.#failure;
  }

  /** No more statements. */
  end(): void {
    this.#over = true;
  }

  async query<Row>(sql: string, params: readonly unknown[] = []): Promise<Row[]> {
    const result = await this.#run({ sql, values: params as unknown[] });
    if (!Array.isArray(result)) throw new TypeError('tx.query is for statements that answer rows; use tx.write.');
    return result as Row[];
  }

  async write(sql: string, params: readonly unknown[] = []) {
    const result = (await this.#run({ sql, values: params as unknown[] })) as {
      affectedRows?: number;
      insertId?: number | string;
    };
    return { affectedRows: result.affectedRows ?? 0, insertId: result.insertId ?? 0 };
  }

  async rows(sql: string): Promise<unknown[][]> {
    return (await this.#run({ sql, rowsAsArray: true, typeCast: true })) as unknown[][];
  }

  async #run(options: QueryOptions): Promise<unknown> {
    if (this.#over) throw new TransactionOverError('The transaction is over: await every statement in the handler.');
    if (this.#failure !== null) {
      throw new TransactionOverError('The transaction was undone by an earlier error.', { cause: this.#failure });
    }
    try {
      return await run(this.#connection, options);
    } catch (error) {
      if (faultOf(error) !== 'other') this.#failure = error;
      throw error;
    }
  }
}
