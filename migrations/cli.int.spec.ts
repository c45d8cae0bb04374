import { spawn } from 'node:child_process';
import { afterAll, describe, expect, it } from '@jest/globals';
import mysql from 'mysql2/promise';
import { testServers, uniqueName } from '../testing/servers.ts';
import { outboxMigrations } from './outbox/index.ts';

const prefix = `${uniqueName('cli')}_`;

/** Runs the command as npm does, and answers what it printed and its exit code. */
function migrate(...words: string[]): Promise<{ code: number | null; text: string }> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'migrations/cli.ts', ...words], {
    env: { ...process.env, HOTBOARD_DATABASE_PREFIX: prefix, HOTBOARD_BUCKETS: '3' },
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data) => {
      text += data;
    });
  }
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, text })));
}

afterAll(async () => {
  const connection = await mysql.createConnection(testServers().mysqlUrl);
  await connection.query(`DROP DATABASE IF EXISTS ${prefix}like`);
  await connection.end();
});

const outboxSteps = outboxMigrations.map(({ name }) => name);

describe('npm run migrate', () => {
  it('brings one database up, says where it stands, and takes a step back', async () => {
    expect(await migrate('status', '--database', 'like')).toMatchObject({
      code: 2,
      text: [...outboxSteps, 'like/0001-like-tables'].map((name) => `like  pending  ${name}\n`).join(''),
    });
    expect(await migrate('up', '--database', 'like')).toMatchObject({
      code: 0,
      text: expect.stringContaining(`${prefix}like: like/0001-like-tables up\nlike: up to date\n`),
    });
    const connection = await mysql.createConnection(testServers().mysqlUrl);
    const [rows] = await connection.query(`SELECT buckets FROM ${prefix}like.outbox_meta`);
    await connection.end();
    expect(rows).toEqual([{ buckets: 3 }]);
    expect(await migrate('down', '--database', 'like', '--to', 'like/0001-like-tables')).toMatchObject({ code: 0 });
    expect((await migrate('status', '--database', 'like')).text).toBe(
      `${outboxSteps.map((name) => `like  done     ${name}\n`).join('')}like  pending  like/0001-like-tables\n`,
    );
  });

  it('does not take everything back by accident, and explains itself', async () => {
    expect(await migrate('down', '--database', 'like')).toMatchObject({
      code: 1,
      text: expect.stringMatching(/^down needs --all, or --database and --to\.\nnpm run migrate -- up /),
    });
    expect((await migrate('up', '--database', 'likes')).text).toContain('There is no database "likes".');
  });
});
