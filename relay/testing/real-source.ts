import { randomUUID } from 'node:crypto';
import mysql, { type Connection, type Pool } from 'mysql2/promise';
import { headerNames } from '../../events/envelope.ts';
import { createPlatformaticPort } from '../../kafka/platformatic/platformatic-port.ts';
import type { IncomingMessage, ReadingKafkaPort } from '../../kafka/port.ts';
import { outboxMigrations } from '../../migrations/outbox/index.ts';
import { migrateDatabase } from '../../migrations/run.ts';
import { bucketOf, keyHashOf } from '../../outbox/keys.ts';
import { freshDatabase, testServers, uniqueName } from '../../testing/servers.ts';

export const partitions = 12;

export interface TestEvent {
  key: string;
  version: number;
  payloadBytes?: number;
  traceparent?: string;
}

/** A database with an outbox, a topic for it, and what tests need of both. */
export interface RealSource {
  url: string;
  topic: string;
  pool: Pool;
  kafka: ReadingKafkaPort;
  /** Writes events within a transaction of the caller's, or each list in one of its own. */
  write(events: readonly TestEvent[], connection?: Connection): Promise<void>;
  unsent(): Promise<number>;
  leases(): Promise<{ bucket: number; owner: string | null; epoch: number }[]>;
  /** Everything in the topic so far, in the order of each partition. */
  messages(): Promise<IncomingMessage[]>;
  /** Versions in the topic by key, in order, with repetitions. */
  versions(): Promise<Map<string, number[]>>;
  drop(): Promise<void>;
}

const insertPending = 'INSERT INTO outbox_pending (bucket, key_hash, version, day) VALUES ?';
const insertOutbox = `
INSERT INTO outbox (id, day, event_id, aggregate_type, aggregate_id, version, event_type, schema_version, payload, headers,
  created_at) VALUES ?`;

export async function openRealSource(buckets = 8): Promise<RealSource> {
  const { kafkaBrokers } = testServers();
  const database = await freshDatabase('relay');
  await migrateDatabase({ url: database.url, sets: [outboxMigrations], buckets });
  const pool = mysql.createPool({ uri: database.url, connectionLimit: 8, timezone: 'Z', bigNumberStrings: true });
  const kafka = createPlatformaticPort({ brokers: kafkaBrokers, clientId: 'relay-test' });
  const topic = uniqueName('relay');
  const admin = kafka.admin();
  await admin.createTopics([{ topic, partitions }]);

  const write: RealSource['write'] = async (events, connection) => {
    if (!connection) {
      const own = await pool.getConnection();
      try {
        await own.query('START TRANSACTION');
        await write(events, own);
        await own.query('COMMIT');
      } finally {
        own.release();
      }
      return;
    }
    const day = new Date().toISOString().slice(0, 10);
    const [result] = await connection.query<mysql.ResultSetHeader>(insertPending, [
      events.map(({ key, version }) => [bucketOf(key, buckets), keyHashOf(key), version, day]),
    ]);
    await connection.query(insertOutbox, [
      events.map(({ key, version, payloadBytes = 20, traceparent }, index) => [
        result.insertId + index,
        day,
        Buffer.from(randomUUID().replaceAll('-', ''), 'hex'),
        'article',
        key,
        version,
        'ArticleLiked',
        1,
        Buffer.from(JSON.stringify({ articleId: key, version, pad: 'x'.repeat(payloadBytes) })),
        traceparent ? JSON.stringify({ traceparent }) : null,
        new Date(),
      ]),
    ]);
  };

  const messages = async () => {
    const ends = await admin.offsets(topic);
    const found: IncomingMessage[] = [];
    const left = new Map(ends.filter(({ end }) => end > 0n).map(({ partition, end }) => [partition, end]));
    if (left.size === 0) return found;
    const done = Promise.withResolvers<void>();
    const reader = kafka.reader({
      partitions: [...left.keys()].map((partition) => ({ topic, partition, from: 'beginning' as const })),
      maxWaitMs: 100,
      onMessages(batch) {
        found.push(...batch);
        const last = batch.at(-1)!;
        if (last.offset + 1n >= (left.get(last.partition) ?? 0n)) left.delete(last.partition);
        if (left.size === 0) done.resolve();
      },
    });
    await reader.start();
    await done.promise;
    await reader.stop();
    return found;
  };

  return {
    url: database.url,
    topic,
    pool,
    kafka,
    write,
    async unsent() {
      const [rows] = await pool.query<mysql.RowDataPacket[]>('SELECT COUNT(*) AS n FROM outbox_pending');
      return Number(rows[0]!.n);
    },
    async leases() {
      const [rows] = await pool.query<mysql.RowDataPacket[]>(
        'SELECT bucket, IF(expires_at > UTC_TIMESTAMP(6), owner, NULL) AS owner, epoch FROM outbox_lease ORDER BY bucket',
      );
      return rows.map((row) => ({ bucket: row.bucket, owner: row.owner, epoch: Number(row.epoch) }));
    },
    messages,
    async versions() {
      const versions = new Map<string, number[]>();
      for (const message of await messages()) {
        const key = message.key!.toString();
        const version = Number(message.headers[headerNames.version]!.toString());
        versions.set(key, [...(versions.get(key) ?? []), version]);
      }
      return versions;
    },
    async drop() {
      await admin.deleteTopics([topic]);
      await admin.close();
      await pool.end();
      await database.drop();
    },
  };
}

/** Polls until the condition holds. Throws where it does not in time. Answers how long it took, in ms. */
export async function eventually(
  condition: () => Promise<boolean> | boolean,
  limitMs: number,
  everyMs = 10,
): Promise<number> {
  const startMs = performance.now();
  while (!(await condition())) {
    if (performance.now() - startMs > limitMs) throw new Error(`did not come true within ${limitMs} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
  return performance.now() - startMs;
}
