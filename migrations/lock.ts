import type { Connection } from 'mysql2/promise';
import { MigrationError } from './errors.ts';

const takeLock = 'SELECT GET_LOCK(?, ?) AS taken, CONNECTION_ID() AS me';
const readHolder = 'SELECT IS_USED_LOCK(?) AS holder';
const releaseLock = 'DO RELEASE_LOCK(?)';

/**
 * The lock against a second runner. MySQL's user locks end with their session, so the migrations themselves run on the
 * session that holds it: without the lock there is no connection to migrate with.
 */
export interface MigrationLock {
  /** Throws `MIGRATION_LOCK_LOST` unless this session holds the lock. */
  check(): Promise<void>;
  release(): Promise<void>;
}

/**
 * Waits up to `waitMs` for the lock of a database. Throws `MIGRATION_LOCKED`, naming the holder's connection id. The lock is of
 * one server: on a multi-master cluster point all runners at the same node.
 */
export async function lockMigrations(connection: Connection, database: string, waitMs: number): Promise<MigrationLock> {
  const name = `migrate:${database}`.slice(0, 64);
  const values = [name, Math.ceil(waitMs / 1000)];
  const [[answer]] = (await connection.query(takeLock, values)) as unknown as [[{ taken: unknown; me: unknown }]];
  const holder = async () => {
    const [[row]] = (await connection.query(readHolder, [name])) as unknown as [[{ holder: unknown }]];
    return row.holder;
  };
  if (Number(answer.taken) !== 1) {
    throw new MigrationError(
      'MIGRATION_LOCKED',
      `Another runner (connection ${await holder()}) has been migrating ${database} for more than ${waitMs} ms.`,
      { retryable: true },
    );
  }
  return {
    async check() {
      if (String(await holder()) !== String(answer.me)) {
        throw new MigrationError('MIGRATION_LOCK_LOST', `The lock for migrating ${database} was lost.`, {
          retryable: true,
        });
      }
    },
    async release() {
      await connection.query(releaseLock, [name]);
    },
  };
}
