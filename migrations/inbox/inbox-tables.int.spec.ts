import { expect, it } from '@jest/globals';
import mysql from 'mysql2/promise';
import { freshDatabase } from '../../testing/servers.ts';
import { migrateDatabase, rollbackDatabase } from '../run.ts';
import { inboxMigrations } from './index.ts';

it('makes the inbox’s tables and takes them back', async () => {
  const { name, url, drop } = await freshDatabase('inbox_tables');
  const connection = await mysql.createConnection(url);
  const tables = async () => {
    const [rows] = await connection.query(
      'SELECT table_name AS t FROM information_schema.tables WHERE table_schema = ? ORDER BY 1',
      [name],
    );
    return (rows as { t: string }[]).map(({ t }) => t).filter((table) => table !== 'schema_migration');
  };
  try {
    for (let time = 0; time < 2; time++) {
      await migrateDatabase({ url, sets: [inboxMigrations] });
      expect(await tables()).toEqual([
        'dead_letter',
        'dead_letter_audit',
        'inbox',
        'inbox_consumer',
        'inbox_offset',
        'inbox_parked',
        'inbox_purge',
        'inbox_stream',
      ]);
      await rollbackDatabase({ url, sets: [inboxMigrations] });
      expect(await tables()).toEqual([]);
    }
  } finally {
    await connection.end();
    await drop();
  }
});
