import { Type } from '@sinclair/typebox';
import type { Redis } from 'ioredis';
import type { Context, Service, ServiceSchema } from 'moleculer';
import moleculer from 'moleculer';
import { databaseUrl } from '../../config/database-url.ts';
import { type Config, required } from '../../config/load.ts';
import { boardEvents, boardSources } from '../../events/board.ts';
import type { KafkaPort } from '../../kafka/port.ts';
import { InboxMixin, type InboxMixinOptions, type InboxStatus } from '../../mixins/inbox.ts';
import { daysToKeep } from '../../ranking/windows.ts';
import { openRedis, readyWithin } from '../../redis/client.ts';
import { actionParams } from '../../validation/fields.ts';
import { validationError } from '../../validation/validator.ts';
import { moleculerMetrics } from './metrics.ts';
import { Projector } from './projector.ts';
import { RebuildError } from './rebuilder.ts';
import { scoringOf } from './scoring-of.ts';
import { type Database, openDatabase } from './sql.ts';
import { storeKeys } from './store-keys.ts';

const { MoleculerRetryableError } = moleculer.Errors;

interface HotArticleService extends Service {
  redis: Redis;
  database: Database;
  projector: Projector;
  /** Set when the inbox's mixin has started. */
  inbox?: unknown;
  inboxStatus(): InboxStatus;
}

const redisCommandMs = 2000;
const redisStartMs = 1000;
/** Beside the inbox's own: the healer, the rebuild (two at a time), marks, the lag. */
const connections = 5;
const rebuildTimeoutMs = 60_000;
const rebuildLockWaitMs = 5000;

/**
 * The projector of the hot list: consumes the four topics into the database `hot_article` and keeps the lists in Redis.
 *
 * Actions: `hot-article.rebuild { day? }` → `RebuildReport`: the lists of one day or of all kept days are built anew from
 * MySQL, while serving and while events arrive. Errors: `VALIDATION_ERROR` (400), `REBUILD_RUNNING` (409, retryable),
 * `REBUILD_INTERRUPTED` and `HOT_STORE_UNAVAILABLE` (503, retryable).
 * `hot-article.status` → `{ dirty, behindMs }`: rows that Redis may not have, and for how long.
 */
export function hotArticleService(
  config: Config,
  options: { kafka?: (service: Service) => KafkaPort } = {},
): ServiceSchema {
  const project = {
    handleBatch(this: HotArticleService, tx, events) {
      return this.projector.apply(tx, events);
    },
  } as InboxMixinOptions['handlers'][string];

  const schema: ServiceSchema<unknown, object, object, HotArticleService> = {
    name: 'hot-article',
    mixins: [
      InboxMixin({
        group: 'hot-article',
        mode: 'state',
        topics: ({ topicPrefix }) => boardSources.map((source) => `${topicPrefix}.${source}`),
        catalogue: boardEvents,
        database: 'hot-article',
        // one object for all types, so that a batch is one call
        handlers: Object.fromEntries(boardEvents.definitions.map(({ type }) => [type, project])),
        afterCommit(events) {
          return (this as HotArticleService).projector.afterCommit(events);
        },
        config,
        kafka: options.kafka,
      }) as ServiceSchema,
      // after the inbox in this list: started before it, and stopped when it is drained
      projectorParts(config) as ServiceSchema,
    ],

    actions: {
      rebuild: {
        params: actionParams({
          day: Type.Optional(Type.String({ format: 'date', description: 'a day as YYYY-MM-DD' })),
        }),
        // the typings do not know it; the time-out middleware takes it in place of `requestTimeout`
        ...({ timeout: rebuildTimeoutMs } as object),
        async handler(this: HotArticleService, ctx: Context<{ day?: string }>) {
          const { day } = ctx.params;
          const kept = this.projector.rebuilder.keptDays();
          if (day !== undefined && !kept.includes(day)) {
            const problem = `is ${JSON.stringify(day)}, whose list is not kept`;
            throw validationError([{ field: 'day', problem, allowed: `${kept[0]} to ${kept.at(-1)}` }]);
          }
          try {
            return await this.projector.rebuild({ days: day ? [day] : undefined, lockWaitMs: rebuildLockWaitMs });
          } catch (error) {
            throw rebuildFailure(this, error);
          }
        },
      },
      status: {
        handler(this: HotArticleService) {
          return this.projector.status();
        },
      },
    },
  };
  return schema as ServiceSchema;
}

/** What the projector works with, from `created` to `stopped`. */
function projectorParts(config: Config): Partial<ServiceSchema> {
  const parts: Partial<ServiceSchema<unknown, object, object, HotArticleService>> = {
    created(this: HotArticleService) {
      this.redis = openRedis(required(config, 'redisUrl'), {
        commandMs: redisCommandMs,
        onState: (state, error) => {
          if (state === 'away') this.logger.warn(`Redis is away; MySQL goes on (${error?.message ?? 'closed'}).`);
          else this.logger.info('Redis is there.');
          if (state === 'ready') this.projector.wake();
        },
      });
      this.database = openDatabase({ url: databaseUrl(config, 'hot-article'), connections });
      this.projector = new Projector({
        redis: this.redis,
        keys: storeKeys(config.namespace),
        database: this.database,
        scoring: scoringOf(config),
        hotDays: daysToKeep(config.hotDays),
        nodeId: this.broker.nodeID,
        logger: this.logger,
        metrics: moleculerMetrics(this.broker),
        partitionLags: () => (this.inbox === undefined ? {} : knownLags(this.inboxStatus())),
      });
    },

    async started(this: HotArticleService) {
      await readyWithin(this.redis, redisStartMs);
      this.projector.start();
    },

    async stopped(this: HotArticleService) {
      await this.projector.stop();
      this.redis.disconnect();
      await this.database.close();
    },
  };
  return parts as Partial<ServiceSchema>;
}

function knownLags(status: InboxStatus): Record<string, number> {
  const lags: Record<string, number> = {};
  for (const { topic, partition, lagMs } of status.partitions) {
    if (lagMs !== null) lags[`${topic}/${partition}`] = lagMs;
  }
  return lags;
}

function rebuildFailure(service: Service, error: unknown): Error {
  if (error instanceof RebuildError) {
    return new MoleculerRetryableError(error.message, error.code === 'REBUILD_RUNNING' ? 409 : 503, error.code);
  }
  service.logger.error('The rebuild of the hot lists failed', error);
  const message = 'Redis or MySQL is away: the lists stay as they are. Try again later.';
  return new MoleculerRetryableError(message, 503, 'HOT_STORE_UNAVAILABLE');
}
