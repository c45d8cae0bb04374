import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { freshDatabase, testServers } from '../testing/servers.ts';

const run = promisify(execFile);

/** The JavaScript of the README's section about taking the mixins, in its order. */
function readmeLines(): string {
  const section = readFileSync('README.md', 'utf8').split('## Take the mixins')[1]!.split('\n## ')[0]!;
  return [...section.matchAll(/```js\n(.*?)```/gs)].map((block) => block[1]).join('\n');
}

/** What the outside team has already, and how the test sees that the README's lines work. */
const around = `
const mysql = require('mysql2/promise');
(async () => {
  const connection = await mysql.createConnection(url);
  await connection.query('CREATE TABLE orders (id BIGINT PRIMARY KEY, paid TINYINT NOT NULL DEFAULT 0)');
  await connection.query('CREATE TABLE ledger (order_id VARCHAR(20) NOT NULL, cents INT NOT NULL)');
  await connection.query('INSERT INTO orders (id) VALUES (1), (2)');
  const broker = await main();
  await broker.call('order.pay', { id: '1', cents: 1999 });
  await broker.call('order.pay', { id: '2', cents: 'many' }).catch((error) => console.log('refused', error.type));
  for (let rows = []; rows.length === 0; ) [rows] = await connection.query('SELECT order_id, cents FROM ledger');
  const [ledger] = await connection.query('SELECT order_id, cents FROM ledger');
  const [paid] = await connection.query('SELECT id FROM orders WHERE paid = 1');
  console.log('RESULT ' + JSON.stringify({ ledger, paid }));
  await broker.stop();
  await connection.end();
})().catch((error) => { console.error(error); process.exit(1); });
`;

describe('the packed package', () => {
  let folder: string;
  let database: Awaited<ReturnType<typeof freshDatabase>>;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'hotboard-outside-'));
    database = await freshDatabase('outside');
    await run('npm', ['pack', '--pack-destination', folder]);
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'shop', type: 'commonjs', private: true }));
    const { version } = JSON.parse(readFileSync('node_modules/moleculer/package.json', 'utf8')) as { version: string };
    await run('npm', ['install', '--no-audit', '--no-fund', './hotboard-0.1.0.tgz', `moleculer@${version}`], {
      cwd: folder,
    });
  }, 420_000);

  afterAll(async () => {
    await database?.drop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('runs the lines of the README in an outside CommonJS project', async () => {
    const script = join(folder, 'shop.js');
    writeFileSync(script, readmeLines() + around);
    const env = {
      ...process.env,
      SHOP_MYSQL_URL: database.url,
      SHOP_KAFKA_BROKERS: testServers().kafkaBrokers.join(','),
    };
    for (const name of Object.keys(env)) if (name.startsWith('HOTBOARD_')) delete env[name as keyof typeof env];
    const { stdout } = await run(process.execPath, [script], { cwd: folder, env, timeout: 120_000 });
    const result = stdout.split('\n').find((line) => line.startsWith('RESULT '));
    expect(JSON.parse(result!.slice('RESULT '.length))).toEqual({
      ledger: [{ order_id: '1', cents: 1999 }],
      paid: [{ id: 1 }],
    });
    expect(stdout).toContain('refused EVENT_INVALID');
  }, 150_000);

  it('has types that an outside TypeScript project compiles with', async () => {
    writeFileSync(
      join(folder, 'shop.mts'),
      `import { createCatalogue, KafkaTransporter, OutboxMixin, type RelayOptions } from 'hotboard';
       const mixin = OutboxMixin({ source: 'order', catalogue: createCatalogue([]) });
       const transporter = new KafkaTransporter({ connection: { brokers: ['127.0.0.1:9092'] } });
       export const relay: Partial<RelayOptions> = { leaseMs: 5000 };
       export { mixin, transporter };`,
    );
    const options = [
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2024',
      '--skipLibCheck',
      '--types',
      'node',
    ];
    const typeRoots = ['--typeRoots', join(process.cwd(), 'node_modules', '@types')];
    await run(
      join(process.cwd(), 'node_modules', '.bin', 'tsc'),
      [...options, ...typeRoots, join(folder, 'shop.mts')],
      { cwd: folder },
    );
  });
});
