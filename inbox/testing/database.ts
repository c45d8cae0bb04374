import mysql, { type Connection } from 'mysql2/promise';
import { inboxMigrations } from '../../migrations/inbox/index.ts';
import { migrateDatabase } from '../../migrations/run.ts';
import { freshDatabase } from '../../testing/servers.ts';
import type { Database } from '../database/database.ts';
import { openPool } from '../database/pool.ts';
import type { InboxHandler } from '../types.ts';

export interface TestDatabase {
  url: string;
  /** A pool as the inbox opens it; closed at the end. */
  pool(connections?: number): Database;
  rows<Row = Record<string, unknown>>(sql: string): Promise<Row[]>;
  /** What was effected, in order: `<aggregate>.<version>`. */
  effects(): Promise<string[]>;
  close(): Promise<void>;
}

/**
 * A database with the inbox's tables and one for effects. It has no key but a counter: what counts effects must not be able
 * to refuse one.
 */
export async function testDatabase(): Promise<TestDatabase> {
  const { url, drop } = await freshDatabase('inbox');
  await migrateDatabase({ url, sets: [inboxMigrations] });
  const connection: Connection = await mysql.createConnection({ uri: url, supportBigNumbers: true });
  await connection.query('CREATE TABLE effects (n BIGINT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(200)) ENGINE=InnoDB');
  const pools: Database[] = [];
  const rows = async <Row>(sql: string) => (await connection.query(sql))[0] as Row[];
  return {
    url,
    pool(connections = 4) {
      const pool = openPool({ url, connections });
      pools.push(pool);
      return pool;
    },
    rows,
    async effects() {
      return (await rows<{ what: string }>('SELECT what FROM effects ORDER BY n')).map(({ what }) => what);
    },
    async close() {
      for (const pool of pools) await pool.close();
      await connection.end();
      await drop();
    },
  };
}

/** Writes each event into `effects`, in the transaction that it is given. */
export const writesEffects: InboxHandler = {
  async handleBatch(tx, events) {
    const rows = events.map((event) => [`${event.aggregateId}.${event.version}`]);
    await tx.write('INSERT INTO effects (what) VALUES ?', [rows]);
  },
};
