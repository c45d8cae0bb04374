import type { Redis } from 'ioredis';
import mysql from 'mysql2/promise';
import { databaseUrl } from '../../../config/database-url.ts';
import { type Config, loadConfig } from '../../../config/load.ts';
import type { EventEnvelope } from '../../../events/envelope.ts';
import { hotArticleMigrations } from '../../../migrations/hot-article/index.ts';
import { inboxMigrations } from '../../../migrations/inbox/index.ts';
import { migrateDatabase } from '../../../migrations/run.ts';
import { addDays, type Day, daysIn } from '../../../ranking/days.ts';
import { type Formula, linear } from '../../../ranking/formula.ts';
import { testServers, uniqueName } from '../../../testing/servers.ts';
import type { HotItem } from '../hot-table.ts';
import { readTop } from '../hot-table.ts';
import { Projector } from '../projector.ts';
import { openRedis, readyWithin } from '../redis.ts';
import { type Database, openDatabase } from '../sql.ts';
import { storeKeys } from '../store-keys.ts';

export const timeZone = 'Asia/Seoul';
export const weights = { likes: 3, comments: 2, views: 1 };

/** The hot list on real servers, with a database and Redis keys of its own, and without Kafka and background loops. */
export interface Harness {
  /** Of services on the same servers, database and keys. */
  config: Config;
  database: Database;
  redis: Redis;
  namespace: string;
  today: Day;
  /** A time on today's day, or `days` before it. */
  at(days?: number): string;
  projector(options?: { redis?: Redis; formula?: Formula; nowMs?: () => number; graceMs?: number }): Projector;
  openRedis(url?: string): Promise<Redis>;
  /** Removes every key of this test, as a flush would. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

export async function createHarness(): Promise<Harness> {
  const { mysqlUrl, redisUrl, kafkaBrokers } = testServers();
  const namespace = uniqueName('hot');
  const config = loadConfig({
    HOTBOARD_MYSQL_URL: mysqlUrl,
    HOTBOARD_REDIS_URL: redisUrl,
    HOTBOARD_KAFKA_BROKERS: kafkaBrokers.join(','),
    HOTBOARD_DATABASE_PREFIX: `${namespace}_`,
    HOTBOARD_NAMESPACE: namespace,
    HOTBOARD_TOPIC_PREFIX: namespace,
    HOTBOARD_TIME_ZONE: timeZone,
  });
  const url = databaseUrl(config, 'hot-article');
  await migrateDatabase({ url, sets: [inboxMigrations, hotArticleMigrations] });
  const database = openDatabase({ url, connections: 8 });
  const clients: Redis[] = [];
  const open = async (url = redisUrl) => {
    const client = openRedis(url, { commandMs: 2000, onState: () => {} });
    clients.push(client);
    await readyWithin(client, url.endsWith(':1') ? 100 : 5000);
    return client;
  };
  const redis = await open();
  const nowMs = Date.now();
  const today = daysIn(timeZone).dayOf(new Date(nowMs));
  const flush = async () => {
    const keys = await redis.keys(`${namespace}:*`);
    if (keys.length > 0) await redis.unlink(...keys);
  };

  return {
    config,
    database,
    redis,
    namespace,
    today,
    // noon in Seoul
    at: (days = 0) => `${addDays(today, -days)}T03:00:00.000Z`,
    projector: (options = {}) =>
      new Projector({
        redis: options.redis ?? redis,
        keys: storeKeys(namespace),
        database,
        scoring: { formula: options.formula ?? linear(weights), days: daysIn(timeZone) },
        hotDays: 10,
        nodeId: 'node-1',
        logger: { debug() {}, info() {}, warn() {}, error() {} },
        partitionLags: () => ({}),
        nowMs: options.nowMs ?? (() => nowMs),
        graceMs: options.graceMs ?? 0,
      }),
    openRedis: open,
    flush,
    async close() {
      await flush();
      for (const client of clients) client.disconnect();
      await database.close();
      await dropDatabase(mysqlUrl, new URL(url).pathname.slice(1));
    },
  };
}

/** As the inbox does it: one transaction, then what comes after the commit. */
export async function feed(harness: Harness, projector: Projector, events: readonly EventEnvelope[]): Promise<void> {
  await commitOnly(harness, projector, events);
  await projector.afterCommit(events);
}

/** As if the process had died right after the commit. */
export async function commitOnly(
  harness: Harness,
  projector: Projector,
  events: readonly EventEnvelope[],
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await harness.database.transaction((tx) => projector.apply(tx, events));
      return;
    } catch (error) {
      if ((error as { errno?: number }).errno !== 1213 || attempt === 10) throw error; // a deadlock, as the inbox takes it
    }
  }
}

export function fromMysql(harness: Harness, query: Partial<ListOf> = {}): Promise<HotItem[]> {
  return readTop(harness.database, { day: harness.today, boardId: null, limit: 100, ...query });
}

export function fromRedis(
  harness: Harness,
  projector: Projector,
  query: Partial<ListOf> = {},
): Promise<HotItem[] | null> {
  return projector.store.top({ day: harness.today, boardId: null, limit: 100, ...query });
}

interface ListOf {
  day: Day;
  boardId: string | null;
  limit: number;
}

export function idsOf(items: readonly { articleId: string }[] | null): string[] {
  return (items ?? []).map(({ articleId }) => articleId);
}

export async function rowsOf<Row>(harness: Harness, sql: string, params: unknown[] = []): Promise<Row[]> {
  return harness.database.query<Row>(sql, params);
}

async function dropDatabase(mysqlUrl: string, name: string): Promise<void> {
  const connection = await mysql.createConnection(mysqlUrl);
  await connection.query(`DROP DATABASE IF EXISTS \`${name}\``);
  await connection.end();
}
