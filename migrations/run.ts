import mysql, { type Connection } from 'mysql2/promise';
import { Umzug } from 'umzug';
import { badArgument, MigrationError } from './errors.ts';
import { lockMigrations } from './lock.ts';
import type { Migration, MigrationContext, MigrationSet } from './migration.ts';
import { compareSteps, flatten, type MigrationStatus, selectExecuted } from './steps.ts';

export type { MigrationStatus } from './steps.ts';

export interface MigrateOptions {
  /** `mysql://user:password@host:port/database`. The user may create databases, or the database is there. */
  url: string;
  /** In this order. */
  sets: readonly MigrationSet[];
  /** Buckets of a new outbox. Default 8. */
  buckets?: number;
  /** How long to wait for another runner. Default 60,000. */
  lockWaitMs?: number;
  log?(message: string): void;
}

const createStorage = `
CREATE TABLE IF NOT EXISTS schema_migration (
  name VARCHAR(191) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  executed_at DATETIME(6) NOT NULL
) ENGINE=InnoDB`;
const storageExists = `
SELECT 1 AS found FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'schema_migration'`;
const insertExecuted = 'INSERT INTO schema_migration (name, executed_at) VALUES (?, UTC_TIMESTAMP(6))';
const deleteExecuted = 'DELETE FROM schema_migration WHERE name = ?';

/**
 * Brings a database to the state of the sets: creates it if it is missing, then runs what has not run, one runner at a time.
 * Answers the names that ran. `to`: stop after this one.
 * Throws `MigrationError` (`MIGRATION_LOCKED`, `MIGRATION_LOCK_LOST`, `MIGRATION_FAILED`, `MIGRATION_BAD_ARGUMENT`).
 */
export async function migrateDatabase(options: MigrateOptions & { to?: string }): Promise<string[]> {
  const steps = flatten(options.sets);
  if (options.to !== undefined) known(steps, options.to);
  await createDatabase(options.url);
  return withRunner(options, steps, async (umzug, executed) => {
    if (options.to !== undefined && executed.includes(options.to)) return [];
    return (await umzug.up(options.to === undefined ? {} : { to: options.to })).map((step) => step.name);
  });
}

/**
 * Takes steps back, newest first: all of them, or (with `to`) back to and including that one. Answers the names. Data in the
 * tables is gone after it.
 */
export async function rollbackDatabase(options: MigrateOptions & { to?: string }): Promise<string[]> {
  const steps = flatten(options.sets);
  if (options.to !== undefined) known(steps, options.to);
  return withRunner(options, steps, async (umzug, executed) => {
    if (options.to !== undefined && !executed.includes(options.to)) return [];
    return (await umzug.down({ to: options.to ?? 0 })).map((step) => step.name);
  });
}

/** Which steps ran and which did not. Changes nothing; a database that is not there has all of them pending. */
export async function migrationStatus(options: Pick<MigrateOptions, 'url' | 'sets'>): Promise<MigrationStatus> {
  const steps = flatten(options.sets);
  let executed: string[] = [];
  let connection: Connection | undefined;
  try {
    connection = await connect(options.url);
    const [rows] = await connection.query(storageExists);
    if ((rows as unknown[]).length > 0) executed = await readExecuted(connection);
  } catch (error) {
    if ((error as { code?: string }).code !== 'ER_BAD_DB_ERROR') throw error;
  } finally {
    await connection?.end();
  }
  return compareSteps(steps, executed);
}

async function withRunner<Result>(
  options: MigrateOptions,
  steps: readonly Migration[],
  run: (umzug: Umzug<MigrationContext>, executed: string[]) => Promise<Result>,
): Promise<Result> {
  const connection = await connect(options.url);
  try {
    const database = databaseOf(options.url);
    const lock = await lockMigrations(connection, database, options.lockWaitMs ?? 60_000);
    await connection.query(createStorage);
    const log = options.log ?? (() => undefined);
    const context: MigrationContext = {
      async query<Row>(sql: string, values?: readonly unknown[]) {
        const [rows] = values ? await connection.execute(sql, values as never[]) : await connection.query(sql);
        return rows as Row[];
      },
      buckets: options.buckets ?? 8,
      database,
      log,
    };
    const umzug = new Umzug<MigrationContext>({
      context,
      logger: undefined,
      migrations: steps.map((step) => ({
        name: step.name,
        async up() {
          await lock.check();
          log(`${database}: ${step.name} up`);
          await step.up(context);
        },
        async down() {
          await lock.check();
          log(`${database}: ${step.name} down`);
          await step.down(context);
        },
      })),
      storage: {
        executed: () => readExecuted(connection),
        logMigration: async ({ name }) => void (await connection.execute(insertExecuted, [name])),
        unlogMigration: async ({ name }) => void (await connection.execute(deleteExecuted, [name])),
      },
    });
    try {
      return await run(umzug, await readExecuted(connection));
    } catch (error) {
      throw failure(database, error);
    } finally {
      await lock.release().catch(() => undefined);
    }
  } finally {
    await connection.end().catch(() => undefined);
  }
}

async function readExecuted(connection: Connection): Promise<string[]> {
  const [rows] = await connection.query(selectExecuted);
  return (rows as { name: string }[]).map((row) => row.name);
}

async function createDatabase(url: string): Promise<void> {
  const name = databaseOf(url);
  const server = new URL(url);
  server.pathname = '/';
  let connection: Connection;
  try {
    connection = await connect(url);
    await connection.end();
    return;
  } catch (error) {
    if ((error as { code?: string }).code !== 'ER_BAD_DB_ERROR') throw error;
  }
  connection = await connect(server.href);
  try {
    await connection.query(`CREATE DATABASE IF NOT EXISTS \`${name}\` CHARACTER SET utf8mb4`);
  } finally {
    await connection.end();
  }
}

function databaseOf(url: string): string {
  const name = decodeURIComponent(new URL(url).pathname.slice(1));
  if (!/^[A-Za-z0-9_$-]{1,64}$/.test(name)) {
    throw badArgument(`The MySQL URL must end in the name of a database (letters, digits, _, $, -), got "${name}".`);
  }
  return name;
}

async function connect(url: string): Promise<Connection> {
  try {
    return await mysql.createConnection({
      uri: url,
      supportBigNumbers: true,
      bigNumberStrings: true,
      dateStrings: true,
      timezone: 'Z',
    });
  } catch (cause) {
    const { code, message } = cause as { code?: string; message: string };
    if (code === 'ER_BAD_DB_ERROR') throw cause;
    const text = `No connection to MySQL at ${new URL(url).host}: ${message}`;
    throw new MigrationError('MIGRATION_NO_CONNECTION', text, { retryable: code === 'ECONNREFUSED', cause });
  }
}

function known(steps: readonly Migration[], name: string): void {
  if (!steps.some((step) => step.name === name)) {
    const names = steps.map((step) => step.name).join(', ');
    throw badArgument(`There is no migration ${JSON.stringify(name)}; there are: ${names}.`);
  }
}

function failure(database: string, error: unknown): Error {
  const { cause, migration } = error as { cause?: unknown; migration?: { name: string; direction: string } };
  if (cause instanceof MigrationError) return cause;
  if (!migration) return error as Error;
  const reason = (cause as Error | undefined)?.message ?? String(cause);
  return new MigrationError(
    'MIGRATION_FAILED',
    `Migration ${migration.name} (${migration.direction}) of ${database} failed: ${reason}`,
    { retryable: false, cause },
  );
}
