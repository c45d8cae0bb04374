import type { Context, ServiceSchema } from 'moleculer';
import { answerCurrentToken } from '../../board/current-token.ts';
import { requireArticle } from '../../board/require-article.ts';
import { boardEvents } from '../../events/board.ts';
import { callerOf, callerOrNull } from '../../identity/caller.ts';
import { likeMigrations } from '../../migrations/like/index.ts';
import { DatabaseMixin } from '../../mixins/database.ts';
import { OutboxMixin, type OutboxService } from '../../mixins/outbox.ts';
import { actionParams, Id64, type ParamsOf } from '../../validation/fields.ts';
import { KeyedBatches } from './batches.ts';
import type { LikeWish } from './decide.ts';
import { type LikeStatus, Likes } from './likes.ts';

const articleParams = actionParams({ articleId: Id64 });
type ArticleParams = ParamsOf<typeof articleParams>;
type ArticleContext = Context<ArticleParams>;

interface Request extends LikeWish {
  ctx: ArticleContext;
}

interface LikeService extends OutboxService {
  likes: Likes;
  /** By article. */
  wishes: KeyedBatches<Request, LikeStatus>;
  wish(ctx: ArticleContext, liked: boolean): Promise<LikeStatus>;
  carryOut(articleId: string, requests: readonly Request[]): Promise<LikeStatus[]>;
}

/** Likes that go into one transaction at most: a trade of commits against the time that one holds the article's rows. */
const maxBatch = 100;

/** Who likes which article. All actions answer `{ articleId, count, liked }`; errors: `ARTICLE_NOT_FOUND`. */
const schema: ServiceSchema<Record<string, unknown>, object, object, LikeService> = {
  name: 'like',
  mixins: [
    DatabaseMixin({ database: 'like', migrations: [likeMigrations] }),
    OutboxMixin({ source: 'like', catalogue: boardEvents }),
  ],

  actions: {
    /** `{ articleId }`: the caller likes it from now on, whether or not before. Errors: `TOKEN_MISSING`. */
    like: {
      params: articleParams,
      handler(ctx: ArticleContext): Promise<LikeStatus> {
        return this.wish(ctx, true);
      },
    },

    /** `{ articleId }`: the caller does not like it from now on, whether or not before. Errors: `TOKEN_MISSING`. */
    unlike: {
      params: articleParams,
      handler(ctx: ArticleContext): Promise<LikeStatus> {
        return this.wish(ctx, false);
      },
    },

    /** `{ articleId }`: `liked` is false where nobody is logged in. */
    status: {
      params: articleParams,
      async handler(ctx: ArticleContext): Promise<LikeStatus> {
        await requireArticle(ctx, ctx.params.articleId);
        return this.likes.status(ctx.params.articleId, callerOrNull(ctx)?.id ?? null);
      },
    },
  },

  methods: {
    async wish(this: LikeService, ctx: ArticleContext, liked: boolean): Promise<LikeStatus> {
      const { articleId } = ctx.params;
      const { id: userId } = callerOf(ctx);
      await requireArticle(ctx, articleId);
      const status = await this.wishes.add(articleId, { userId, liked, ctx });
      await answerCurrentToken(ctx, this.sequelize, 'like', articleId);
      return status;
    },

    /** One transaction for all; each event belongs to the trace of its own request, and each request gets the token. */
    carryOut(this: LikeService, articleId: string, requests: readonly Request[]): Promise<LikeStatus[]> {
      return this.transaction((outer) =>
        this.likes.carryOut(outer, articleId, requests, (wish, type, payload) =>
          this.transaction((tx) => tx.publish(type, articleId, () => payload), { ctx: requests[wish]!.ctx }),
        ),
      );
    },
  },

  created() {
    this.likes = new Likes(this.sequelize);
    this.wishes = new KeyedBatches({
      maxItems: maxBatch,
      run: (articleId, requests) => this.carryOut(articleId, requests),
    });
  },
};

export default schema as unknown as ServiceSchema;
