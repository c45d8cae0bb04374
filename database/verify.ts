import { QueryTypes, type Sequelize } from 'sequelize';
import type { MigrationSet } from '../migrations/migration.ts';
import { compareSteps, flatten, selectExecuted } from '../migrations/steps.ts';
import { DatabaseError } from './errors.ts';
import { databaseFailure } from './failures.ts';

/**
 * Whether a database is one to work with. Throws `DatabaseError`: `DATABASE_UNAVAILABLE` (try again later), `DATABASE_BEHIND`
 * (naming the missing migrations) or `DATABASE_REFUSED`. Steps that only the database knows are fine: a newer program has
 * migrated it, and migrations stay compatible with the version before.
 */
export async function verifyDatabase(sequelize: Sequelize, sets: readonly MigrationSet[]): Promise<void> {
  const database = sequelize.config.database ?? '';
  let executed: string[];
  try {
    const rows = await sequelize.query<{ name: string }>(selectExecuted, { type: QueryTypes.SELECT });
    executed = rows.map((row) => row.name);
  } catch (error) {
    const number = (error as { original?: { errno?: number } }).original?.errno;
    if (number === 1146) executed = [];
    else throw asDatabaseError(database, error, number);
  }
  const { pending } = compareSteps(flatten(sets), executed);
  if (pending.length > 0) {
    throw new DatabaseError(
      'DATABASE_BEHIND',
      `The database ${database} lacks the migrations ${pending.join(', ')}: run "npm run migrate -- up".`,
      { retryable: false },
    );
  }
}

function asDatabaseError(database: string, error: unknown, number: number | undefined): Error {
  const message = (error as Error).message;
  if (number === 1049) {
    const hint = `There is no database ${database}: run "npm run migrate -- up".`;
    return new DatabaseError('DATABASE_BEHIND', hint, { retryable: false, cause: error });
  }
  if (number === 1044 || number === 1045 || number === 1142) {
    const text = `The database ${database} refused the user: ${message}`;
    return new DatabaseError('DATABASE_REFUSED', text, { retryable: false, cause: error });
  }
  if (databaseFailure(error) !== null || (error as Error).name.startsWith('SequelizeConnection')) {
    const text = `The database ${database} cannot be reached: ${message}`;
    return new DatabaseError('DATABASE_UNAVAILABLE', text, { retryable: true, cause: error });
  }
  return error as Error;
}
