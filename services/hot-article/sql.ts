import { openPool } from '../../inbox/database/pool.ts';

/** Statements on a database: a transaction of the inbox, or a pool. `?` takes values, lists and lists of rows as in mysql2. */
export interface Sql {
  query<Row = Record<string, unknown>>(sql: string, params?: readonly unknown[]): Promise<Row[]>;
  write(sql: string, params?: readonly unknown[]): Promise<{ affectedRows: number }>;
}

/** A pool with transactions of its own. */
export interface Database extends Sql {
  /** READ COMMITTED. Commits when `work` resolves, else rolls back and rethrows. */
  transaction<Result>(work: (tx: Sql) => Promise<Result>): Promise<Result>;
  close(): Promise<void>;
}

/** Connects when it is first used. BIGINT comes as a string. */
export function openDatabase(options: { url: string; connections: number }): Database {
  const pool = openPool(options);
  return {
    query: (sql, params) => pool.query(sql, params),
    write: async (sql, params) => (await pool.query(sql, params)) as unknown as { affectedRows: number },
    transaction: (work) => pool.transaction(work),
    close: () => pool.close(),
  };
}
