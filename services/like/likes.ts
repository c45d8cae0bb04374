import sequelizePackage, { type Sequelize, type Transaction } from 'sequelize';
import type { OutboxTransaction } from '../../mixins/outbox.ts';
import { decideLikes, type LikeChange, type LikeWish } from './decide.ts';
import * as statements from './statements.ts';

const { QueryTypes } = sequelizePackage;

export interface LikeStatus {
  articleId: string;
  count: number;
  /** Whether the caller likes it. */
  liked: boolean;
}

/** What likes can do, on one database. */
export class Likes {
  readonly #sequelize: Sequelize;
  readonly #now: () => Date;

  constructor(sequelize: Sequelize, now: () => Date = () => new Date()) {
    this.#sequelize = sequelize;
    this.#now = now;
  }

  /**
   * Carries out wishes about one article, in their order and in one transaction, and answers each. `publish` is called for
   * each change with the number of its wish; wishes that change nothing publish nothing.
   */
  async carryOut(
    tx: OutboxTransaction,
    articleId: string,
    wishes: readonly LikeWish[],
    publish: (wish: number, type: string, payload: object) => Promise<void>,
  ): Promise<LikeStatus[]> {
    const { transaction } = tx;
    const [locked] = await this.#sequelize.query(statements.lockCount, {
      replacements: { articleId },
      type: QueryTypes.INSERT,
      transaction,
    });
    const before = Number(locked);
    const users = [...new Set(wishes.map((wish) => wish.userId))];
    const decision = decideLikes(before, await this.#likers(articleId, users, transaction), wishes);
    await this.#write(articleId, decision, transaction);
    if (decision.count !== before) {
      await this.#sequelize.query(statements.writeCount, {
        replacements: { articleId, count: decision.count },
        type: QueryTypes.UPDATE,
        transaction,
      });
    }
    for (const change of decision.changes) {
      await publish(change.wish, change.liked ? 'ArticleLiked' : 'ArticleUnliked', this.#payload(articleId, change));
    }
    return wishes.map(({ liked }, index) => ({ articleId, count: decision.counts[index]!, liked }));
  }

  /** The count, and whether this user (null: nobody) is among those who like it. */
  async status(articleId: string, userId: string | null): Promise<LikeStatus> {
    const [rows, likers] = await Promise.all([
      this.#select<{ count: string }>(statements.readCount, { articleId }),
      userId === null ? new Set<string>() : this.#likers(articleId, [userId]),
    ]);
    return { articleId, count: Number(rows[0]?.count ?? 0), liked: likers.size > 0 };
  }

  #payload(articleId: string, { userId, liked, count }: LikeChange): object {
    const time = liked ? { likedAt: this.#now() } : { unlikedAt: this.#now() };
    return { articleId, userId, ...time, articleLikeCount: count };
  }

  async #write(
    articleId: string,
    { added, removed }: { added: string[]; removed: string[] },
    transaction: Transaction,
  ): Promise<void> {
    if (added.length > 0) {
      const likedAt = this.#now();
      await this.#sequelize.query(statements.insertLikes, {
        replacements: { rows: added.map((userId) => [articleId, userId, likedAt]) },
        type: QueryTypes.INSERT,
        transaction,
      });
    }
    if (removed.length > 0) {
      await this.#sequelize.query(statements.deleteLikes, {
        replacements: { articleId, userIds: removed },
        type: QueryTypes.BULKDELETE,
        transaction,
      });
    }
  }

  async #likers(articleId: string, userIds: readonly string[], transaction?: Transaction): Promise<Set<string>> {
    const rows = await this.#select<{ userId: string }>(statements.readLikes, { articleId, userIds }, transaction);
    return new Set(rows.map((row) => String(row.userId)));
  }

  #select<Row extends object>(sql: string, replacements: Record<string, unknown>, transaction?: Transaction) {
    return this.#sequelize.query<Row>(sql, { replacements, type: QueryTypes.SELECT, transaction });
  }
}
