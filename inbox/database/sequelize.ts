import type { Connection } from 'mysql2';
import type { Database } from './database.ts';
import { CommitUnknownError } from './errors.ts';
import { run, Session } from './session.ts';

/** The little of Sequelize 6 (dialect `mysql`) that is used here. */
export interface SequelizeLike {
  transaction(options: { isolationLevel: string }): Promise<SequelizeTransactionLike>;
}

interface SequelizeTransactionLike {
  commit(): Promise<void>;
  rollback(): Promise<void>;
}

/**
 * Transactions on a Sequelize instance, so that handlers can use its models. The inbox's own statements run on the
 * transaction's raw connection, as quick as on a pool. `close` leaves the instance open: it belongs to somebody else.
 */
export function onSequelize(sequelize: SequelizeLike): Database {
  const database: Database = {
    async transaction(work) {
      const transaction = await sequelize.transaction({ isolationLevel: 'READ COMMITTED' });
      const session = new Session(connectionOf(transaction), transaction);
      let result: Awaited<ReturnType<typeof work>>;
      try {
        result = await work(session);
        if (session.failure !== null) throw session.failure;
      } catch (error) {
        session.end();
        await transaction.rollback().catch(() => undefined);
        throw session.failure ?? error;
      }
      session.end();
      try {
        await transaction.commit();
      } catch (cause) {
        throw new CommitUnknownError('The answer to COMMIT was lost.', { cause });
      }
      return result;
    },
    async query<Row>(sql: string, params: readonly unknown[] = []) {
      return database.transaction(async (tx) => {
        const { connection } = tx.transaction as { connection: Connection };
        return (await run(connection, { sql, values: params as unknown[] })) as Row[];
      });
    },
    async close() {},
  };
  return database;
}

function connectionOf(transaction: SequelizeTransactionLike): Connection {
  const { connection } = transaction as { connection?: Connection };
  if (!connection) throw new Error('The Sequelize transaction has no connection: only the dialect mysql is supported.');
  return connection;
}
