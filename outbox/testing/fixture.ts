import { DataTypes, type Model, type ModelStatic, QueryTypes, type Sequelize } from 'sequelize';
import { openSequelize } from '../../database/connect.ts';
import { boardEvents } from '../../events/board.ts';
import type { MigrationSet } from '../../migrations/migration.ts';
import { outboxMigrations } from '../../migrations/outbox/index.ts';
import { migrateDatabase } from '../../migrations/run.ts';
import { testServers, uniqueName } from '../../testing/servers.ts';
import { eventIdText } from '../event-id.ts';
import { Outbox, type OutboxOptions } from '../transaction.ts';

/** A small producer for tests: the table `comment`, whose ids exceed 2^53, and an outbox of the source `comment`. */
export const commentTable: MigrationSet = [
  {
    name: 'fixture/0001-comment',
    async up({ query }) {
      await query(`CREATE TABLE IF NOT EXISTS comment (
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, article_id BIGINT UNSIGNED NOT NULL,
        content VARCHAR(3000) NOT NULL, token VARCHAR(64) NULL UNIQUE, KEY (article_id)
      ) ENGINE=InnoDB AUTO_INCREMENT=9007199254740993`);
    },
    down: async ({ query }) => void (await query('DROP TABLE IF EXISTS comment')),
  },
];

export type CommentModel = ModelStatic<
  Model & { id: string; articleId: string; content: string; token: string | null }
>;

export function defineComment(sequelize: Sequelize): CommentModel {
  return sequelize.define('comment', {
    id: { type: DataTypes.BIGINT.UNSIGNED, primaryKey: true, autoIncrement: true },
    articleId: { type: DataTypes.BIGINT.UNSIGNED, field: 'article_id' },
    content: DataTypes.STRING,
    token: DataTypes.STRING,
  }) as CommentModel;
}

export interface OutboxRow {
  id: bigint;
  day: string;
  eventId: string;
  aggregateType: string;
  aggregateId: string;
  version: number;
  type: string;
  payload: Record<string, unknown>;
  headers: Record<string, string> | null;
}

export interface PendingRow {
  id: bigint;
  bucket: number;
  state: number;
  keyHash: string;
  version: number;
  day: string;
}

export async function openProducer(options: Partial<OutboxOptions> & { url?: string; poolSize?: number } = {}) {
  const name = uniqueName('outbox');
  const { mysqlUrl } = testServers();
  const url = new URL(`/${name}`, mysqlUrl).href;
  await migrateDatabase({ url, sets: [outboxMigrations, commentTable] });
  const sequelize = openSequelize({
    url: options.url?.replace('DATABASE', name) ?? url,
    poolSize: options.poolSize ?? 16,
  });
  const direct = openSequelize({ url, poolSize: 4 });
  const nudges: number[][] = [];
  const retries: string[] = [];
  const outbox = new Outbox({
    source: 'comment',
    catalogue: boardEvents,
    sequelize,
    buckets: async () => 8,
    nudge: (buckets) => nudges.push([...buckets]),
    logger: { warn: () => undefined },
    metrics: { written: () => undefined, retried: (reason) => retries.push(reason), unknownOutcome: () => undefined },
    ...options,
  });
  const select = <Row extends object>(sql: string) => direct.query<Row>(sql, { type: QueryTypes.SELECT });
  return {
    url,
    sequelize,
    /** Another way to the same database, past whatever stands between `sequelize` and it. */
    direct,
    Comment: defineComment(sequelize),
    outbox,
    nudges,
    retries,
    async comments(): Promise<number> {
      const [row] = await select<{ n: string }>('SELECT COUNT(*) AS n FROM comment');
      return Number(row!.n);
    },
    async events(): Promise<OutboxRow[]> {
      const rows = await select<Record<string, unknown>>(
        `SELECT id, day, event_id, aggregate_type, aggregate_id, version, event_type, payload, headers FROM outbox ORDER BY id`,
      );
      return rows.map((row) => ({
        id: BigInt(row.id as string),
        day: String(row.day),
        eventId: eventIdText(row.event_id as Buffer),
        aggregateType: String(row.aggregate_type),
        aggregateId: String(row.aggregate_id),
        version: Number(row.version),
        type: String(row.event_type),
        payload: JSON.parse(String(row.payload)),
        headers: row.headers === null ? null : JSON.parse(String(row.headers)),
      }));
    },
    async pending(): Promise<PendingRow[]> {
      const rows = await select<Record<string, unknown>>(
        'SELECT id, bucket, state, key_hash, version, day FROM outbox_pending ORDER BY id',
      );
      return rows.map((row) => ({
        id: BigInt(row.id as string),
        bucket: Number(row.bucket),
        state: Number(row.state),
        keyHash: String(row.key_hash),
        version: Number(row.version),
        day: String(row.day),
      }));
    },
    /** How much there is of everything; `nothing` where there is none. */
    async left() {
      const [events, pending] = [await this.events(), await this.pending()];
      return { comments: await this.comments(), events: events.length, pending: pending.length, nudges };
    },
    async clear(): Promise<void> {
      for (const table of ['comment', 'outbox', 'outbox_pending', 'outbox_stream']) {
        await direct.query(`DELETE FROM ${table}`);
      }
      nudges.length = 0;
      retries.length = 0;
    },
    async close(): Promise<void> {
      await sequelize.close();
      await direct.query(`DROP DATABASE IF EXISTS \`${name}\``);
      await direct.close();
    },
  };
}

/** What `left` answers where a transaction came to nothing. */
export const nothing = { comments: 0, events: 0, pending: 0, nudges: [] };

export type Producer = Awaited<ReturnType<typeof openProducer>>;

/** A payload of CommentCreated that fits its schema. */
export function commentCreated(row: { id: string; articleId: string }, articleCommentCount: number) {
  return {
    commentId: row.id,
    articleId: row.articleId,
    writerId: '7',
    content: 'hello',
    createdAt: new Date(),
    parentId: null,
    articleCommentCount,
  };
}
