import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import mysql from 'mysql2/promise';
import { loadConfig } from '../config/load.ts';
import { testServers } from '../testing/servers.ts';
import { endProcess, isAlive, type ProcessIdentity, waitUntilGone } from './process-identity.ts';
import { startStack } from './stack.ts';
import type { ServerStatus, StackEnvironment, StackState } from './types.ts';

const repository = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'hotboard-stack-e2e-'));
const startMs = 300_000;
const quiet = ['--disable-warning=ExperimentalWarning', '--disable-warning=TimeoutNegativeWarning'];

/** The environment of a user who set nothing: servers of the stack tool's own, also where Docker works. */
const plainEnv = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(HOTBOARD_|JEST_)/.test(name)));
const env = { ...plainEnv, HOTBOARD_STACK: 'embedded', LC_ALL: 'C' };

afterAll(async () => {
  await Promise.all(seen.map((process) => endProcess(process, 0)));
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

/** Runs `stack …` in a checkout, as npm does. */
async function stackCommand(checkout: string, words: string[], more: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [...quiet, 'stack/cli.ts', ...words], {
    cwd: checkout,
    env: { ...env, ...more },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (text) => (out += text));
  child.stderr.on('data', (text) => (err += text));
  const [code] = await once(child, 'close');
  return { code, out, err };
}

/** Everything that was ever seen running: a test that fails must leave none of it. */
const seen: ProcessIdentity[] = [];

function stateOf(data: string): StackState {
  const state = JSON.parse(readFileSync(join(data, 'stack.json'), 'utf8')) as StackState;
  seen.push(state.keeper, ...processesOf(state));
  return state;
}

const processesOf = (state: StackState) => state.servers.flatMap(({ process }) => process ?? []);

async function gone(processes: ProcessIdentity[], timeoutMs: number): Promise<boolean> {
  return (await Promise.all(processes.map((process) => waitUntilGone(process, timeoutMs)))).every(Boolean);
}

describe('npm run stack, from a folder named "a b ü"', () => {
  const checkout = join(folder, 'a b ü', 'hotboard');
  const data = join(checkout, '.hotboard');
  const run = (...words: string[]) => stackCommand(checkout, words);
  const servers = async () => (JSON.parse((await run('status', '--json')).out) as { servers: ServerStatus[] }).servers;
  let environment: StackEnvironment;

  beforeAll(() => {
    mkdirSync(checkout, { recursive: true });
    for (const name of ['stack', 'config', 'package.json', 'docker-compose.yml']) {
      cpSync(join(repository, name), join(checkout, name), { recursive: true });
    }
    symlinkSync(join(repository, 'node_modules'), join(checkout, 'node_modules'));
  });
  afterAll(async () => {
    await run('down');
  });

  it(
    'up starts servers that stay, and status tells what runs',
    async () => {
      const up = await run('up', '--json');
      expect(up).toMatchObject({ code: 0 });
      environment = JSON.parse(up.out).environment;
      const now = await servers();
      expect(now.map(({ name, provider }) => [name, provider])).toEqual([
        ['mysql', 'embedded'],
        ['redis', 'embedded'],
        ['kafka', 'embedded'],
      ]);
      for (const { pid, version, endpoint } of now) {
        expect({ pid, version, endpoint }).toEqual({
          pid: expect.any(Number),
          version: expect.stringMatching(/^[0-9]+\./),
          endpoint: expect.stringMatching(/^127\.0\.0\.1:[0-9]+$/),
        });
      }
    },
    startMs,
  );

  it('gives a MySQL that has the settings which the outbox needs, and no account without a password', async () => {
    const connection = await mysql.createConnection(environment.HOTBOARD_MYSQL_URL);
    const [rows] = await connection.query(
      'SELECT @@transaction_isolation AS isolation, @@binlog_format AS binlog, @@innodb_flush_log_at_trx_commit AS flush_log',
    );
    await connection.query('CREATE DATABASE kept');
    await connection.end();
    expect(rows).toEqual([{ isolation: 'READ-COMMITTED', binlog: 'ROW', flush_log: 1 }]);
    const { port } = new URL(environment.HOTBOARD_MYSQL_URL);
    const asRoot = mysql.createConnection(`mysql://root@127.0.0.1:${port}`);
    await expect(asRoot).rejects.toMatchObject({ code: 'ER_ACCESS_DENIED_ERROR' });
  });

  it('a second up says in one line which is the first, and uses it', async () => {
    const before = await servers();
    const second = await run('up');
    expect(second.code).toBe(0);
    expect(second.err.trim()).toMatch(
      /^stack: using the stack that runs on .*a b ü.* started by stack up \(process [0-9]+/,
    );
    expect(second.err.trim().split('\n')).toHaveLength(1);
    expect(await servers()).toEqual(before);
  });

  it('reset is refused while it runs', async () => {
    expect(await run('reset')).toMatchObject({ code: 1, err: expect.stringContaining('end it first') });
  });

  it(
    'status shows a server that died, and up starts the stack anew with its data',
    async () => {
      const redis = stateOf(data).servers.find(({ name }) => name === 'redis')!;
      process.kill(redis.process!.pid, 'SIGKILL');
      await waitUntilGone(redis.process!, 30_000);
      expect((await servers()).find(({ name }) => name === 'redis')?.pid).toBeNull();
      const again = await run('up', '--json');
      expect(again).toMatchObject({ code: 0, err: expect.stringContaining('has lost redis') });
      const connection = await mysql.createConnection(environment.HOTBOARD_MYSQL_URL);
      const [rows] = await connection.query("SHOW DATABASES LIKE 'kept'");
      await connection.end();
      expect(rows).toHaveLength(1);
    },
    startMs,
  );

  it(
    'down ends all of it, and reset then removes the data',
    async () => {
      const processes = processesOf(stateOf(data));
      expect(await run('down')).toMatchObject({ code: 0, out: expect.stringContaining('ended the stack') });
      expect(processes.some(isAlive)).toBe(false);
      expect(await servers()).toEqual([]);
      expect(await run('down')).toMatchObject({ code: 0, out: expect.stringContaining('no stack runs') });
      expect(await run('reset')).toMatchObject({ code: 0, out: expect.stringContaining('deleted') });
      expect(readdirSync(data)).toEqual([]);
    },
    startMs,
  );

  it('names the owner of a taken port and its variable, and starts nothing', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const up = await stackCommand(checkout, ['up'], { HOTBOARD_REDIS_PORT: String(port) });
    server.close();
    expect(up.code).toBe(1);
    expect(up.err.trim()).toMatch(
      new RegExp(
        `^stack: Port ${port} of 127.0.0.1 \\(HOTBOARD_REDIS_PORT\\) is taken by process ${process.pid} .*set HOTBOARD_REDIS_PORT`,
      ),
    );
    expect(existsSync(join(data, 'stack.json'))).toBe(false);
  });
});

describe('a stack whose owner is killed', () => {
  /** A program that starts a stack and then does nothing. Kafka is not needed for this. */
  async function startOwner(data: string, keepData: boolean): Promise<ChildProcess> {
    const program = `
      const { startStack } = await import(${JSON.stringify(new URL('./stack.ts', import.meta.url).href)});
      const { loadConfig } = await import(${JSON.stringify(new URL('../config/load.ts', import.meta.url).href)});
      const options = { data: ${JSON.stringify(data)}, keepData: ${keepData}, log: () => {}, env: process.env };
      await startStack({ ...options, config: loadConfig(process.env), startedBy: 'the test' });
      console.log('ready');
      setInterval(() => {}, 1000);
    `;
    const child = spawn(process.execPath, ['--input-type=module', ...quiet, '-e', program], {
      env: { ...env, HOTBOARD_KAFKA_BROKERS: testServers().kafkaBrokers.join(',') },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout!, 'data');
    return child;
  }

  it(
    'ends within seconds, keeps its data, and is waited for by the next one',
    async () => {
      const data = join(folder, 'owned');
      const owner = await startOwner(data, true);
      const first = stateOf(data);
      owner.kill('SIGKILL');
      // The next one comes while the first still ends.
      const next = await startOwner(data, true);
      expect([...processesOf(first), first.keeper].some(isAlive)).toBe(false);
      const state = stateOf(data);
      expect(state.environment).toEqual(first.environment);
      next.kill('SIGKILL');
      expect(await gone([...processesOf(state), state.keeper], 30_000)).toBe(true);
      expect(readdirSync(data).sort()).toEqual(['logs', 'mariadb-11.4', 'redis', 'stack-settings.json']);
      expect(existsSync(state.runFolder)).toBe(false);
    },
    startMs,
  );

  it(
    'leaves nothing where the data was worth nothing',
    async () => {
      const data = join(folder, 'thrown-away');
      const owner = await startOwner(data, false);
      const state = stateOf(data);
      owner.kill('SIGKILL');
      expect(await gone([...processesOf(state), state.keeper], 30_000)).toBe(true);
      expect(existsSync(data)).toBe(false);
    },
    startMs,
  );

  it(
    'is ended by the next one where its keeper was killed too',
    async () => {
      const data = join(folder, 'owned');
      const owner = await startOwner(data, true);
      const state = stateOf(data);
      await endProcess(state.keeper, 0);
      owner.kill('SIGKILL');
      const orphans = processesOf(state);
      expect(orphans.map(isAlive)).toEqual([true, true]);
      const down = await stackCommand(repository, ['down'], { HOTBOARD_DATA: data });
      expect(down).toMatchObject({ code: 0, out: expect.stringContaining('ended the stack') });
      expect(orphans.some(isAlive)).toBe(false);
    },
    startMs,
  );
});

describe('a stack that a test breaks', () => {
  it(
    'has servers that are killed and start again on the same port and data, beside endpoints from the environment',
    async () => {
      const { mysqlUrl, kafkaBrokers } = testServers();
      const named = { ...env, HOTBOARD_MYSQL_URL: mysqlUrl, HOTBOARD_KAFKA_BROKERS: kafkaBrokers.join(',') };
      const data = join(folder, 'broken');
      const stack = await startStack({ config: loadConfig(named), env: named, data, keepData: false, log: () => {} });
      expect(stack.servers.map(({ name, provider }) => `${name} ${provider}`)).toEqual([
        'mysql external',
        'kafka external',
        'redis embedded',
      ]);
      const redis = stack.server('redis');
      const client = new Redis(stack.environment.HOTBOARD_REDIS_URL, { retryStrategy: () => 50 });
      client.on('error', () => {});
      await client.config('SET', 'appendfsync', 'always');
      await client.set('kept', '1');
      const { pid } = redis;
      await redis.kill();
      expect(redis.pid).toBeNull();
      await redis.start();
      expect(redis.pid).not.toBe(pid);
      expect(await client.get('kept')).toBe('1');
      await redis.suspend();
      const answer = client.ping();
      await expect(Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 200, 'silent'))])).resolves.toBe(
        'silent',
      );
      await redis.resume();
      expect(await answer).toBe('PONG');
      client.disconnect();
      await expect(stack.server('mysql').kill()).rejects.toMatchObject({ code: 'STACK_NOT_OURS' });
      await stack.stop();
      expect(existsSync(data)).toBe(false);
    },
    startMs,
  );

  it(
    'has three brokers where asked for, one of which can die and come back',
    async () => {
      const { mysqlUrl, redisUrl } = testServers();
      const named = { ...env, HOTBOARD_MYSQL_URL: mysqlUrl, HOTBOARD_REDIS_URL: redisUrl };
      const options = {
        config: loadConfig(named),
        env: named,
        data: join(folder, 'three'),
        keepData: false,
        quickStart: true,
      };
      const stack = await startStack({ ...options, log: () => {}, kafkaNodes: 3 });
      try {
        expect(stack.environment.HOTBOARD_KAFKA_BROKERS.split(',')).toHaveLength(3);
        const second = stack.server('kafka-2');
        await second.kill();
        await second.start();
        expect(second.pid).toEqual(expect.any(Number));
      } finally {
        await stack.stop();
      }
    },
    startMs,
  );
});
