import { Type } from '@sinclair/typebox';
import type { Redis } from 'ioredis';
import type { Context, Service, ServiceSchema } from 'moleculer';
import moleculer from 'moleculer';
import { databaseUrl } from '../../config/database-url.ts';
import { type Config, required } from '../../config/load.ts';
import { boardSources } from '../../events/board.ts';
import { topicPartitions } from '../../migrations/topics.ts';
import { daysIn, isDay, keptDays } from '../../ranking/days.ts';
import type { ReadinessCheck } from '../../telemetry/readiness.ts';
import { actionParams, Id64, type ParamsOf } from '../../validation/fields.ts';
import { validationError } from '../../validation/validator.ts';
import { Circuit } from '../hot-article/circuit.ts';
import { combineLag, lagFromMysql, lagFromRedis } from '../hot-article/consumer-lag.ts';
import { HotStore } from '../hot-article/hot-store.ts';
import { readTop } from '../hot-article/hot-table.ts';
import { type HotMetrics, moleculerMetrics } from '../hot-article/metrics.ts';
import { openRedis, readyWithin } from '../hot-article/redis.ts';
import { type Database, openDatabase } from '../hot-article/sql.ts';
import { storeKeys } from '../hot-article/store-keys.ts';
import { withDeadline } from './deadline.ts';
import { type Freshness, FreshnessGauge } from './freshness.ts';
import { HotListUnavailableError, type List, ListReader, type RankedItem } from './list-reader.ts';

const maxLimit = 100;
const defaultLimit = 10;

const topParams = actionParams({
  board: Type.Optional(Id64),
  date: Type.Optional(Type.String({ format: 'date', description: 'a day as YYYY-MM-DD' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: maxLimit })),
});

/** What `hot-list.top` answers. */
export interface HotList {
  items: RankedItem[];
  /** When the list was read from the store, ISO 8601. */
  asOf: string;
  /** The list is, or may be, behind what was written: by more than a second, or somebody could not be asked. */
  syncing: boolean;
  /** How far it is behind, as far as that is known; null where nothing is. */
  lagMs: number | null;
}

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
  freshness: FreshnessGauge;
  figures: HotMetrics;
}

/** A read of Redis takes under a millisecond; after this time MySQL is asked. */
const redisCommandMs = 200;
const mysqlStatementMs = 1000;
const redisStartMs = 500;
const connections = 4;
const sourceCallMs = 1000;

/**
 * The reading half of the hot list, on the edge: nothing here crosses Kafka. Lists come from Redis, where that is away from
 * MySQL, and where that is away too from memory.
 *
 * Action `hot-list.top { board?, date?, limit? }` → `HotList`: the best articles of a day (default: today in the configured time
 * zone), of one board or of all. Errors: `VALIDATION_ERROR` (400); `HOT_LIST_UNAVAILABLE` (503, retryable) where nothing
 * can be read and this list was never read before.
 */
export function hotListService(config: Config, options: HotListOptions = {}): ServiceSchema {
  const nowMs = options.nowMs ?? Date.now;
  const monotonicMs = () => performance.now();
  const days = daysIn(config.timeZone);
  const partitions = boardSources.flatMap((source) =>
    Array.from({ length: topicPartitions }, (_, index) => `${config.topicPrefix}.${source}/${index}`),
  );

  const schema: ServiceSchema<unknown, object, object, HotListService> = {
    name: 'hot-list',

    actions: {
      top: {
        params: topParams,
        async handler(this: HotListService, ctx: Context<ParamsOf<typeof topParams>>): Promise<HotList> {
          const { board, date, limit = defaultLimit } = ctx.params;
          const day = dayAsked(date);
          try {
            const query = { day, boardId: board ?? null, limit };
            const [list] = await Promise.all([this.lists.read(query), this.freshness.refresh()]);
            const freshness = this.freshness.of(list.from);
            this.figures.count('hot.reads.total', 1, { from: list.from });
            this.figures.gauge('hot.lag.ms', freshness.lagMs ?? -1);
            return answerOf(list, freshness, nowMs());
          } catch (error) {
            if (!(error instanceof HotListUnavailableError)) throw error;
            this.logger.warn(error.message, error.cause);
            throw new moleculer.Errors.MoleculerRetryableError(error.message, 503, error.code);
          }
        },
      },
    },

    methods: {
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
      const store = new HotStore(this.redis, storeKeys(config.namespace), config.hotDays);
      this.redisCircuit = new Circuit({ firstMs: 250, longestMs: 2000 });
      const mysqlCircuit = new Circuit({ firstMs: 250, longestMs: 2000 });
      this.lists = new ListReader({
        readRedis: (query) => store.top(query),
        readMysql: (query) => withDeadline(readTop(this.database, query), mysqlStatementMs, 'MySQL'),
        redisCircuit: this.redisCircuit,
        mysqlCircuit,
        nowMs,
        monotonicMs,
        freshMs: 20,
        remembered: 1000,
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

  /** Throws `VALIDATION_ERROR` for a day that is none, or whose list is not kept. */
  function dayAsked(date: string | undefined): string {
    const today = days.dayOf(new Date(nowMs()));
    if (date === undefined) return today;
    const kept = keptDays(today, config.hotDays);
    const allowed = `a day as YYYY-MM-DD from ${kept[0]} to ${kept.at(-1)}`;
    if (!isDay(date)) throw validationError([{ field: 'date', problem: `is ${JSON.stringify(date)}`, allowed }]);
    if (!kept.includes(date)) {
      const problem = `is ${JSON.stringify(date)}, whose list is not kept`;
      throw validationError([{ field: 'date', problem, allowed }]);
    }
    return date;
  }
}

function answerOf({ items, readAtMs, from }: List, { lagMs, syncing }: Freshness, nowMs: number): HotList {
  const asOf = new Date(readAtMs).toISOString();
  if (from !== 'memory') return { items, asOf, syncing, lagMs };
  return { items, asOf, syncing: true, lagMs: Math.max(lagMs ?? 0, nowMs - readAtMs) };
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
