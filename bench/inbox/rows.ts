import mysql, { type Connection, type RowDataPacket } from 'mysql2/promise';
import { boardEvents } from '../../events/board.ts';
import { headersOf } from '../../events/envelope.ts';
import type { InboxEvent } from '../../inbox/types.ts';
import { partitionOf } from '../../kafka/partitioner.ts';
import type { OutgoingMessage, Publisher } from '../../kafka/port.ts';
import { inboxMigrations } from '../../migrations/inbox/index.ts';
import { migrateDatabase } from '../../migrations/run.ts';
import { eventIdText, newEventId } from '../../outbox/event-id.ts';

export const partitions = 12;
export const catalogue = boardEvents;
/** The bench's consumer in each database: the first one. */
export const consumerName = 'bench';
const consumerId = 1;
const incarnation = '0199c2f0-0000-7000-8000-000000000000';
const batchSize = 1000;

const createProjection = `
CREATE TABLE like_count (article_id BIGINT UNSIGNED PRIMARY KEY, likes INT NOT NULL, version BIGINT UNSIGNED NOT NULL,
updated_at DATETIME(6) NOT NULL) ENGINE=InnoDB`;
const writeProjection = `
INSERT INTO like_count (article_id, likes, version, updated_at) VALUES ?
ON DUPLICATE KEY UPDATE likes = VALUES(likes), version = VALUES(version), updated_at = VALUES(updated_at)`;
const registerConsumer = `
INSERT INTO inbox_consumer (id, name, mode, created_at) VALUES (?, ?, 'state', UTC_TIMESTAMP(6))`;
const insertIds = 'INSERT INTO inbox (consumer, event_id) VALUES ';
const digits =
  'SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9';
/** Up to 100,000 ids (UUIDv7), made by the server: first number, ms of the very first, first number, ms between two, how many. */
const fillIds = `
INSERT INTO inbox (consumer, event_id)
SELECT ${consumerId}, UNHEX(CONCAT(LPAD(HEX(FLOOR(ms)), 12, '0'), '7', SUBSTR(text, 1, 3), '8', SUBSTR(text, 4, 15)))
FROM (SELECT n, MD5(n + ?) AS text, ? + (n + ?) * ? AS ms FROM (
SELECT a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d AS n
FROM (${digits}) a, (${digits}) b, (${digits}) c, (${digits}) e, (${digits}) f) numbers) ids
WHERE n < ? ORDER BY n`;
const insertStreams = `
INSERT INTO inbox_stream (consumer, source, aggregate_type, aggregate_id, incarnation, version, occurred_at_ms) VALUES ?
ON DUPLICATE KEY UPDATE version = VALUES(version), occurred_at_ms = VALUES(occurred_at_ms)`;

/** What a handler of a projection does with a batch: its newest states, in sorted order, in one statement. */
export function projectionRows(events: readonly InboxEvent[]): unknown[][] {
  return events
    .filter(({ superseded }) => !superseded)
    .map(({ aggregateId, version, payload }) => {
      const { articleLikeCount } = payload as { articleLikeCount: number };
      return [Number(aggregateId), articleLikeCount, String(version), new Date()];
    })
    .sort((a, b) => (a[0] as number) - (b[0] as number));
}

export { writeProjection };

/** An empty database of a consumer, with its projection. `filled`: ids that it has already, of the last 15 days. */
export async function consumerDatabase(mysqlUrl: string, name: string, filled: number): Promise<string> {
  const url = new URL(`/${name}`, mysqlUrl).href;
  await migrateDatabase({ url, sets: [inboxMigrations] });
  const connection = await mysql.createConnection(url);
  try {
    const [[settings]] = await connection.query<RowDataPacket[]>('SELECT @@innodb_flush_log_at_trx_commit AS flushed');
    if (Number(settings!.flushed) !== 1) throw new Error('commits are not durable: innodb_flush_log_at_trx_commit');
    await connection.query(createProjection);
    await connection.query(registerConsumer, [consumerId, consumerName]);
    const sinceMs = Date.now() - 15 * 86_400_000;
    const stepMs = (14 * 86_400_000) / Math.max(1, filled);
    for (let from = 0; from < filled; from += 100_000) {
      await connection.query(fillIds, [from, sinceMs, from, stepMs, Math.min(100_000, filled - from)]);
    }
  } finally {
    await connection.end();
  }
  return url;
}

/** Events with versions from 1 for each key, as the relay publishes them. */
export async function publishEvents(publisher: Publisher, topic: string, count: number, keys: number): Promise<void> {
  for (let from = 0; from < count; from += batchSize) {
    const messages = Array.from({ length: Math.min(batchSize, count - from) }, (_, index) =>
      messageOf(topic, from + index, keys),
    );
    const { failed } = await publisher.publish(messages);
    if (failed[0]) throw failed[0].error;
  }
}

function messageOf(topic: string, index: number, keys: number): OutgoingMessage {
  const key = String(9_000_000_000 + (index % keys));
  const version = BigInt(Math.floor(index / keys) + 1);
  const occurredAt = new Date();
  const payload = {
    articleId: key,
    userId: String(index + 1),
    likedAt: occurredAt.toISOString(),
    articleLikeCount: Number(version),
  };
  const event = {
    eventId: eventIdText(newEventId()),
    source: 'like',
    type: 'ArticleLiked',
    schemaVersion: 1,
    aggregateType: 'article',
    aggregateId: key,
    version,
    incarnation,
    occurredAt,
    traceparent: null,
  };
  const value = Buffer.from(JSON.stringify(payload));
  return { topic, partition: partitionOf(key, partitions), key: Buffer.from(key), value, headers: headersOf(event) };
}

/**
 * Events/s of nothing but the rows: ids, watermarks and projection in batches of 1,000, each a transaction, over as many
 * connections as the inbox works on partitions at once.
 */
export async function bareInserts(url: string, count: number, keys: number, connections: number): Promise<number> {
  const open = await Promise.all(Array.from({ length: connections }, () => mysql.createConnection(url)));
  try {
    for (const connection of open) await connection.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED');
    const perConnection = Math.floor(count / connections);
    const startedMs = performance.now();
    await Promise.all(open.map((connection, line) => insertLine(connection, line, perConnection, keys / connections)));
    return (perConnection * connections) / ((performance.now() - startedMs) / 1000);
  } finally {
    for (const connection of open) await connection.end();
  }
}

/** Each connection has keys of its own, as each partition has. */
async function insertLine(connection: Connection, line: number, count: number, keys: number): Promise<void> {
  const first = 9_000_000_000 + line * Math.ceil(keys);
  for (let from = 0; from < count; from += batchSize) {
    const events = Math.min(batchSize, count - from);
    const version = Math.floor(from / Math.max(1, keys)) + 1;
    const rows = Array.from({ length: Math.min(events, Math.max(1, Math.floor(keys))) }, (_, index) => first + index);
    await connection.query('START TRANSACTION');
    await connection.query(insertIds + idRows(Array.from({ length: events }, () => newEventId())));
    await connection.query(insertStreams, [
      rows.map((id) => [consumerId, 'like', 'article', String(id), Buffer.alloc(16), version, Date.now()]),
    ]);
    await connection.query(writeProjection, [rows.map((id) => [id, version, version, new Date()])]);
    await connection.query('COMMIT');
  }
}

function idRows(ids: readonly Buffer[]): string {
  return ids.map((id) => `(${consumerId},X'${id.toString('hex')}')`).join();
}
