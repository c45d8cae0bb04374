import mysql from 'mysql2/promise';
import { createPlatformaticPort } from '../kafka/platformatic/platformatic-port.ts';
import { type Bench, type BenchResult, figureTable } from './bench.ts';
import { type InboxClient, type InboxRun, runInboxProcess } from './inbox/inbox-child.ts';
import { bareInserts, consumerDatabase, partitions, publishEvents } from './inbox/rows.ts';
import { onOwnServers, optionsOf } from './servers.ts';

const manyKeys = 5_000;
const concurrency = 4;

interface Extent {
  events: number;
  rounds: number;
  filled: number;
  only: readonly string[] | undefined;
  profileFolder: string | undefined;
  client: InboxClient;
  /** Clients that do the first part, too. */
  others: readonly InboxClient[];
}

interface Context {
  mysqlUrl: string;
  brokers: string[];
  extent: Extent;
}

/**
 * One inbox process on servers of its own, with real board events and a projection written by a batch handler. Options:
 * `--events=120000`, `--rounds=3`, `--filled=1000000` (ids that are there already in the second part),
 * `--only=keys,filled,hot,limit`, `--client=platformatic,kafkajs` (the first does every part, the others the first part),
 * `--profile=FOLDER` (CPU profiles of the inbox processes).
 */
const bench: Bench = {
  title: `The inbox, state mode: board events over ${manyKeys} keys, ${partitions} partitions, batches of at most 1,000, durable commits, one process`,
  async run(options) {
    const given = optionsOf(options);
    const clients = (given.client ?? 'platformatic,kafkajs').split(',') as InboxClient[];
    return onOwnServers('inbox', ({ environment }) =>
      measure({
        mysqlUrl: environment.HOTBOARD_MYSQL_URL,
        brokers: environment.HOTBOARD_KAFKA_BROKERS.split(','),
        extent: {
          events: Number(given.events ?? 120_000),
          rounds: Number(given.rounds ?? 3),
          filled: Number(given.filled ?? 1_000_000),
          only: given.only?.split(','),
          profileFolder: given.profile,
          client: clients[0]!,
          others: clients.slice(1),
        },
      }),
    );
  },
};

export default bench;

async function measure(context: Context): Promise<BenchResult> {
  const { events, rounds, filled, only, client, others } = context.extent;
  const wanted = (part: string) => only?.includes(part) ?? true;
  const topics = { many: 'bench.many', one: 'bench.one' };
  await fillTopics(context, topics);
  const runs = { keys: [] as InboxRun[], filled: [] as InboxRun[], hot: [] as InboxRun[] };
  const besides = new Map(others.map((other) => [other, [] as InboxRun[]]));
  const limits = { keys: [] as number[], hot: [] as number[] };
  // Parts take turns, so that a slow minute of the machine is in all of them.
  for (let round = 1; round <= rounds; round++) {
    if (wanted('limit')) {
      limits.keys.push(await bare(context, manyKeys, concurrency));
      limits.hot.push(await bare(context, 1, 1));
    }
    if (wanted('keys')) runs.keys.push(await drain(context, topics.many, 0, client));
    for (const [other, each] of besides) if (wanted('keys')) each.push(await drain(context, topics.many, 0, other));
    if (wanted('filled')) runs.filled.push(await drain(context, topics.many, filled, client));
    if (wanted('hot')) runs.hot.push(await drain(context, topics.one, 0, client));
  }
  const rate = (each: readonly InboxRun[]) => perS(each, events);
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
    cpuUsPerEvent: cpuUsPerEvent(runs.keys, events),
    maxRssMb: maxRssMb(all),
    ...Object.fromEntries([...besides].flatMap(([other, each]) => beside(other, each, events))),
  });
  return { rows: table(figures), figures, notes: [notesOf({ ...runs, ...Object.fromEntries(besides) }, events)] };
}

const perS = (runs: readonly InboxRun[], events: number) => middle(runs.map(({ tookMs }) => events / (tookMs / 1000)));
const cpuUsPerEvent = (runs: readonly InboxRun[], events: number) =>
  middle(runs.map(({ cpuMs }) => (cpuMs * 1000) / events));
const maxRssMb = (runs: readonly InboxRun[]) => Math.round(Math.max(...runs.map((run) => run.maxRssMb)));

function beside(client: InboxClient, runs: readonly InboxRun[], events: number): [string, number][] {
  return [
    [`${client}PerS`, perS(runs, events)],
    [`${client}CpuUsPerEvent`, cpuUsPerEvent(runs, events)],
    [`${client}MaxRssMb`, maxRssMb(runs)],
  ];
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
  const eventsPerS = await bareInserts(url, extent.events, keys, connections);
  await dropDatabase(mysqlUrl, name);
  console.error(`${name}: bare rows of ${keys} keys: ${Math.round(eventsPerS)} events/s`);
  return eventsPerS;
}

async function drain(
  { mysqlUrl, brokers, extent }: Context,
  topic: string,
  filled: number,
  client: InboxClient,
): Promise<InboxRun> {
  const name = `bench_${++databases}`;
  const url = await consumerDatabase(mysqlUrl, name, filled);
  const settings = { url, brokers, topic, doneAfter: extent.events, concurrency, client };
  const run = await runInboxProcess(settings, extent.profileFolder);
  await check(url, extent.events + filled);
  await dropDatabase(mysqlUrl, name);
  const figures = `${perS([run], extent.events)} events/s, ${cpuUsPerEvent([run], extent.events)} us/event, ${maxRssMb([run])} MB`;
  console.error(`${name}: ${client}, ${topic} into ${filled} ids: ${figures}`);
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
    ...(['kafkajs', 'platformatic'] as const).flatMap((client): typeof lines => [
      [`${client} beside it, 5,000 keys`, `${client}PerS`, 'events/s', ''],
      ['  CPU of the process', `${client}CpuUsPerEvent`, 'us/event', ''],
      ['  memory of the process (max RSS)', `${client}MaxRssMb`, 'MB', ''],
    ]),
  ];
  return figureTable(lines, figures);
}

function notesOf(runs: Record<string, InboxRun[]>, events: number): string {
  const rates = Object.entries(runs)
    .filter(([, each]) => each.length > 0)
    .map(([part, each]) => `${part} ${each.map(({ tookMs }) => Math.round(events / (tookMs / 1000))).join(', ')}`);
  return `Rounds, each by a new process on a database of its own (the table has the middle one): ${rates.join('; ')}.`;
}
