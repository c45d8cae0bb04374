import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { databaseUrl } from '../config/database-url.ts';
import { type Config, loadConfig, required } from '../config/load.ts';
import { boardDatabases } from '../migrations/databases.ts';
import { migrateDatabase } from '../migrations/run.ts';
import { daysToKeep } from '../ranking/windows.ts';
import { openRedis, readyWithin } from '../redis/client.ts';
import { Projector } from '../services/hot-article/projector.ts';
import { scoringOf } from '../services/hot-article/scoring-of.ts';
import { openDatabase } from '../services/hot-article/sql.ts';
import { storeKeys } from '../services/hot-article/store-keys.ts';
import { type Bench, type BenchResult, percentile } from './bench.ts';
import { fillArticles } from './hot/articles.ts';
import { type Load, load } from './hot/load.ts';
import { onOwnServers, optionsOf } from './servers.ts';

const connections = 100;
const warmUpS = 4;
const fixedPerS = 4000;

/**
 * Reads of the hot list at the gateway of one edge, beside moleculer-web with an action that answers the same, and the rebuild of
 * the lists. Options: `--articles=100000`, `--seconds=8` (each load), `--only=rebuild`, `--profile=FOLDER` (a CPU profile of the edge).
 */
const bench: Bench = {
  title: 'The hot list: reads at the gateway of one edge, 100 connections; rebuild of a day',
  async run(options) {
    const given = optionsOf(options);
    return onOwnServers('hot', ({ environment }, env) => {
      const settings = {
        ...env,
        ...environment,
        HOTBOARD_JWT_SECRET: 'a secret of the bench, long enough for HS256',
        HOTBOARD_HTTP_PORT: '0',
        HOTBOARD_OPS_PORT: '0',
        HOTBOARD_LOG_LEVEL: 'warn',
      };
      return measure(settings, {
        articles: Number(given.articles ?? 100_000),
        seconds: Number(given.seconds ?? 8),
        only: given.only,
        profileFolder: given.profile,
      });
    });
  },
};

export default bench;

interface Extent {
  articles: number;
  seconds: number;
  only: string | undefined;
  profileFolder: string | undefined;
}

async function measure(env: NodeJS.ProcessEnv, extent: Extent): Promise<BenchResult> {
  const { articles, seconds, only, profileFolder } = extent;
  const config = loadConfig(env);
  for (const { name, sets } of boardDatabases) {
    await migrateDatabase({ url: databaseUrl(config, name), sets, buckets: config.buckets });
  }
  const rebuildMs = await rebuilds(config, articles);
  const rebuilt = {
    rebuildArticles: articles,
    rebuildMs: Math.round(percentile(rebuildMs, 0.5)),
    rebuildMaxMs: Math.round(Math.max(...rebuildMs)),
  };
  if (only === 'rebuild') return { rows: [rebuildRow(rebuilt)], figures: rebuilt };
  const edge = await startProcess(join(import.meta.dirname, '../cluster/node.ts'), [], env, profileFolder);
  console.error(`the edge listens on port ${edge.httpPort}`);
  try {
    const url = (path: string) => `http://127.0.0.1:${edge.httpPort}/v1/hot-articles${path}`;
    const list = await (await fetch(url(''))).json();
    const limit = await startProcess(join(import.meta.dirname, 'hot/limit-process.ts'), [JSON.stringify(list)], env);
    const limitUrl = `http://127.0.0.1:${limit.httpPort}/v1/hot-articles`;
    for (const address of [url(''), limitUrl]) await load(address, { connections, seconds: warmUpS });
    const bare = await load(limitUrl, { connections, seconds });
    const most = await load(url(''), { connections, seconds });
    const fixed = await load(url(''), { connections, seconds, perS: fixedPerS });
    const week = await load(url('?window=week&board=3'), { connections, seconds });
    await limit.stop();
    const figures = {
      ...named('list', most),
      ...named('atRate', fixed),
      ...named('windowOfBoard', week),
      ...named('limit', bare),
      ofLimit: Math.round((most.perS / bare.perS) * 100) / 100,
      ...rebuilt,
    };
    return { rows: [...table(figures), rebuildRow(rebuilt)], figures };
  } finally {
    await edge.stop();
  }
}

/** Fills a day and builds its lists three times. */
async function rebuilds(config: Config, articles: number): Promise<number[]> {
  const scoring = scoringOf(config);
  const database = openDatabase({ url: databaseUrl(config, 'hot-article'), connections: 5 });
  const redis = openRedis(required(config, 'redisUrl'), { commandMs: 5000, onState() {} });
  await readyWithin(redis, 5000);
  const day = scoring.days.dayOf(new Date());
  await fillArticles(database, day, new Date().toISOString().slice(0, 23).replace('T', ' '), articles);
  console.error(`${articles} articles are there`);
  const projector = new Projector({
    redis,
    keys: storeKeys(config.namespace),
    database,
    scoring,
    hotDays: daysToKeep(config.hotDays),
    nodeId: 'bench',
    logger: { debug() {}, info() {}, warn: console.error, error: console.error },
    partitionLags: () => ({}),
  });
  await projector.healer.heal();
  const tookMs: number[] = [];
  for (let round = 0; round < 3; round++) {
    const report = await projector.rebuild({});
    if (report.articles !== articles) throw new Error(`${report.articles} of ${articles} articles were built.`);
    tookMs.push(report.tookMs);
    console.error(`rebuilt in ${report.tookMs} ms`);
  }
  redis.disconnect();
  await database.close();
  return tookMs;
}

/** A process that says its `httpPort` when it is ready. */
async function startProcess(file: string, args: string[], env: NodeJS.ProcessEnv, profileFolder?: string) {
  const profile = profileFolder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`];
  const child: ChildProcess = fork(file, args, { env, execArgv: [...process.execArgv, ...profile] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const httpPort = await new Promise<number>((resolve, reject) => {
    child.once('message', (message) => resolve((message as { httpPort: number }).httpPort));
    child.once('exit', (code) => reject(new Error(`${file} ended (${code}); see above.`)));
  });
  return {
    httpPort,
    async stop() {
      child.disconnect();
      await ended;
    },
  };
}

function named(name: string, { perS, p50Ms, p99Ms, maxMs, failed }: Load): Record<string, number> {
  return {
    [`${name}PerS`]: Math.round(perS),
    [`${name}P50Ms`]: p50Ms,
    [`${name}P99Ms`]: p99Ms,
    [`${name}MaxMs`]: maxMs,
    [`${name}Failed`]: failed,
  };
}

function table(figures: Record<string, number>): BenchResult['rows'] {
  const row = (what: string, name: string, goal: string) => ({
    what,
    'requests/s': figures[`${name}PerS`]!,
    'p50 ms': figures[`${name}P50Ms`]!,
    'p99 ms': figures[`${name}P99Ms`]!,
    failed: figures[`${name}Failed`]!,
    goal,
  });
  return [
    row('limit: moleculer-web, the same bytes', 'limit', ''),
    row("the day's list", 'list', '8,000/s'),
    row(`the day's list at ${fixedPerS}/s`, 'atRate', 'p99 < 20 ms'),
    row('a week of one board', 'windowOfBoard', ''),
  ];
}

function rebuildRow({ rebuildArticles, rebuildMs }: { rebuildArticles: number; rebuildMs: number }) {
  return { what: `rebuild of ${rebuildArticles} articles, ms`, ms: rebuildMs, goal: '5,000 ms' };
}
