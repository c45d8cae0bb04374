import sequelizePackage, { type Sequelize } from 'sequelize';
import type { OutboxTransaction } from '../../mixins/outbox.ts';
import * as statements from './statements.ts';
import type { GatheredViews } from './view-store.ts';

const { QueryTypes, UniqueConstraintError } = sequelizePackage;

/**
 * How long a flush is remembered, so that it can't count again. Long after any copy of Redis' data that somebody might bring
 * back.
 */
const keptDays = 7;
const purgedAtOnce = 1000;

export type RunTransaction = (work: (tx: OutboxTransaction) => Promise<void>) => Promise<void>;

/** Views in the database: what was flushed, and the counts. */
export class Views {
  readonly #sequelize: Sequelize;
  readonly #transaction: RunTransaction;
  readonly #now: () => Date;

  constructor(sequelize: Sequelize, transaction: RunTransaction, now: () => Date = () => new Date()) {
    this.#sequelize = sequelize;
    this.#transaction = transaction;
    this.#now = now;
  }

  /** Adds them to the counts, with an event for each article; what was added before, by whomever, is left out. */
  async write(gathered: readonly GatheredViews[]): Promise<void> {
    try {
      await this.#transaction((tx) => this.#add(tx, gathered));
    } catch (error) {
      if (!(error instanceof UniqueConstraintError)) throw error;
      // Another node has just written one of them: nothing was kept here, and a second look leaves that one out.
      if (gathered.length > 1) for (const one of gathered) await this.write([one]);
    }
  }

  async count(articleId: string): Promise<number> {
    const rows = await this.#sequelize.query<{ count: string }>(statements.readCount, {
      replacements: { articleId },
      type: QueryTypes.SELECT,
    });
    return Number(rows[0]?.count ?? 0);
  }

  /** Forgets flushes of long ago. Answers how many. */
  async purge(): Promise<number> {
    let purged = 0;
    for (;;) {
      const deleted = await this.#sequelize.query(statements.purgeFlushes, {
        replacements: { days: keptDays, limit: purgedAtOnce },
        type: QueryTypes.BULKDELETE,
      });
      purged += deleted;
      if (deleted < purgedAtOnce) return purged;
    }
  }

  async #add(tx: OutboxTransaction, gathered: readonly GatheredViews[]): Promise<void> {
    const { transaction } = tx;
    const flushIds = gathered.map(({ flushId }) => flushId);
    const applied = await this.#sequelize.query<{ flushId: string }>(statements.readApplied, {
      replacements: { flushIds },
      type: QueryTypes.SELECT,
      transaction,
    });
    const known = new Set(applied.map((row) => row.flushId));
    const fresh = gathered.filter(({ flushId }) => !known.has(flushId));
    if (fresh.length === 0) return;
    await this.#sequelize.query(statements.insertFlush(fresh.length), {
      replacements: fresh.flatMap(({ flushId, articleId, views }) => [flushId, articleId, views]),
      type: QueryTypes.INSERT,
      transaction,
    });
    // In a fixed order, so that two nodes never wait for each other's rows.
    for (const [articleId, views] of [...viewsByArticle(fresh)].sort(byArticle)) {
      const [count] = await this.#sequelize.query(statements.addViews, {
        replacements: { articleId, views },
        type: QueryTypes.INSERT,
        transaction,
      });
      const articleViewCount = Number(count);
      tx.publish('ArticleViewed', articleId, () => ({ articleId, viewedAt: this.#now(), articleViewCount }));
    }
  }
}

/** Several batches of one article make one event. */
export function viewsByArticle(gathered: readonly GatheredViews[]): Map<string, number> {
  const sums = new Map<string, number>();
  for (const { articleId, views } of gathered) sums.set(articleId, (sums.get(articleId) ?? 0) + views);
  return sums;
}

function byArticle([a]: [string, number], [b]: [string, number]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
