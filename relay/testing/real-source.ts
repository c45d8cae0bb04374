import { randomUUID } from 'node:crypto';
import mysql, { type Connection, type Pool } from 'mysql2/promise';
import { headerNames } from '../../events/envelope.ts';
import { createPlatformaticPort } from '../../kafka/platformatic/platformatic-port.ts';
import type { IncomingMessage, Publisher, ReadingKafkaPort, TransactionalKafkaPort } from '../../kafka/port.ts';
import { outboxMigrations } from '../../migrations/outbox/index.ts';
import { migrateDatabase } from '../../migrations/run.ts';
import { positionTopics } from '../../migrations/topics.ts';
import { bucketOf, keyHashOf } from '../../outbox/keys.ts';
import { freshDatabase, testServers, uniqueName } from '../../testing/servers.ts';

export const partitions = 12;

/** Relays' options with which no answer that is late makes a copy: for tests that say where there is none. */
export const patient = { deliveryTimeoutMs: 60_000, stopTimeoutMs: 60_000 };

export interface TestEvent {
  key: string;
  version: number;
  payloadBytes?: number;
  traceparent?: string;
}

/** A database with an outbox, topics for its events and positions, and what tests need of them. */
export interface RealSource {
  url: string;
  /** For relays' options: the positions topic is under it. */
  topicPrefix: string;
  topic: string;
  pool: Pool;
  kafka: ReadingKafkaPort & TransactionalKafkaPort;
  /** Writes events within a transaction of the caller's, or each list in one of its own. */
  write(events: readonly TestEvent[], connection?: Connection): Promise<void>;
  unsent(): Promise<number>;
  leases(): Promise<{ bucket: number; owner: string | null; epoch: number }[]>;
  /** Everything that a read-committed consumer finds in the topic now, in the order of each partition. */
  messages(): Promise<IncomingMessage[]>;
  /** Versions in the topic by key, in order, with repetitions. */
  versions(): Promise<Map<string, number[]>>;
  drop(): Promise<void>;
}

const insertPending = 'INSERT INTO outbox_pending (bucket, key_hash, version, day) VALUES ?';
const insertOutbox = `
INSERT INTO outbox (id, day, event_id, aggregate_type, aggregate_id, version, event_type, schema_version, payload, headers,
  created_at) VALUES ?`;

export interface RealSourceOptions {
  buckets?: number;
  /** In place of the tests' own broker. */
  cluster?: { brokers: readonly string[]; replicationFactor: number; config?: Readonly<Record<string, string>> };
}

export async function openRealSource({ buckets = 8, cluster }: RealSourceOptions = {}): Promise<RealSource> {
  const brokers = cluster?.brokers ?? testServers().kafkaBrokers;
  const database = await freshDatabase('relay');
  await migrateDatabase({ url: database.url, sets: [outboxMigrations], buckets });
  const pool = mysql.createPool({ uri: database.url, connectionLimit: 20, timezone: 'Z', bigNumberStrings: true });
  const kafka = createPlatformaticPort({ brokers, clientId: 'relay-test' });
  const topicPrefix = uniqueName('relay');
  const topic = `${topicPrefix}.like`;
  const admin = kafka.admin();
  const topics = [{ topic, partitions }, ...positionTopics(topicPrefix, ['like'], buckets)].map((spec) => ({
    ...spec,
    replicationFactor: cluster?.replicationFactor,
    config: { ...cluster?.config, ...spec.config },
  }));
  await admin.createTopics(topics);
  let marker: Publisher | null = null;

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

  /** Writes a mark into each partition: who has read it has read all that came before, markers of transactions or not. */
  const messages = async () => {
    marker ??= kafka.publisher({ deliveryTimeoutMs: 30_000 });
    const mark = Buffer.from(randomUUID());
    const places = Array.from({ length: partitions }, (_, partition) => ({ topic, partition }));
    const { failed } = await marker.publish(places.map((place) => ({ ...place, key: null, value: mark })));
    if (failed[0]) throw failed[0].error;
    const found: IncomingMessage[] = [];
    const left = new Set(places.map(({ partition }) => partition));
    const done = Promise.withResolvers<void>();
    const reader = kafka.reader({
      partitions: places.map((place) => ({ ...place, from: 'beginning' as const })),
      maxWaitMs: 100,
      onMessages(batch) {
        for (const message of batch) {
          if (message.key !== null && left.has(message.partition)) found.push(message);
          else if (message.value?.equals(mark)) left.delete(message.partition);
        }
        if (left.size === 0) done.resolve();
      },
    });
    const tooLate = setTimeout(() => done.reject(new Error(`not read to the end: ${[...left]} of ${topic}`)), 20_000);
    await reader.start();
    await done.promise.finally(() => {
      clearTimeout(tooLate);
      return reader.stop();
    });
    return found;
  };

  return {
    url: database.url,
    topicPrefix,
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
        const ofKey = versions.get(key);
        if (ofKey) ofKey.push(version);
        else versions.set(key, [version]);
      }
      return versions;
    },
    async drop() {
      await marker?.close();
      await admin.deleteTopics(topics.map((spec) => spec.topic));
      await admin.close();
      await pool.end();
      await database.drop();
    },
  };
}
