import type { Context, ServiceSchema } from 'moleculer';
import { answerCurrentToken } from '../../board/current-token.ts';
import { articleNotFound } from '../../board/errors.ts';
import { defaultPageSize } from '../../board/limits.ts';
import { boardEvents } from '../../events/board.ts';
import { callerOf } from '../../identity/caller.ts';
import { articleMigrations } from '../../migrations/article/index.ts';
import { DatabaseMixin } from '../../mixins/database.ts';
import { OutboxMixin, type OutboxService } from '../../mixins/outbox.ts';
import { ReadModelMixin } from '../../mixins/read-model.ts';
import { validationError } from '../../validation/validator.ts';
import { type Article, type ArticleModels, defineArticle } from './article.model.ts';
import * as params from './article.params.ts';
import { Articles } from './articles.ts';

interface ArticleService extends OutboxService<ArticleModels> {
  articles: Articles;
  /** moleculer-db's readers. */
  getById(id: string | string[]): Promise<unknown>;
  transformDocuments(ctx: Context, params: { fields?: string[] }, rows: unknown): Promise<unknown>;
  articlesOf(ctx: Context, ids: string[]): Promise<ListedArticle[]>;
}

/** An article in a list: without its content. */
export type ListedArticle = Omit<Article, 'content'>;

const listedFields = ['id', 'boardId', 'writerId', 'title', 'createdAt', 'modifiedAt'];

/** Articles: written with their events in one transaction, read through moleculer-db. */
const schema: ServiceSchema<Record<string, unknown>, object, object, ArticleService> = {
  name: 'article',
  mixins: [
    DatabaseMixin({
      database: 'article',
      models: (sequelize): ArticleModels => ({ Article: defineArticle(sequelize) }),
      migrations: [articleMigrations],
    }),
    OutboxMixin({ source: 'article', catalogue: boardEvents, idempotency: {} }),
    ReadModelMixin({ model: 'Article' }),
  ],

  actions: {
    /** `{ boardId, title, content }` → the article, once for each `ctx.meta.idempotencyKey` of a user. Errors: `TOKEN_MISSING`. */
    create: {
      params: params.createParams,
      handler(ctx: Context<params.CreateParams>): Promise<Article> {
        const caller = callerOf(ctx);
        return this.transaction((tx) => this.articles.create(tx, caller, ctx.params), {
          ctx,
          idempotency: { caller: caller.id },
        });
      },
    },

    /** `{ id, title, content }` → the article. Errors: `TOKEN_MISSING`, `ARTICLE_NOT_FOUND`, `NOT_ALLOWED`. */
    edit: {
      params: params.editParams,
      async handler(ctx: Context<params.EditParams>): Promise<Article> {
        const caller = callerOf(ctx);
        const article = await this.transaction((tx) => this.articles.edit(tx, caller, ctx.params), { ctx });
        await answerCurrentToken(ctx, this.sequelize, 'article', article.id);
        return article;
      },
    },

    /** `{ id }` → nothing. Errors: `TOKEN_MISSING`, `ARTICLE_NOT_FOUND` (also when it was deleted before), `NOT_ALLOWED`. */
    delete: {
      params: params.idParams,
      async handler(ctx: Context<params.IdParams>): Promise<void> {
        const caller = callerOf(ctx);
        await this.transaction((tx) => this.articles.delete(tx, caller, ctx.params.id), { ctx });
      },
    },

    /** `{ id }` → the article. Errors: `ARTICLE_NOT_FOUND`. */
    get: {
      params: params.idParams,
      async handler(ctx: Context<params.IdParams>): Promise<Article> {
        const row = await this.getById(ctx.params.id);
        if (!row) throw articleNotFound(ctx.params.id);
        return this.transformDocuments(ctx, {}, row) as Promise<Article>;
      },
    },

    /**
     * Articles of a board, newest first, without their contents. `{ boardId, page, pageSize }` →
     * `{ items, page, pageSize, count }`, where `count` goes no further than ten pages around need; `{ boardId, lastArticleId,
     * pageSize }` → `{ items, lastArticleId }` with those older than that one, `lastArticleId` null at the end.
     */
    list: {
      params: params.listParams,
      async handler(ctx: Context<params.ListParams>) {
        const { boardId, page, pageSize = defaultPageSize, lastArticleId } = ctx.params;
        if (lastArticleId !== undefined) {
          if (page !== undefined) {
            throw validationError([{ field: 'page', problem: 'is given with lastArticleId', allowed: 'one of them' }]);
          }
          const ids = await this.articles.idsBefore(boardId, lastArticleId, pageSize);
          return { items: await this.articlesOf(ctx, ids), lastArticleId: ids[pageSize - 1] ?? null };
        }
        const wanted = { page: page ?? 1, pageSize };
        const [ids, count] = await Promise.all([
          this.articles.pageIds(boardId, wanted),
          this.articles.countAround(boardId, wanted),
        ]);
        return { items: await this.articlesOf(ctx, ids), ...wanted, count };
      },
    },

    /** `{ boardId }` → `{ boardId, count }`: all articles of a board. */
    count: {
      params: params.boardParams,
      async handler(ctx: Context<params.BoardParams>) {
        const { boardId } = ctx.params;
        return { boardId, count: await this.articles.count(boardId) };
      },
    },

    /** `{ id }` → `{ exists }`. For the other services of the board. */
    exists: {
      visibility: 'public',
      params: params.idParams,
      async handler(ctx: Context<params.IdParams>) {
        return { exists: await this.articles.exists(ctx.params.id) };
      },
    },
  },

  methods: {
    /** Rows of these ids in the ids' order; one that was deleted meanwhile is left out. */
    async articlesOf(this: ArticleService, ctx: Context, ids: string[]): Promise<ListedArticle[]> {
      if (ids.length === 0) return [];
      const rows = await this.getById(ids);
      const articles = (await this.transformDocuments(ctx, { fields: listedFields }, rows)) as ListedArticle[];
      const byId = new Map(articles.map((article) => [article.id, article]));
      return ids.flatMap((id) => byId.get(id) ?? []);
    },
  },

  created() {
    this.articles = new Articles(this.sequelize, this.models.Article);
  },
};

export default schema as unknown as ServiceSchema;
