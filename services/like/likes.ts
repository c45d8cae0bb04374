import sequelizePackage, { type Sequelize, type Transaction } from 'sequelize';
import type { OutboxTransaction } from '../../mixins/outbox.ts';
import * as statements from './statements.ts';

const { QueryTypes, UniqueConstraintError } = sequelizePackage;

/** One user and one article. */
export interface LikeKey {
  articleId: string;
  userId: string;
}

export interface LikeStatus {
  articleId: string;
  count: number;
  /** Whether the caller likes it. */
  liked: boolean;
}

/** What likes can do, on one database. Changes run in a transaction that carries their events. */
export class Likes {
  readonly #sequelize: Sequelize;

  constructor(sequelize: Sequelize) {
    this.#sequelize = sequelize;
  }

  /** Changes nothing and publishes nothing where the user likes the article already. */
  async like(tx: OutboxTransaction, key: LikeKey): Promise<LikeStatus> {
    const { transaction } = tx;
    const status = { articleId: key.articleId, count: 0, liked: true };
    try {
      await this.#sequelize.query(statements.insertLike, { replacements: { ...key }, transaction });
    } catch (error) {
      if (!(error instanceof UniqueConstraintError)) throw error;
      return this.#withCount(status, transaction);
    }
    await this.#sequelize.query(statements.countUp, { replacements: { ...key }, transaction });
    tx.publish('ArticleLiked', key.articleId, async () => {
      const likedAt = await this.#fill(status, transaction);
      return { ...key, likedAt, articleLikeCount: status.count };
    });
    return status;
  }

  /** Changes nothing and publishes nothing where the user does not like the article. */
  async unlike(tx: OutboxTransaction, key: LikeKey): Promise<LikeStatus> {
    const { transaction } = tx;
    const status = { articleId: key.articleId, count: 0, liked: false };
    const deleted = await this.#sequelize.query(statements.deleteLike, {
      replacements: { ...key },
      type: QueryTypes.BULKDELETE,
      transaction,
    });
    if (deleted === 0) return this.#withCount(status, transaction);
    await this.#sequelize.query(statements.countDown, { replacements: { ...key }, transaction });
    tx.publish('ArticleUnliked', key.articleId, async () => {
      const unlikedAt = await this.#fill(status, transaction);
      return { ...key, unlikedAt, articleLikeCount: status.count };
    });
    return status;
  }

  /** The count, and whether this user (null: nobody) is among those who like it. */
  async status(articleId: string, userId: string | null): Promise<LikeStatus> {
    const [status, found] = await Promise.all([
      this.#withCount({ articleId, count: 0, liked: false }),
      userId === null ? [] : this.#select<object>(statements.readLike, { articleId, userId }),
    ]);
    return { ...status, liked: found.length > 0 };
  }

  async #withCount(status: LikeStatus, transaction?: Transaction): Promise<LikeStatus> {
    await this.#fill(status, transaction);
    return status;
  }

  /**
   * Reads the count into an answer that was given out already: within a transaction it is current only once the event's
   * version line is locked, right before the commit. Answers the time of the reading.
   */
  async #fill(status: LikeStatus, transaction?: Transaction): Promise<Date> {
    const [row] = await this.#select<{ count: string; now: Date }>(
      statements.readCount,
      { articleId: status.articleId },
      transaction,
    );
    status.count = Number(row!.count);
    return row!.now;
  }

  #select<Row extends object>(sql: string, replacements: Record<string, unknown>, transaction?: Transaction) {
    return this.#sequelize.query<Row>(sql, { replacements, type: QueryTypes.SELECT, transaction });
  }
}
