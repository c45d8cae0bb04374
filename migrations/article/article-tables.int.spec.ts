import { describe, expect, it } from '@jest/globals';
import mysql from 'mysql2/promise';
import { freshDatabase } from '../../testing/servers.ts';
import { commentMigrations } from '../comment/index.ts';
import { likeMigrations } from '../like/index.ts';
import type { MigrationSet } from '../migration.ts';
import { migrateDatabase, rollbackDatabase } from '../run.ts';
import { viewMigrations } from '../view/index.ts';
import { articleMigrations } from './index.ts';

const sets: [string, MigrationSet, string[]][] = [
  ['article', articleMigrations, ['article', 'board_article_count']],
  ['comment', commentMigrations, ['article_comment_count', 'comment']],
  ['like', likeMigrations, ['article_like', 'article_like_count']],
  ['view', viewMigrations, ['article_view_count', 'view_flush']],
];

describe.each(sets)('the tables of the %s service', (name, set, tables) => {
  it('come with the migration up and go with it down', async () => {
    await using database = await temporaryDatabase(`migrations_${name}`);
    await migrateDatabase({ url: database.url, sets: [set] });
    expect(await database.tables()).toEqual(tables);
    await rollbackDatabase({ url: database.url, sets: [set] });
    expect(await database.tables()).toEqual([]);
    await migrateDatabase({ url: database.url, sets: [set] });
    expect(await database.tables()).toEqual(tables);
  });
});

async function temporaryDatabase(prefix: string) {
  const database = await freshDatabase(prefix);
  return {
    url: database.url,
    async tables(): Promise<string[]> {
      const connection = await mysql.createConnection(database.url);
      const [rows] = await connection.query<mysql.RowDataPacket[]>('SHOW TABLES');
      await connection.end();
      return rows
        .map((row) => String(Object.values(row)[0]))
        .filter((name) => name !== 'schema_migration')
        .sort();
    },
    [Symbol.asyncDispose]: () => database.drop(),
  };
}
