import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import mysql, { type Connection } from 'mysql2/promise';
import { testServers, uniqueName } from '../testing/servers.ts';
import type { Migration } from './migration.ts';
import { outboxMigrations } from './outbox/index.ts';
import { migrateDatabase, migrationStatus, rollbackDatabase } from './run.ts';

let server: Connection;
const databases: string[] = [];

beforeAll(async () => {
  server = await mysql.createConnection({ uri: testServers().mysqlUrl, supportBigNumbers: true });
});
afterAll(async () => {
  for (const name of databases) await server.query(`DROP DATABASE IF EXISTS \`${name}\``);
  await server.end();
});

function missingDatabase(): { name: string; url: string } {
  const name = uniqueName('migrate');
  databases.push(name);
  return { name, url: new URL(`/${name}`, testServers().mysqlUrl).href };
}

async function rows(sql: string): Promise<Record<string, unknown>[]> {
  return (await server.query(sql))[0] as Record<string, unknown>[];
}

const tablesOf = async (name: string) =>
  (await rows(`SELECT table_name AS t FROM information_schema.tables WHERE table_schema = '${name}' ORDER BY 1`)).map(
    (row) => row.t,
  );

const step = (name: string, up: Migration['up'], down: Migration['down'] = async () => undefined): Migration => ({
  name,
  up,
  down,
});

const outboxSteps = outboxMigrations.map(({ name }) => name);

describe('migrateDatabase', () => {
  it('creates a missing database with the outbox tables, and does nothing the second time', async () => {
    const { name, url } = missingDatabase();
    expect(await migrateDatabase({ url, sets: [outboxMigrations], buckets: 5 })).toEqual(outboxSteps);
    expect(await tablesOf(name)).toEqual([
      'outbox',
      'outbox_audit',
      'outbox_blocked',
      'outbox_lease',
      'outbox_member',
      'outbox_meta',
      'outbox_pending',
      'outbox_stream',
      'schema_migration',
    ]);
    const [meta] = await rows(`SELECT incarnation, buckets FROM ${name}.outbox_meta`);
    expect(meta).toEqual({ incarnation: expect.stringMatching(/^[0-9a-f-]{36}$/), buckets: 5 });
    expect(
      await rows(`SELECT bucket, owner, epoch, expires_at < UTC_TIMESTAMP() AS free FROM ${name}.outbox_lease`),
    ).toEqual([0, 1, 2, 3, 4].map((bucket) => ({ bucket, owner: null, epoch: 0, free: 1 })));
    expect(await migrateDatabase({ url, sets: [outboxMigrations], buckets: 9 })).toEqual([]);
    expect((await rows(`SELECT incarnation, buckets FROM ${name}.outbox_meta`))[0]).toEqual(meta);
  });

  it('gives each of the coming days a partition and later days one that takes all', async () => {
    const { name, url } = missingDatabase();
    await migrateDatabase({ url, sets: [outboxMigrations] });
    const partitions = await rows(
      `SELECT partition_name AS p, partition_description AS d FROM information_schema.partitions
       WHERE table_schema = '${name}' AND table_name = 'outbox' ORDER BY partition_ordinal_position`,
    );
    expect(partitions).toHaveLength(15);
    expect(partitions.at(-1)).toEqual({ p: 'pmax', d: 'MAXVALUE' });
    const insert = (day: string) =>
      server.query(
        `INSERT INTO ${name}.outbox VALUES (1, ${day}, 'a', 't', 'k', 1, 'e', 1, '{}', NULL, UTC_TIMESTAMP(6))`,
      );
    for (const day of ['UTC_DATE()', "'2001-01-01'", "'2999-01-01'"]) await insert(day);
    expect(await rows(`SELECT COUNT(*) AS n FROM ${name}.outbox PARTITION (pmax)`)).toEqual([{ n: 1 }]);
  });

  it('goes up and down to a named step and says what is pending', async () => {
    const { name, url } = missingDatabase();
    const sets = [
      outboxMigrations,
      [
        step(
          'extra/0001-a',
          (context) => context.query('CREATE TABLE a (x INT)').then(() => undefined),
          (context) => context.query('DROP TABLE a').then(() => undefined),
        ),
        step('extra/0002-b', async () => undefined),
      ],
    ];
    expect((await migrationStatus({ url, sets })).pending).toHaveLength(outboxSteps.length + 2);
    await migrateDatabase({ url, sets, to: 'extra/0001-a' });
    expect(await migrationStatus({ url, sets })).toEqual({
      executed: [...outboxSteps, 'extra/0001-a'],
      pending: ['extra/0002-b'],
      unknown: [],
    });
    await expect(migrateDatabase({ url, sets, to: 'extra/0009-x' })).rejects.toThrow(
      `There is no migration "extra/0009-x"; there are: ${outboxSteps.join(', ')}, extra/0001-a, extra/0002-b.`,
    );
    await migrateDatabase({ url, sets });
    expect(await rollbackDatabase({ url, sets, to: 'extra/0001-a' })).toEqual(['extra/0002-b', 'extra/0001-a']);
    expect((await migrationStatus({ url, sets: [] })).unknown).toEqual(outboxSteps);
    expect(await rollbackDatabase({ url, sets })).toEqual(outboxSteps.toReversed());
    expect(await tablesOf(name)).toEqual(['schema_migration']);
  });

  it('lets a second runner wait, and runs each step once', async () => {
    const { url } = missingDatabase();
    await migrateDatabase({ url, sets: [] });
    let runs = 0;
    let running = 0;
    let most = 0;
    const sets = [
      ['slow/0001-a', 'slow/0002-b'].map((name) =>
        step(name, async (context) => {
          runs++;
          most = Math.max(most, ++running);
          await context.query('SELECT SLEEP(0.2)');
          running--;
        }),
      ),
    ];
    const answers = await Promise.all([migrateDatabase({ url, sets }), migrateDatabase({ url, sets })]);
    expect(answers.map((names) => names.length).sort()).toEqual([0, 2]);
    expect({ runs, most }).toEqual({ runs: 2, most: 1 });
  });

  it('gives up on a runner that does not end, naming it', async () => {
    const { name, url } = missingDatabase();
    await migrateDatabase({ url, sets: [] });
    const [[row]] = (await server.query(`SELECT GET_LOCK('migrate:${name}', 0), CONNECTION_ID() AS me`)) as never as [
      [{ me: number }],
    ];
    try {
      await expect(migrateDatabase({ url, sets: [outboxMigrations], lockWaitMs: 1 })).rejects.toMatchObject({
        code: 'MIGRATION_LOCKED',
        retryable: true,
        message: expect.stringContaining(`connection ${row.me}`),
      });
      expect(await tablesOf(name)).toEqual(['schema_migration']);
    } finally {
      await server.query(`DO RELEASE_LOCK('migrate:${name}')`);
    }
  });

  it('stops before the next step when its lock is gone', async () => {
    const { name, url } = missingDatabase();
    const ran: string[] = [];
    const sets = [
      [
        step('lost/0001-a', async (context) => {
          ran.push('a');
          await context.query(`DO RELEASE_LOCK('migrate:${name}')`);
        }),
        step('lost/0002-b', async () => void ran.push('b')),
      ],
    ];
    await expect(migrateDatabase({ url, sets })).rejects.toMatchObject({ code: 'MIGRATION_LOCK_LOST' });
    expect(ran).toEqual(['a']);
    expect((await migrationStatus({ url, sets })).pending).toEqual(['lost/0002-b']);
  });

  it('names the step that failed and runs it again from its start', async () => {
    const { url } = missingDatabase();
    let broken = true;
    const sets = [
      [
        step('half/0001-a', async (context) => {
          await context.query('CREATE TABLE IF NOT EXISTS one (x INT)');
          if (broken) await context.query('CREATE TABLE two (x NOTYPE)');
        }),
      ],
    ];
    await expect(migrateDatabase({ url, sets })).rejects.toMatchObject({
      code: 'MIGRATION_FAILED',
      message: expect.stringMatching(/^Migration half\/0001-a \(up\) of migrate_\w+ failed: .*NOTYPE/),
    });
    broken = false;
    expect(await migrateDatabase({ url, sets })).toEqual(['half/0001-a']);
  });

  it('says which server it cannot reach', async () => {
    await expect(migrateDatabase({ url: 'mysql://root@127.0.0.1:1/x', sets: [] })).rejects.toMatchObject({
      code: 'MIGRATION_NO_CONNECTION',
      retryable: true,
      message: 'No connection to MySQL at 127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1',
    });
  });

  it('refuses names that would not last', async () => {
    const { url } = missingDatabase();
    const bad = (name: string) => migrateDatabase({ url, sets: [[step(name, async () => undefined)]] });
    await expect(bad('0001-a')).rejects.toThrow('The migration name "0001-a" is not like');
    const twice = [step('x/0001-a', async () => undefined), step('x/0001-a', async () => undefined)];
    await expect(migrateDatabase({ url, sets: [twice] })).rejects.toThrow('x/0001-a is listed twice');
    await expect(migrateDatabase({ url: testServers().mysqlUrl, sets: [] })).rejects.toThrow('name of a database');
  });
});
