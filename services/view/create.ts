import type { Redis } from 'ioredis';
import type { Context, ServiceSchema } from 'moleculer';
import { requireArticle } from '../../board/require-article.ts';
import { loadConfig, required } from '../../config/load.ts';
import { boardEvents } from '../../events/board.ts';
import { callerOf } from '../../identity/caller.ts';
import { viewMigrations } from '../../migrations/view/index.ts';
import { DatabaseMixin } from '../../mixins/database.ts';
import { OutboxMixin, type OutboxService } from '../../mixins/outbox.ts';
import { openRedis, readyWithin } from '../../redis/client.ts';
import { actionParams, Id64, type ParamsOf } from '../../validation/fields.ts';
import { ViewFlusher } from './flusher.ts';
import { redisViewStore, type ViewStore } from './view-store.ts';
import { Views } from './views.ts';

export interface ViewServiceOptions {
  /** After so long a claim of another node counts as left behind. Default 15,000. */
  claimTimeoutMs?: number;
}

export interface ViewService extends OutboxService {
  redis: Redis;
  store: ViewStore;
  views: Views;
  flusher: ViewFlusher;
  purgeTimer: NodeJS.Timeout;
}

const articleParams = actionParams({ articleId: Id64 });
type ArticleParams = ParamsOf<typeof articleParams>;

/**
 * Nobody waits longer for Redis: a view that can't be counted now is answered 503. Long enough for a process that a busy machine
 * holds up, which has the answer and has not read it.
 */
const redisCommandMs = 2000;
const redisStartMs = 1000;
const purgeEveryMs = 3_600_000;

/**
 * Views of articles: counted in Redis, once for each user within `HOTBOARD_VIEW_WINDOW_MS`, and written to MySQL with their
 * event by count or by time. Where Redis' data is lost, the counts in MySQL stand, short of the views that were not written
 * yet (at most `HOTBOARD_VIEW_FLUSH_MS` old), and users may count anew within the window.
 */
export function createViewService({ claimTimeoutMs = 15_000 }: ViewServiceOptions = {}): ServiceSchema {
  const schema: ServiceSchema<Record<string, unknown>, object, object, ViewService> = {
    name: 'view',
    mixins: [
      DatabaseMixin({ database: 'view', migrations: [viewMigrations] }),
      OutboxMixin({ source: 'view', catalogue: boardEvents }),
    ],

    actions: {
      /**
       * `{ articleId }` → `{ articleId, counted }`: the caller looked at the article; `counted` is false where that counted
       * lately. Not committed yet when it is answered. Errors: `TOKEN_MISSING`, `ARTICLE_NOT_FOUND`, `VIEWS_UNAVAILABLE`
       * (503: Redis is away; trying again is safe).
       */
      record: {
        params: articleParams,
        async handler(ctx: Context<ArticleParams>) {
          const { articleId } = ctx.params;
          const { id: userId } = callerOf(ctx);
          await requireArticle(ctx, articleId);
          const views = await this.store.record(articleId, userId);
          this.flusher.recorded(articleId, views);
          return { articleId, counted: views > 0 };
        },
      },

      /** `{ articleId }` → `{ articleId, count }`: the views that are written. Errors: `ARTICLE_NOT_FOUND`. */
      count: {
        params: articleParams,
        async handler(ctx: Context<ArticleParams>) {
          const { articleId } = ctx.params;
          await requireArticle(ctx, articleId);
          return { articleId, count: await this.views.count(articleId) };
        },
      },
    },

    created() {
      const config = loadConfig(process.env);
      this.redis = openRedis(required(config, 'redisUrl'), {
        commandMs: redisCommandMs,
        onState: (state, error) => {
          if (state === 'ready') this.logger.info('Redis is there.');
          else this.logger.warn(`Redis is away: views are refused until it is back (${error?.message ?? 'closed'}).`);
        },
      });
      this.store = redisViewStore(this.redis, { namespace: config.namespace, windowMs: config.viewWindowMs });
      this.views = new Views(this.sequelize, (work) => this.transaction(work));
      this.flusher = new ViewFlusher({
        store: this.store,
        write: (gathered) => this.views.write(gathered),
        flushCount: config.viewFlushCount,
        flushMs: config.viewFlushMs,
        claimTimeoutMs,
        logger: this.logger,
      });
    },

    async started() {
      await readyWithin(this.redis, redisStartMs);
      this.flusher.start();
      const purge = () =>
        this.views.purge().catch((error) => this.logger.warn('Old flushes could not be purged.', error));
      this.purgeTimer = setInterval(purge, purgeEveryMs).unref();
    },

    async stopped() {
      clearInterval(this.purgeTimer);
      await this.flusher?.stop();
      this.redis?.disconnect();
    },
  };
  return schema as unknown as ServiceSchema;
}
