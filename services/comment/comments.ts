import sequelizePackage, { type Sequelize } from 'sequelize';
import { commentNotFound } from '../../board/errors.ts';
import { type Caller, mustOwn } from '../../identity/caller.ts';
import type { OutboxTransaction } from '../../mixins/outbox.ts';
import type { Comment, CommentModel } from './comment.model.ts';
import type { CreateParams } from './comment.params.ts';
import * as statements from './statements.ts';

const { QueryTypes } = sequelizePackage;

/** What comments can do, on one database. Changes run in a transaction that carries their events. */
export class Comments {
  readonly #sequelize: Sequelize;
  readonly #model: CommentModel;

  constructor(sequelize: Sequelize, model: CommentModel) {
    this.#sequelize = sequelize;
    this.#model = model;
  }

  async create(
    tx: OutboxTransaction,
    writer: Caller,
    { articleId, content }: Pick<CreateParams, 'articleId' | 'content'>,
  ): Promise<Comment> {
    const createdAt = await this.#now(tx);
    const state = { articleId, writerId: writer.id, parentId: null, content, createdAt };
    const { id } = await this.#model.create(state, { transaction: tx.transaction });
    const { insertId } = await tx.run(statements.countUp, [articleId]);
    tx.publish('CommentCreated', articleId, () => ({ commentId: id, ...state, articleCommentCount: Number(insertId) }));
    return { id, ...state };
  }

  /** Throws `COMMENT_NOT_FOUND` or `NOT_ALLOWED`. Answers the id of the article. */
  async delete(tx: OutboxTransaction, caller: Caller, id: string): Promise<string> {
    const { transaction } = tx;
    const row = await this.#model.findByPk(id, { transaction, lock: transaction.LOCK.UPDATE });
    if (row === null) throw commentNotFound(id);
    const { articleId, writerId } = row;
    mustOwn(caller, writerId, 'comment');
    const deletedAt = await this.#now(tx);
    await row.destroy({ transaction });
    const { insertId } = await tx.run(statements.countDown, [articleId]);
    tx.publish('CommentDeleted', articleId, () => ({
      commentId: id,
      articleId,
      writerId,
      deletedAt,
      articleCommentCount: Number(insertId),
    }));
    return articleId;
  }

  /** Comments of an article. */
  async count(articleId: string): Promise<number> {
    const rows = await this.#select<{ count: string }>(statements.readCount, { articleId });
    return Number(rows[0]?.count ?? 0);
  }

  /** Ids of an article's comments after this one (`"0"`: from the first), oldest first. */
  async idsAfter(articleId: string, lastCommentId: string, limit: number): Promise<string[]> {
    const rows = await this.#select<{ id: string }>(statements.idsAfter, { articleId, lastCommentId, limit });
    return rows.map((row) => String(row.id));
  }

  async #now(tx: OutboxTransaction): Promise<Date> {
    const [row] = await tx.run<[{ now: Date }]>(statements.readNow);
    return row.now;
  }

  #select<Row extends object>(sql: string, replacements: Record<string, unknown>) {
    return this.#sequelize.query<Row>(sql, { replacements, type: QueryTypes.SELECT });
  }
}
