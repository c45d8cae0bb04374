import { setTimeout as pause } from 'node:timers/promises';
import { Type } from '@sinclair/typebox';
import type { Redis } from 'ioredis';
import type { Context, Service, ServiceSchema } from 'moleculer';
import moleculer from 'moleculer';
import { databaseUrl } from '../../config/database-url.ts';
import { type Config, required } from '../../config/load.ts';
import { boardSources } from '../../events/board.ts';
import { topicPartitions } from '../../migrations/topics.ts';
import type { Wanted } from '../../ranking/best-of.ts';
import { isDay, keptDays } from '../../ranking/days.ts';
import { daysToKeep, type ListOf, type WindowName, windowNames } from '../../ranking/windows.ts';
import { openRedis, readyWithin } from '../../redis/client.ts';
import type { ReadinessCheck } from '../../telemetry/readiness.ts';
import { actionParams, Id64, type ParamsOf } from '../../validation/fields.ts';
import { validationError } from '../../validation/validator.ts';
import { Circuit } from '../hot-article/circuit.ts';
import { combineLag, lagFromMysql, lagFromRedis } from '../hot-article/consumer-lag.ts';
import { type ListQuery, readBuckets, readList } from '../hot-article/hot-lists.ts';
import { HotStore } from '../hot-article/hot-store.ts';
import { type HotMetrics, moleculerMetrics } from '../hot-article/metrics.ts';
import { scoringOf } from '../hot-article/scoring-of.ts';
import { type Database, openDatabase } from '../hot-article/sql.ts';
import { storeKeys } from '../hot-article/store-keys.ts';
import { answerOf, type HotList } from './answer.ts';
import { Arrivals, readVersions, writesOf } from './arrival.ts';
import { withDeadline } from './deadline.ts';
import { FreshnessGauge } from './freshness.ts';
import { HotListUnavailableError, type List, ListReader } from './list-reader.ts';

export type { HotList } from './answer.ts';

const maxLimit = 100;
const defaultLimit = 10;

const topParams = actionParams({
  board: Type.Optional(Id64),
  date: Type.Optional(Type.String({ format: 'date', description: 'a day as YYYY-MM-DD' })),
  window: Type.Optional(
    Type.Unsafe<WindowName>(Type.String({ enum: [...windowNames], description: windowNames.join(', ') })),
  ),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: maxLimit })),
  explain: Type.Optional(Type.Boolean()),
  after: Type.Optional(Type.String({ minLength: 1, maxLength: 8192 })),
  waitMs: Type.Optional(Type.Integer({ minimum: 0, maximum: 86_400_000 })),
});

export interface HotListOptions {
  /**
   * Ask producers on other nodes for their unsent events as well. Default false: that call crosses Kafka, and a read must not
   * depend on it; a source without a service on this node then counts as not known.
   */
  askRemoteSources?: boolean;
  /** Time of day, ms. Default: the system's. */
  nowMs?(): number;
}

interface HotListService extends Service {
  redis: Redis;
  database: Database;
  redisCircuit: Circuit;
  lists: ListReader;
  arrivals: Arrivals;
  freshness: FreshnessGauge;
  figures: HotMetrics;
  readTruth(query: ListQuery): Promise<List>;
}

/** A read of Redis takes under a millisecond; after this time MySQL is asked. */
const redisCommandMs = 200;
const mysqlStatementMs = 1000;
const redisStartMs = 500;
const connections = 4;
const sourceCallMs = 1000;

/** How long a list is given again without reading. */
const freshMs = 20;
/** With a token and without a word about waiting. */
const defaultWaitMs = 1000;
const arrivalEveryMs = 20;
const arrivalWaiters = 200;

/**
 * The reading half of the hot list, on the edge: nothing here crosses Kafka. Lists come from Redis, where that is away from
 * MySQL, and where that is away too from memory.
 *
 * Action `hot-list.top { board?, date? | window?, limit?, explain?, after?, waitMs? }` → `HotList`: the best articles of a
 * calendar day (default: today in the configured time zone), or of those made in the last hour, 24 hours, 7 or 30 days; of
 * one board or of all. `explain`: with what each score is made of. `after`: what writes answered as their consistency token,
 * several with commas; the answer then has what they wrote, or is `syncing` where that did not arrive within `waitMs`
 * (default 1,000; at most `HOTBOARD_HOT_WAIT_MS`). Errors: `VALIDATION_ERROR` (400); `HOT_LIST_UNAVAILABLE` (503, retryable)
 * where nothing can be read and this list was never read before.
 */
export function hotListService(config: Config, options: HotListOptions = {}): ServiceSchema {
  const nowMs = options.nowMs ?? Date.now;
  const monotonicMs = () => performance.now();
  const scoring = scoringOf(config);
  // the call itself has its own time limit, and the list is read after the wait
  const longestWaitMs = Math.max(0, Math.min(config.hotWaitMs, config.requestTimeoutMs - 2 * mysqlStatementMs));
  const partitions = boardSources.flatMap((source) =>
    Array.from({ length: topicPartitions }, (_, index) => `${config.topicPrefix}.${source}/${index}`),
  );

  const schema: ServiceSchema<unknown, object, object, HotListService> = {
    name: 'hot-list',

    actions: {
      top: {
        params: topParams,
        async handler(this: HotListService, ctx: Context<ParamsOf<typeof topParams>>): Promise<HotList> {
          const { board, date, window, limit = defaultLimit, explain = false, after, waitMs } = ctx.params;
          const query = { of: listAsked(date, window), boardId: board ?? null, limit };
          const writes = after === undefined ? [] : writesOf(after);
          try {
            const arrived = await this.arrivals.arrived(writes, Math.min(waitMs ?? defaultWaitMs, longestWaitMs));
            const reading = arrived && writes.length > 0 ? this.readTruth(query) : this.lists.read(query);
            const [list] = await Promise.all([reading, this.freshness.refresh()]);
            const freshness = this.freshness.of(list.from);
            this.figures.count('hot.reads.total', 1, { from: list.from });
            this.figures.gauge('hot.lag.ms', freshness.lagMs ?? -1);
            const behind = !arrived || (writes.length > 0 && list.from !== 'mysql');
            return answerOf(list, behind ? { ...freshness, syncing: true } : freshness, {
              nowMs: nowMs(),
              formula: scoring.formula,
              explained: explain,
            });
          } catch (error) {
            if (!(error instanceof HotListUnavailableError)) throw error;
            this.logger.warn(error.message, error.cause);
            throw new moleculer.Errors.MoleculerRetryableError(error.message, 503, error.code);
          }
        },
      },
    },

    methods: {
      /** Redis may be behind MySQL: a list for somebody who waited for his write comes from there, if it can. */
      readTruth(this: HotListService, query: ListQuery): Promise<List> {
        return this.lists.readTruth(query).catch(() => this.lists.read(query));
      },

      readiness(this: HotListService): ReadinessCheck[] {
        // without Redis it goes on with MySQL, without both with what it has
        const detail = this.redisCircuit.isOpen ? 'Redis is away; lists come from MySQL' : undefined;
        return [{ name: 'hot list', ready: true, ...(detail === undefined ? {} : { detail }) }];
      },
    },

    created(this: HotListService) {
      this.figures = moleculerMetrics(this.broker);
      this.redis = openRedis(required(config, 'redisUrl'), {
        commandMs: redisCommandMs,
        onState: (state, error) => {
          if (state === 'ready') this.logger.info('Redis is there.');
          else this.logger.warn(`Redis is away; lists come from MySQL (${error?.message ?? 'closed'}).`);
        },
      });
      this.database = openDatabase({ url: databaseUrl(config, 'hot-article'), connections });
      const store = new HotStore(this.redis, storeKeys(config.namespace), daysToKeep(config.hotDays));
      this.redisCircuit = new Circuit({ firstMs: 250, longestMs: 2000 });
      const mysqlCircuit = new Circuit({ firstMs: 250, longestMs: 2000 });
      this.lists = new ListReader({
        readRedis: (query, nowMs) =>
          readList(query, { scoring, nowMs, read: (boardId, wanted) => store.read(boardId, wanted) }),
        readMysql: async (query, nowMs) => {
          const read = (boardId: string | null, wanted: readonly Wanted[]) =>
            readBuckets(this.database, boardId, wanted);
          return (await withDeadline(readList(query, { scoring, nowMs, read }), mysqlStatementMs, 'MySQL'))!;
        },
        redisCircuit: this.redisCircuit,
        mysqlCircuit,
        nowMs,
        monotonicMs,
        freshMs,
        remembered: 1000,
      });
      this.arrivals = new Arrivals({
        readVersions: (articleIds) =>
          mysqlCircuit.run(() => withDeadline(readVersions(this.database, articleIds), mysqlStatementMs, 'MySQL')),
        everyMs: arrivalEveryMs,
        waiters: arrivalWaiters,
        monotonicMs,
        pause,
      });
      this.freshness = new FreshnessGauge({
        sources: boardSources,
        sourceLag: (source) => sourceLag(this, source, options.askRemoteSources ?? false),
        consumerLag: async () => {
          const reports = await lagFromRedis(store).catch(() =>
            withDeadline(lagFromMysql(this.database), mysqlStatementMs, 'MySQL'),
          );
          return combineLag(reports, partitions, 3000);
        },
        monotonicMs,
        everyMs: 500,
        waitMs: 100,
        trustedMs: 3000,
        syncingAboveMs: 1000,
      });
    },

    async started(this: HotListService) {
      await readyWithin(this.redis, redisStartMs);
    },

    async stopped(this: HotListService) {
      this.redis.disconnect();
      await this.database.close();
    },
  };
  return schema as ServiceSchema;

  /** Throws `VALIDATION_ERROR` for a day that is none, or whose list can't be asked for. */
  function listAsked(date: string | undefined, window: WindowName | undefined): ListOf {
    const today = scoring.days.dayOf(new Date(nowMs()));
    if (window !== undefined) {
      if (date === undefined) return { window };
      const problem = 'is given beside a date';
      throw validationError([{ field: 'window', problem, allowed: 'a window or a date, not both' }]);
    }
    if (date === undefined) return { day: today };
    const kept = keptDays(today, config.hotDays);
    const allowed = `a day as YYYY-MM-DD from ${kept[0]} to ${kept.at(-1)}`;
    if (!isDay(date)) throw validationError([{ field: 'date', problem: `is ${JSON.stringify(date)}`, allowed }]);
    if (!kept.includes(date)) {
      const problem = `is ${JSON.stringify(date)}, whose list is not kept`;
      throw validationError([{ field: 'date', problem, allowed }]);
    }
    return { day: date };
  }
}

async function sourceLag(service: Service, source: string, remote: boolean): Promise<number | null> {
  const { broker } = service;
  const action = `${source}.outboxLag`;
  const endpoints = broker.registry.getActionEndpoints(action) as { hasLocal(): boolean } | undefined;
  const local = endpoints?.hasLocal() === true;
  if (!local && !remote) return null;
  const options = { timeout: sourceCallMs, retries: 0, ...(local ? { nodeID: broker.nodeID } : {}) };
  const { oldestUnsentAgeMs } = (await broker.call(action, {}, options)) as { oldestUnsentAgeMs: number };
  return oldestUnsentAgeMs;
}
