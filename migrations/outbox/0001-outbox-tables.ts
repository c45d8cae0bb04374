import { eventIdText, newEventId } from '../../outbox/event-id.ts';
import type { Migration, MigrationContext } from '../migration.ts';

/** Days that get a partition of their own at once; the janitor splits off more later. */
const daysAhead = 14;

/**
 * One row: what the whole outbox agrees on. The incarnation tells a database made anew from the old one; a UUIDv7, so that of
 * two the later one is greater.
 */
const createMeta = `
CREATE TABLE IF NOT EXISTS outbox_meta (
  id TINYINT UNSIGNED NOT NULL PRIMARY KEY,
  incarnation CHAR(36) CHARACTER SET ascii NOT NULL,
  buckets SMALLINT UNSIGNED NOT NULL,
  created_at DATETIME(6) NOT NULL
) ENGINE=InnoDB`;

/** The version line of each aggregate. Taking the next version locks the row until commit. */
const createStream = `
CREATE TABLE IF NOT EXISTS outbox_stream (
  aggregate_type VARBINARY(64) NOT NULL,
  aggregate_id VARBINARY(255) NOT NULL,
  version BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (aggregate_type, aggregate_id)
) ENGINE=InnoDB`;

/**
 * A thin row for each event that is not yet sent. state: 0 = pending, 1 = its key is blocked, 2 = dead. Event ids come from
 * here, since this table is never partitioned (ADR 0005).
 */
const createPending = `
CREATE TABLE IF NOT EXISTS outbox_pending (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  bucket SMALLINT UNSIGNED NOT NULL,
  state TINYINT UNSIGNED NOT NULL DEFAULT 0,
  key_hash BIGINT UNSIGNED NOT NULL,
  version BIGINT UNSIGNED NOT NULL,
  day DATE NOT NULL,
  PRIMARY KEY (bucket, state, id),
  UNIQUE KEY outbox_pending_id (id)
) ENGINE=InnoDB`;

/** The history. Written once, dropped by the day. headers: JSON text of further headers (traceparent), or NULL. */
const createOutbox = (partitions: string) => `
CREATE TABLE IF NOT EXISTS outbox (
  id BIGINT UNSIGNED NOT NULL,
  day DATE NOT NULL,
  event_id BINARY(16) NOT NULL,
  aggregate_type VARBINARY(64) NOT NULL,
  aggregate_id VARBINARY(255) NOT NULL,
  version BIGINT UNSIGNED NOT NULL,
  event_type VARBINARY(64) NOT NULL,
  schema_version SMALLINT UNSIGNED NOT NULL,
  payload MEDIUMBLOB NOT NULL,
  headers BLOB NULL,
  created_at DATETIME(6) NOT NULL,
  PRIMARY KEY (id, day),
  KEY outbox_gap (aggregate_type, aggregate_id, version)
) ENGINE=InnoDB
PARTITION BY RANGE COLUMNS (day) (
${partitions}
)`;

/** Keys whose event fails. request: what an operator wants (retry, drop), carried out by the bucket's owner. */
const createBlocked = `
CREATE TABLE IF NOT EXISTS outbox_blocked (
  bucket SMALLINT UNSIGNED NOT NULL,
  key_hash BIGINT UNSIGNED NOT NULL,
  aggregate_id VARBINARY(255) NOT NULL,
  attempts INT UNSIGNED NOT NULL DEFAULT 0,
  next_attempt_at DATETIME(6) NOT NULL,
  state TINYINT UNSIGNED NOT NULL DEFAULT 1,
  last_error VARCHAR(2000) CHARACTER SET utf8mb4 NULL,
  request VARCHAR(32) CHARACTER SET ascii NULL,
  PRIMARY KEY (bucket, key_hash)
) ENGINE=InnoDB`;

const createLease = `
CREATE TABLE IF NOT EXISTS outbox_lease (
  bucket SMALLINT UNSIGNED NOT NULL PRIMARY KEY,
  owner VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  epoch BIGINT UNSIGNED NOT NULL DEFAULT 0,
  expires_at DATETIME(6) NOT NULL
) ENGINE=InnoDB`;

/** Relays that take part in sharing out this outbox's buckets, whether they have any or not (relay/lease/README.md). */
const createMember = `
CREATE TABLE IF NOT EXISTS outbox_member (
  member VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
  expires_at DATETIME(6) NOT NULL
) ENGINE=InnoDB`;

const insertMeta = `
INSERT INTO outbox_meta (id, incarnation, buckets, created_at)
SELECT 1, ?, ?, UTC_TIMESTAMP(6) FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM outbox_meta)`;

const readBuckets = 'SELECT buckets FROM outbox_meta WHERE id = 1';

/** Epoch 0 and a time long past: free. */
const insertLease = `
INSERT INTO outbox_lease (bucket, owner, epoch, expires_at)
SELECT ?, NULL, 0, '1970-01-02 00:00:00' FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM outbox_lease WHERE bucket = ?)`;

export const outboxTables: Migration = {
  name: 'outbox/0001-outbox-tables',
  async up(context) {
    for (const sql of [createMeta, createStream, createPending, createBlocked, createLease, createMember]) {
      await context.query(sql);
    }
    await context.query(createOutbox(await firstPartitions(context)));
    await context.query(insertMeta, [eventIdText(newEventId()), context.buckets]);
    const [meta] = await context.query<{ buckets: number }>(readBuckets);
    for (let bucket = 0; bucket < meta!.buckets; bucket++) await context.query(insertLease, [bucket, bucket]);
  },
  async down(context) {
    for (const table of [
      'outbox_member',
      'outbox_lease',
      'outbox_blocked',
      'outbox',
      'outbox_pending',
      'outbox_stream',
      'outbox_meta',
    ]) {
      await context.query(`DROP TABLE IF EXISTS ${table}`);
    }
  },
};

/** A partition for each day from today (by the database's clock), and one that takes whatever comes later. */
async function firstPartitions(context: MigrationContext): Promise<string> {
  const [row] = await context.query<{ today: string }>('SELECT UTC_DATE() AS today');
  const today = Date.parse(`${row!.today}T00:00:00Z`);
  const day = (offset: number) => new Date(today + offset * 86_400_000).toISOString().slice(0, 10);
  const lines: string[] = [];
  for (let offset = 0; offset < daysAhead; offset++) {
    lines.push(`  PARTITION p${day(offset).replaceAll('-', '')} VALUES LESS THAN ('${day(offset + 1)}')`);
  }
  lines.push('  PARTITION pmax VALUES LESS THAN (MAXVALUE)');
  return lines.join(',\n');
}
