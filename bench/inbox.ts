import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mysql from 'mysql2/promise';
import { loadConfig } from '../config/load.ts';
import { createPlatformaticPort } from '../kafka/platformatic/platformatic-port.ts';
import { startStack } from '../stack/stack.ts';
import { type Bench, type BenchResult, figureTable } from './bench.ts';
import { type InboxRun, runInboxProcess } from './inbox/inbox-child.ts';
import { bareInserts, consumerDatabase, partitions, publishEvents } from './inbox/rows.ts';

const manyKeys = 5_000;
const concurrency = 4;

interface Extent {
  events: number;
  rounds: number;
  filled: number;
  only: string | undefined;
  profileFolder: string | undefined;
  client: 'kafkajs' | 'platformatic';
}

interface Context {
  mysqlUrl: string;
  brokers: string[];
  extent: Extent;
}

/**
 * One inbox process on servers of its own, with real board events and a projection written by a batch handler. Options:
 * `--events=120000`, `--rounds=3`, `--filled=1000000` (ids that are there already in the second part),
 * `--only=keys|filled|hot|limit`, `--client=kafkajs|platformatic`, `--profile=FOLDER` (CPU profiles of the inbox processes).
 */
const bench: Bench = {
  title: `The inbox, state mode: board events over ${manyKeys} keys, ${partitions} partitions, batches of at most 1,000, durable commits, one process`,
  async run(options) {
    const given = Object.fromEntries(options.map((option) => option.replace(/^--/, '').split('=')));
    const folder = mkdtempSync(join(tmpdir(), 'hotboard-bench-'));
    const { HOTBOARD_MYSQL_URL, HOTBOARD_REDIS_URL, HOTBOARD_KAFKA_BROKERS, ...rest } = process.env;
    const { HOTBOARD_MYSQL_PORT, HOTBOARD_REDIS_PORT, HOTBOARD_KAFKA_PORT, ...env } = rest;
    const stack = await startStack({
      config: loadConfig(env),
      env,
      data: join(folder, 'data'),
      keepData: false,
      startedBy: 'bench inbox',
      log: (line) => console.error(`stack: ${line}`),
    });
    try {
      return await measure({
        mysqlUrl: stack.environment.HOTBOARD_MYSQL_URL,
        brokers: stack.environment.HOTBOARD_KAFKA_BROKERS.split(','),
        extent: {
          events: Number(given.events ?? 120_000),
          rounds: Number(given.rounds ?? 3),
          filled: Number(given.filled ?? 1_000_000),
          only: given.only,
          profileFolder: given.profile,
          client: given.client === 'platformatic' ? 'platformatic' : 'kafkajs',
        },
      });
    } finally {
      await stack.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

export default bench;

async function measure(context: Context): Promise<BenchResult> {
  const { events, rounds, filled, only } = context.extent;
  const wanted = (part: string) => only === undefined || only === part;
  const topics = { many: 'bench.many', one: 'bench.one' };
  await fillTopics(context, topics);
  const runs = { keys: [] as InboxRun[], filled: [] as InboxRun[], hot: [] as InboxRun[] };
  const limits = { keys: [] as number[], hot: [] as number[] };
  // Parts take turns, so that a slow minute of the machine is in all of them.
  for (let round = 1; round <= rounds; round++) {
    if (wanted('limit')) {
      limits.keys.push(await bare(context, manyKeys, concurrency));
      limits.hot.push(await bare(context, 1, 1));
    }
    if (wanted('keys')) runs.keys.push(await drain(context, topics.many, 0));
    if (wanted('filled')) runs.filled.push(await drain(context, topics.many, filled));
    if (wanted('hot')) runs.hot.push(await drain(context, topics.one, 0));
  }
  const rate = (each: readonly InboxRun[]) => middle(each.map(({ tookMs }) => events / (tookMs / 1000)));
  const all = [...runs.keys, ...runs.filled, ...runs.hot];
  const figures = withoutNaN({
    events,
    appliedPerS: rate(runs.keys),
    filledRows: runs.filled.length > 0 ? filled : Number.NaN,
    filledPerS: rate(runs.filled),
    filledShare: Math.round((rate(runs.filled) / rate(runs.keys)) * 100) / 100,
    hotKeyPerS: rate(runs.hot),
    limitPerS: middle(limits.keys),
    limitHotKeyPerS: middle(limits.hot),
    cpuUsPerEvent: middle(runs.keys.map(({ cpuMs }) => (cpuMs * 1000) / events)),
    maxRssMb: Math.round(Math.max(...all.map(({ maxRssMb }) => maxRssMb))),
  });
  return { rows: table(figures), figures, notes: [notesOf(runs, events)] };
}

async function fillTopics({ brokers, extent }: Context, { many, one }: { many: string; one: string }): Promise<void> {
  const port = createPlatformaticPort({ brokers, clientId: 'bench' });
  const [admin, publisher] = [port.admin(), port.publisher()];
  await admin.createTopics([many, one].map((topic) => ({ topic, partitions })));
  await publishEvents(publisher, many, extent.events, manyKeys);
  await publishEvents(publisher, one, extent.events, 1);
  await publisher.close();
  await admin.close();
}

let databases = 0;

async function bare({ mysqlUrl, extent }: Context, keys: number, connections: number): Promise<number> {
  const name = `bench_${++databases}`;
  const url = await consumerDatabase(mysqlUrl, name, 0);
  const perS = await bareInserts(url, extent.events, keys, connections);
  await dropDatabase(mysqlUrl, name);
  console.error(`${name}: bare rows of ${keys} keys, ${Math.round(perS)} events/s`);
  return perS;
}

async function drain({ mysqlUrl, brokers, extent }: Context, topic: string, filled: number): Promise<InboxRun> {
  const name = `bench_${++databases}`;
  const url = await consumerDatabase(mysqlUrl, name, filled);
  const settings = { url, brokers, topic, doneAfter: extent.events, concurrency, client: extent.client };
  const run = await runInboxProcess(settings, extent.profileFolder);
  await check(url, extent.events + filled);
  await dropDatabase(mysqlUrl, name);
  const perS = Math.round(extent.events / (run.tookMs / 1000));
  console.error(`${name}: ${topic} into ${filled} ids, ${perS} events/s, ${Math.round(run.maxRssMb)} MB`);
  return run;
}

/** A figure is worth nothing where events are missing. */
async function check(url: string, expected: number): Promise<void> {
  const connection = await mysql.createConnection(url);
  const [[row]] = await connection.query<mysql.RowDataPacket[]>(
    'SELECT (SELECT COUNT(*) FROM inbox) AS ids, (SELECT SUM(version) FROM inbox_stream) AS versions, (SELECT SUM(likes) FROM like_count) AS likes',
  );
  await connection.end();
  const { ids, versions, likes } = row!;
  if (Number(ids) !== expected || String(versions) !== String(likes)) {
    throw new Error(`${ids} ids in place of ${expected}; versions ${versions}, likes ${likes}`);
  }
}

async function dropDatabase(mysqlUrl: string, name: string): Promise<void> {
  const connection = await mysql.createConnection(mysqlUrl);
  await connection.query(`DROP DATABASE ${name}`);
  await connection.end();
}

function middle(values: readonly number[]): number {
  return Math.round(values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN);
}

function withoutNaN(figures: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(figures).filter(([, value]) => Number.isFinite(value)));
}

function table(figures: Record<string, number>): BenchResult['rows'] {
  const lines: [figure: string, key: string, unit: string, goal: string][] = [
    ['applied, 5,000 keys, empty inbox', 'appliedPerS', 'events/s', '>= 20,000'],
    ['the same rows, bare', 'limitPerS', 'events/s', 'the limit'],
    ['applied, with ids in the inbox already', 'filledPerS', 'events/s', ''],
    ['  how many', 'filledRows', 'rows', ''],
    ['  share of the empty inbox', 'filledShare', '', '>= 0.8'],
    ['applied, 1 hot key', 'hotKeyPerS', 'events/s', '>= 8,000'],
    ['the same rows of 1 key, bare', 'limitHotKeyPerS', 'events/s', 'the limit'],
    ['CPU of the process', 'cpuUsPerEvent', 'us/event', ''],
    ['memory of the process (max RSS)', 'maxRssMb', 'MB', '<= 250'],
  ];
  return figureTable(lines, figures);
}

function notesOf(runs: Record<string, InboxRun[]>, events: number): string {
  const rates = Object.entries(runs)
    .filter(([, each]) => each.length > 0)
    .map(([part, each]) => `${part} ${each.map(({ tookMs }) => Math.round(events / (tookMs / 1000))).join(', ')}`);
  return `Rounds, each by a new process on a database of its own (the table has the middle one): ${rates.join('; ')}.`;
}
