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
import type { WindowName } from '../../../ranking/windows.ts';
import { openRedis, readyWithin } from '../../../redis/client.ts';
import { testServers, uniqueName } from '../../../testing/servers.ts';
import { type ReadBuckets, readBuckets, readList, type ScoredItem } from '../hot-lists.ts';
import { Projector } from '../projector.ts';
import { type Database, openDatabase } from '../sql.ts';
import { storeKeys } from '../store-keys.ts';

export const timeZone = 'Asia/Seoul';
export const weights = { likes: 3, comments: 2, views: 1 };

interface ProjectorSettings {
  redis?: Redis;
  formula?: Formula;
  nowMs?: () => number;
  graceMs?: number;
  /** Default 10. */
  keptDays?: number;
  /** Default: Seoul. */
  timeZone?: string;
}

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
  projector(options?: ProjectorSettings): Projector;
  openRedis(url?: string): Promise<Redis>;
  /** Removes every row, as if the database had been made anew. */
  emptyDatabase(): Promise<void>;
  /** Removes every key of this test, as a flush would. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

const selectTables = `
SELECT table_name AS name FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_name <> 'schema_migration'`;

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
        scoring: { formula: options.formula ?? linear(weights), days: daysIn(options.timeZone ?? timeZone) },
        hotDays: options.keptDays ?? 10,
        nodeId: 'node-1',
        logger: { debug() {}, info() {}, warn() {}, error() {} },
        partitionLags: () => ({}),
        nowMs: options.nowMs ?? (() => nowMs),
        graceMs: options.graceMs ?? 0,
      }),
    openRedis: open,
    async emptyDatabase() {
      const tables = await database.query<{ name: string }>(selectTables);
      for (const { name } of tables) await database.write(`DELETE FROM \`${name}\``);
    },
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

export async function fromMysql(harness: Harness, query: Partial<Asked> = {}): Promise<ListedItem[]> {
  const read: ReadBuckets = (boardId, wanted) => readBuckets(harness.database, boardId, wanted);
  return (await listed(harness, query, read))!;
}

export function fromRedis(
  harness: Harness,
  projector: Projector,
  query: Partial<Asked> = {},
): Promise<ListedItem[] | null> {
  return listed(harness, query, (boardId, wanted) => projector.store.read(boardId, wanted));
}

async function listed(harness: Harness, asked: Partial<Asked>, read: ReadBuckets): Promise<ListedItem[] | null> {
  const {
    day = harness.today,
    window,
    boardId = null,
    limit = 100,
    formula = linear(weights),
    nowMs = Date.now(),
  } = asked;
  const of = window === undefined ? { day } : { window };
  const items = await readList({ of, boardId, limit }, { scoring: { formula, days: daysIn(timeZone) }, nowMs, read });
  return items?.map(({ stored: _, createdAtMs: __, ...item }) => item) ?? null;
}

/** What a reader sees of an article, but for its rank. */
export type ListedItem = Omit<ScoredItem, 'stored' | 'createdAtMs'>;

interface Asked {
  day: Day;
  /** In place of the day. */
  window: WindowName;
  boardId: string | null;
  limit: number;
  /** Default: linear. */
  formula: Formula;
  /** At which the list is to be right. Default: now. */
  nowMs: number;
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
