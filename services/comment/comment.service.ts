import moleculer, { type Context, type ServiceSchema } from 'moleculer';
import { defaultPageSize } from '../../board/limits.ts';
import { requireArticle } from '../../board/require-article.ts';
import { boardEvents } from '../../events/board.ts';
import { callerOf } from '../../identity/caller.ts';
import { commentMigrations } from '../../migrations/comment/index.ts';
import { DatabaseMixin } from '../../mixins/database.ts';
import { OutboxMixin, type OutboxService } from '../../mixins/outbox.ts';
import { ReadModelMixin } from '../../mixins/read-model.ts';
import { type Comment, type CommentModels, defineComment } from './comment.model.ts';
import * as params from './comment.params.ts';
import { Comments } from './comments.ts';

const { Errors } = moleculer;

interface CommentService extends OutboxService<CommentModels> {
  comments: Comments;
  /** moleculer-db's readers. */
  getById(ids: string[]): Promise<unknown>;
  transformDocuments(ctx: Context, params: object, rows: unknown): Promise<unknown>;
}

/** Comments on articles, flat as yet: written with their events in one transaction, read through moleculer-db. */
const schema: ServiceSchema<Record<string, unknown>, object, object, CommentService> = {
  name: 'comment',
  mixins: [
    DatabaseMixin({
      database: 'comment',
      models: (sequelize): CommentModels => ({ Comment: defineComment(sequelize) }),
      migrations: [commentMigrations],
    }),
    OutboxMixin({ source: 'comment', catalogue: boardEvents, idempotency: {} }),
    ReadModelMixin({ model: 'Comment' }),
  ],

  actions: {
    /**
     * `{ articleId, content, parentId? }` → the comment, once for each `ctx.meta.idempotencyKey` of a user. Errors: `TOKEN_MISSING`, `ARTICLE_NOT_FOUND`, `REPLIES_NOT_SUPPORTED`
     * (400: `parentId` must be null or missing as long as comments have no tree).
     */
    create: {
      params: params.createParams,
      async handler(ctx: Context<params.CreateParams>): Promise<Comment> {
        const caller = callerOf(ctx);
        const { articleId, content, parentId = null } = ctx.params;
        if (parentId !== null) throw repliesNotSupported(parentId);
        return this.transaction((tx) => this.comments.create(tx, caller, { articleId, content }), {
          ctx,
          idempotency: { caller: caller.id },
          check: () => requireArticle(ctx, articleId),
        });
      },
    },

    /** `{ id }` → nothing. Errors: `TOKEN_MISSING`, `COMMENT_NOT_FOUND` (also when it was deleted before), `NOT_ALLOWED`. */
    delete: {
      params: params.idParams,
      async handler(ctx: Context<params.IdParams>): Promise<void> {
        const caller = callerOf(ctx);
        await this.transaction((tx) => this.comments.delete(tx, caller, ctx.params.id), { ctx });
      },
    },

    /**
     * Comments of an article, oldest first: `{ articleId, lastCommentId?, limit? }` → `{ items, lastCommentId }` with those after
     * that one; `lastCommentId` is null at the end. Errors: `ARTICLE_NOT_FOUND`.
     */
    list: {
      params: params.listParams,
      async handler(ctx: Context<params.ListParams>) {
        const { articleId, lastCommentId = '0', limit = defaultPageSize } = ctx.params;
        await requireArticle(ctx, articleId);
        const ids = await this.comments.idsAfter(articleId, lastCommentId, limit);
        const rows = ids.length === 0 ? [] : await this.getById(ids);
        const items = (await this.transformDocuments(ctx, {}, rows)) as Comment[];
        return { items: items.sort(byId), lastCommentId: ids[limit - 1] ?? null };
      },
    },

    /** `{ articleId }` → `{ articleId, count }`. Errors: `ARTICLE_NOT_FOUND`. */
    count: {
      params: params.articleParams,
      async handler(ctx: Context<params.ArticleParams>) {
        const { articleId } = ctx.params;
        await requireArticle(ctx, articleId);
        return { articleId, count: await this.comments.count(articleId) };
      },
    },
  },

  created() {
    this.comments = new Comments(this.sequelize, this.models.Comment);
  },
};

export default schema as unknown as ServiceSchema;

/** Positive decimal strings. */
function byId(a: Comment, b: Comment): number {
  return a.id.length - b.id.length || (a.id < b.id ? -1 : 1);
}

function repliesNotSupported(parentId: string): Error {
  return new Errors.MoleculerClientError(
    'Comments can not be answered yet: leave "parentId" out, or null.',
    400,
    'REPLIES_NOT_SUPPORTED',
    [{ field: 'parentId', problem: `is "${parentId}"`, allowed: 'null, or leave it out' }],
  );
}
