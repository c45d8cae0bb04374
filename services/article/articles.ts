import sequelizePackage, { type Sequelize, type Transaction } from 'sequelize';
import { articleNotFound } from '../../board/errors.ts';
import { offsetOf, type Page, rowsToCount } from '../../board/paging.ts';
import { type Caller, mustOwn } from '../../identity/caller.ts';
import type { OutboxTransaction } from '../../mixins/outbox.ts';
import type { Article, ArticleModel } from './article.model.ts';
import type { CreateParams, EditParams } from './article.params.ts';
import * as statements from './statements.ts';

const { QueryTypes } = sequelizePackage;

/** What articles can do, on one database. Changes run in a transaction that carries their events. */
export class Articles {
  readonly #sequelize: Sequelize;
  readonly #model: ArticleModel;

  constructor(sequelize: Sequelize, model: ArticleModel) {
    this.#sequelize = sequelize;
    this.#model = model;
  }

  async create(tx: OutboxTransaction, writer: Caller, { boardId, title, content }: CreateParams): Promise<Article> {
    const now = await this.#now(tx);
    const values = { boardId, writerId: writer.id, title, content, createdAt: now, modifiedAt: now };
    const row = await this.#model.create(values, { transaction: tx.transaction });
    const { insertId } = await tx.run(statements.countUp, [boardId]);
    const { id, ...article } = { id: row.id, ...values };
    tx.publish('ArticleCreated', id, () => ({ articleId: id, ...article, boardArticleCount: Number(insertId) }));
    return { id, ...article };
  }

  /** Throws `ARTICLE_NOT_FOUND` or `NOT_ALLOWED`. Equal texts change nothing and publish nothing. */
  async edit(tx: OutboxTransaction, caller: Caller, { id, title, content }: EditParams): Promise<Article> {
    const { transaction } = tx;
    const article = await this.#locked(id, transaction);
    mustOwn(caller, article.writerId, 'article');
    if (article.title === title && article.content === content) return article;
    const changed = { title, content, modifiedAt: await this.#now(tx) };
    await this.#model.update(changed, { where: { id }, transaction });
    const edited: Article = { ...article, ...changed };
    tx.publish('ArticleUpdated', id, () => this.#state(edited, transaction));
    return edited;
  }

  /** Throws `ARTICLE_NOT_FOUND` or `NOT_ALLOWED`. */
  async delete(tx: OutboxTransaction, caller: Caller, id: string): Promise<void> {
    const { transaction } = tx;
    const { boardId, writerId, createdAt } = await this.#locked(id, transaction);
    mustOwn(caller, writerId, 'article');
    const deletedAt = await this.#now(tx);
    await this.#model.destroy({ where: { id }, transaction });
    const { insertId } = await tx.run(statements.countDown, [boardId]);
    tx.publish('ArticleDeleted', id, () => ({
      articleId: id,
      boardId,
      writerId,
      createdAt,
      deletedAt,
      boardArticleCount: Number(insertId),
    }));
  }

  /** Articles of a board. */
  async count(boardId: string, transaction?: Transaction): Promise<number> {
    return this.#countBy(statements.readCount, { boardId }, transaction);
  }

  /** Articles of a board, counted no further than the links around the page need. */
  countAround(boardId: string, page: Page): Promise<number> {
    return this.#countBy(statements.boundedCount, { boardId, limit: rowsToCount(page) });
  }

  pageIds(boardId: string, page: Page): Promise<string[]> {
    return this.#ids(statements.pageIds, { boardId, limit: page.pageSize, offset: offsetOf(page) });
  }

  idsBefore(boardId: string, lastArticleId: string, limit: number): Promise<string[]> {
    return this.#ids(statements.idsBefore, { boardId, lastArticleId, limit });
  }

  async exists(id: string): Promise<boolean> {
    const rows = await this.#sequelize.query(statements.readExists, { replacements: { id }, type: QueryTypes.SELECT });
    return rows.length > 0;
  }

  /** The whole state, as the event of an edit carries it: the board's count is read when its version line is locked. */
  async #state({ id, ...article }: Article, transaction: Transaction) {
    return { articleId: id, ...article, boardArticleCount: await this.count(article.boardId, transaction) };
  }

  async #locked(id: string, transaction: Transaction): Promise<Article> {
    const row = await this.#model.findByPk(id, { transaction, lock: transaction.LOCK.UPDATE });
    if (row === null) throw articleNotFound(id);
    return row.get({ plain: true });
  }

  async #now(tx: OutboxTransaction): Promise<Date> {
    const [row] = await tx.run<[{ now: Date }]>(statements.readNow);
    return row.now;
  }

  async #ids(sql: string, replacements: Record<string, unknown>): Promise<string[]> {
    const rows = await this.#sequelize.query<{ id: string }>(sql, { replacements, type: QueryTypes.SELECT });
    return rows.map((row) => String(row.id));
  }

  async #countBy(sql: string, replacements: Record<string, unknown>, transaction?: Transaction): Promise<number> {
    const rows = await this.#sequelize.query<{ count: string }>(sql, {
      replacements,
      type: QueryTypes.SELECT,
      transaction,
    });
    return Number(rows[0]?.count ?? 0);
  }
}
