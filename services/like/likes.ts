import sequelizePackage, { type Sequelize } from 'sequelize';
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
    const before = Number((await tx.run(statements.lockCount, [articleId])).insertId);
    const users = [...new Set(wishes.map((wish) => wish.userId))];
    const [read, asked] = users.length === 1 ? [statements.readLike, users[0]] : [statements.readLikes, users];
    const likers = usersOf(await tx.run<UserRow[]>(read, [articleId, asked]));
    const decision = decideLikes(before, likers, wishes);
    await this.#write(articleId, decision, tx);
    if (decision.count !== before) await tx.run(statements.writeCount, [decision.count, articleId]);
    for (const change of decision.changes) {
      await publish(change.wish, change.liked ? 'ArticleLiked' : 'ArticleUnliked', this.#payload(articleId, change));
    }
    return wishes.map(({ liked }, index) => ({ articleId, count: decision.counts[index]!, liked }));
  }

  /** The count, and whether this user (null: nobody) is among those who like it. */
  async status(articleId: string, userId: string | null): Promise<LikeStatus> {
    const [rows, likers] = await Promise.all([
      this.#select<{ count: string }>(statements.readCount, [articleId]),
      userId === null ? [] : this.#select<UserRow>(statements.readLike, [articleId, userId]),
    ]);
    return { articleId, count: Number(rows[0]?.count ?? 0), liked: likers.length > 0 };
  }

  #payload(articleId: string, { userId, liked, count }: LikeChange): object {
    const time = liked ? { likedAt: this.#now() } : { unlikedAt: this.#now() };
    return { articleId, userId, ...time, articleLikeCount: count };
  }

  async #write(
    articleId: string,
    { added, removed }: { added: string[]; removed: string[] },
    tx: OutboxTransaction,
  ): Promise<void> {
    const likedAt = this.#now();
    if (added.length === 1) await tx.run(statements.insertLike, [articleId, added[0], likedAt]);
    if (added.length > 1) {
      await tx.run(statements.insertLikes, [added.map((userId) => [articleId, userId, likedAt])]);
    }
    if (removed.length > 0) await tx.run(statements.deleteLikes, [articleId, removed]);
  }

  #select<Row extends object>(sql: string, replacements: unknown[]) {
    return this.#sequelize.query<Row>(sql, { replacements, type: QueryTypes.SELECT });
  }
}

interface UserRow {
  userId: string;
}

function usersOf(rows: readonly UserRow[]): Set<string> {
  return new Set(rows.map(({ userId }) => String(userId)));
}
