import mysql, { type Connection, type Pool, type ResultSetHeader, type RowDataPacket } from 'mysql2/promise';
import { outboxMigrations } from '../../migrations/outbox/index.ts';
import { migrateDatabase } from '../../migrations/run.ts';
import { eventIdText, newEventId } from '../../outbox/event-id.ts';
import { bucketOf, keyHashOf } from '../../outbox/keys.ts';

export const buckets = 8;
export const keysCount = 5_000;
const payload = Buffer.from(
  JSON.stringify({ articleId: '1', pad: 'x'.repeat(600) })
    .slice(0, 598)
    .concat('"}'),
);

const insertPending = 'INSERT INTO outbox_pending (bucket, key_hash, version, day) VALUES ?';
const insertOutbox = `
INSERT INTO outbox (id, day, event_id, aggregate_type, aggregate_id, version, event_type, schema_version, payload, headers,
  created_at) VALUES ?`;

// Ids of one statement's rows follow each other, in the order of its rows.
const copyPending = `
INSERT INTO outbox_pending (bucket, key_hash, version, day)
SELECT bucket, key_hash, version + ?, day FROM outbox_pending WHERE id BETWEEN ? AND ? ORDER BY id`;
const copyOutbox = `
INSERT INTO outbox (id, day, event_id, aggregate_type, aggregate_id, version, event_type, schema_version, payload, headers,
  created_at)
SELECT id + ?, day, UNHEX(REPLACE(UUID(), '-', '')), aggregate_type, aggregate_id, version + ?, event_type, schema_version, payload,
  headers, created_at FROM outbox WHERE id BETWEEN ? AND ?`;

/** One event as a service would write it. */
export interface BenchEvent {
  key: string;
  version: number;
}

/** The outbox of the bench: the same tables and the same two inserts that the mixin makes. */
export class BenchOutbox {
  readonly url: string;
  readonly #pool: Pool;
  readonly #keys = Array.from({ length: keysCount }, (_, index) => {
    const key = String(9_000_000_000 + index);
    return { key, bucket: bucketOf(key, buckets), hash: keyHashOf(key), version: 0 };
  });

  private constructor(url: string, pool: Pool) {
    this.url = url;
    this.#pool = pool;
  }

  static async create(mysqlUrl: string, name: string): Promise<BenchOutbox> {
    const url = new URL(`/${name}`, mysqlUrl).href;
    await migrateDatabase({ url, sets: [outboxMigrations], buckets });
    return new BenchOutbox(url, mysql.createPool({ uri: url, connectionLimit: 16, timezone: 'Z' }));
  }

  /** One transaction with these many events. Answers their event ids and buckets when it is committed, and what the COMMIT took. */
  async write(count: number): Promise<{ eventIds: string[]; buckets: Set<number>; commitMs: number }> {
    const connection = await this.#pool.getConnection();
    try {
      return await this.#write(connection, count);
    } finally {
      connection.release();
    }
  }

  async #write(connection: Connection, count: number) {
    const day = new Date().toISOString().slice(0, 10);
    const events = Array.from({ length: count }, () => {
      const key = this.#keys[Math.floor(Math.random() * keysCount)]!;
      return { key, version: ++key.version, id: newEventId() };
    });
    await connection.query('START TRANSACTION');
    const [{ insertId }] = await connection.query<ResultSetHeader>(insertPending, [
      events.map(({ key, version }) => [key.bucket, key.hash, version, day]),
    ]);
    await connection.query(insertOutbox, [
      events.map(({ key, version, id }, index) => [
        insertId + index,
        day,
        id,
        'article',
        key.key,
        version,
        'ArticleLiked',
        1,
        payload,
        null,
        new Date(),
      ]),
    ]);
    const commitsMs = performance.now();
    await connection.query('COMMIT');
    return {
      eventIds: events.map(({ id }) => eventIdText(id)),
      buckets: new Set(events.map(({ key }) => key.bucket)),
      commitMs: performance.now() - commitsMs,
    };
  }

  /** Rows in transactions of 500, over four connections. */
  async fill(rows: number): Promise<void> {
    let left = rows;
    const work = async () => {
      while (left > 0) {
        const count = Math.min(500, left);
        left -= count;
        await this.write(count);
      }
    };
    await Promise.all(Array.from({ length: 4 }, work));
  }

  /**
   * As many times more of what `fill` has written: copied within the server, with ids, versions and event ids of their own. The
   * outbox must have nothing else.
   */
  async multiply(times: number): Promise<void> {
    const [rows] = await this.#pool.query<RowDataPacket[]>(
      'SELECT MIN(id) AS first, MAX(id) AS last FROM outbox_pending',
    );
    const { first, last } = rows[0] as { first: number; last: number };
    const versions = Math.max(...this.#keys.map(({ version }) => version));
    for (let copy = 1; copy < times; copy++) {
      const [{ insertId, affectedRows }] = await this.#pool.query<ResultSetHeader>(copyPending, [
        ...[copy * versions, first, last],
      ]);
      await this.#pool.query(copyOutbox, [insertId - first, copy * versions, first, last]);
      if (affectedRows !== last - first + 1) throw new Error('the ids of the rows to copy have gaps');
    }
  }

  async isEmpty(): Promise<boolean> {
    const [rows] = await this.#pool.query<RowDataPacket[]>('SELECT 1 FROM outbox_pending LIMIT 1');
    return rows.length === 0;
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}
