import type { InboxTransaction } from '../types.ts';

/** A transaction as the inbox itself uses it: what handlers get, and rows as arrays, which are quicker to read. */
export interface DatabaseTransaction extends InboxTransaction {
  rows(sql: string): Promise<unknown[][]>;
}

/** MySQL or MariaDB as the inbox needs it. Errors come as the driver's: `faultOf` says what they mean. */
export interface Database {
  /**
   * Runs `work` in one READ COMMITTED transaction and commits. Whatever is thrown rolls everything back. Throws
   * `CommitUnknownError` where the answer to the COMMIT was lost.
   */
  transaction<Result>(work: (tx: DatabaseTransaction) => Promise<Result>): Promise<Result>;
  /** One statement by itself. */
  query<Row = Record<string, unknown>>(sql: string, params?: readonly unknown[]): Promise<Row[]>;
  close(): Promise<void>;
}
