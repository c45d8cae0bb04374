import type { Context, ServiceSchema } from 'moleculer';
import { answerCurrentToken } from '../../board/current-token.ts';
import { requireArticle } from '../../board/require-article.ts';
import { boardEvents } from '../../events/board.ts';
import { callerOf, callerOrNull } from '../../identity/caller.ts';
import { likeMigrations } from '../../migrations/like/index.ts';
import { DatabaseMixin } from '../../mixins/database.ts';
import { OutboxMixin, type OutboxService } from '../../mixins/outbox.ts';
import { actionParams, Id64, type ParamsOf } from '../../validation/fields.ts';
import { type LikeStatus, Likes } from './likes.ts';

interface LikeService extends OutboxService {
  likes: Likes;
}

const articleParams = actionParams({ articleId: Id64 });
type ArticleParams = ParamsOf<typeof articleParams>;

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
      async handler(ctx: Context<ArticleParams>): Promise<LikeStatus> {
        const { articleId } = ctx.params;
        const { id: userId } = callerOf(ctx);
        await requireArticle(ctx, articleId);
        const status = await this.transaction((tx) => this.likes.like(tx, { articleId, userId }), { ctx });
        await answerCurrentToken(ctx, this.sequelize, 'like', articleId);
        return status;
      },
    },

    /** `{ articleId }`: the caller does not like it from now on, whether or not before. Errors: `TOKEN_MISSING`. */
    unlike: {
      params: articleParams,
      async handler(ctx: Context<ArticleParams>): Promise<LikeStatus> {
        const { articleId } = ctx.params;
        const { id: userId } = callerOf(ctx);
        await requireArticle(ctx, articleId);
        const status = await this.transaction((tx) => this.likes.unlike(tx, { articleId, userId }), { ctx });
        await answerCurrentToken(ctx, this.sequelize, 'like', articleId);
        return status;
      },
    },

    /** `{ articleId }`: `liked` is false where nobody is logged in. */
    status: {
      params: articleParams,
      async handler(ctx: Context<ArticleParams>): Promise<LikeStatus> {
        await requireArticle(ctx, ctx.params.articleId);
        return this.likes.status(ctx.params.articleId, callerOrNull(ctx)?.id ?? null);
      },
    },
  },

  created() {
    this.likes = new Likes(this.sequelize);
  },
};

export default schema as unknown as ServiceSchema;
