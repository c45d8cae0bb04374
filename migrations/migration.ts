/** What a migration may use. All statements run on the one connection that holds the lock against a second runner. */
export interface MigrationContext {
  /**
   * Runs one statement and answers its rows (or the driver's result header). `values` fill its `?` by prepared
   * statement. BIGINT, DECIMAL and dates come as strings.
   */
  query<Row = Record<string, unknown>>(sql: string, values?: readonly unknown[]): Promise<Row[]>;
  /** Number of buckets that a new outbox gets. */
  buckets: number;
  /** Name of the database that is migrated. */
  database: string;
  log(message: string): void;
}

/**
 * One step. DDL commits by itself, so a step that failed half way is run again from its start: write `CREATE TABLE IF NOT
 * EXISTS`, `DROP TABLE IF EXISTS` and the like.
 */
export interface Migration {
  /** `<set>/0001-what-it-does`. Never changed once released: it is the key under which the database remembers it. */
  name: string;
  up(context: MigrationContext): Promise<void>;
  down(context: MigrationContext): Promise<void>;
}

/** A named list of steps in order, listed statically so that it survives packing and bundling. */
export type MigrationSet = readonly Migration[];
