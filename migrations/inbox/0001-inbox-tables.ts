import type { Migration } from '../migration.ts';

/**
 * Consumers by number, so that the large tables carry two bytes in place of a name. mode: `state` or `sequence`; it never
 * changes for a consumer.
 */
const createConsumer = `
CREATE TABLE IF NOT EXISTS inbox_consumer (
  id SMALLINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name VARBINARY(190) NOT NULL,
  mode VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  created_at DATETIME(6) NOT NULL,
  UNIQUE KEY inbox_consumer_name (name)
) ENGINE=InnoDB`;

/**
 * Ids that were applied or found stale. Nothing but the key: ids are UUIDv7, so rows are in order of time, and old ones are
 * removed by a range of ids.
 */
const createInbox = `
CREATE TABLE IF NOT EXISTS inbox (
  consumer SMALLINT UNSIGNED NOT NULL,
  event_id BINARY(16) NOT NULL,
  PRIMARY KEY (consumer, event_id)
) ENGINE=InnoDB`;

/** Watermarks, kept for ever. parked: how many events of the stream wait in inbox_parked. */
const createStream = `
CREATE TABLE IF NOT EXISTS inbox_stream (
  consumer SMALLINT UNSIGNED NOT NULL,
  source VARBINARY(64) NOT NULL,
  aggregate_type VARBINARY(64) NOT NULL,
  aggregate_id VARBINARY(255) NOT NULL,
  incarnation BINARY(16) NOT NULL,
  version BIGINT UNSIGNED NOT NULL,
  occurred_at_ms BIGINT NOT NULL,
  parked INT UNSIGNED NOT NULL DEFAULT 0,
  PRIMARY KEY (consumer, source, aggregate_type, aggregate_id)
) ENGINE=InnoDB`;

/** The next offset to read: what Kafka's own committed offsets are checked against. */
const createOffset = `
CREATE TABLE IF NOT EXISTS inbox_offset (
  consumer SMALLINT UNSIGNED NOT NULL,
  topic VARBINARY(249) NOT NULL,
  kafka_partition INT UNSIGNED NOT NULL,
  next_offset BIGINT UNSIGNED NOT NULL,
  updated_at DATETIME(6) NOT NULL,
  PRIMARY KEY (consumer, topic, kafka_partition)
) ENGINE=InnoDB`;

/** Events of a sequence inbox that came too early, with the whole message. headers: JSON of base64 texts. */
const createParked = `
CREATE TABLE IF NOT EXISTS inbox_parked (
  consumer SMALLINT UNSIGNED NOT NULL,
  source VARBINARY(64) NOT NULL,
  aggregate_type VARBINARY(64) NOT NULL,
  aggregate_id VARBINARY(255) NOT NULL,
  incarnation BINARY(16) NOT NULL,
  version BIGINT UNSIGNED NOT NULL,
  topic VARBINARY(249) NOT NULL,
  kafka_partition INT UNSIGNED NOT NULL,
  kafka_offset BIGINT UNSIGNED NOT NULL,
  timestamp_ms BIGINT NOT NULL,
  message_value LONGBLOB NOT NULL,
  headers MEDIUMBLOB NOT NULL,
  parked_at DATETIME(6) NOT NULL,
  PRIMARY KEY (consumer, source, aggregate_type, aggregate_id, incarnation, version),
  KEY inbox_parked_age (consumer, parked_at)
) ENGINE=InnoDB`;

/**
 * Messages that could not be applied. What could be read of the event is in columns of its own. state: `waiting`, `replayed`
 * or `discarded`.
 */
const createDeadLetter = `
CREATE TABLE IF NOT EXISTS dead_letter (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  consumer SMALLINT UNSIGNED NOT NULL,
  topic VARBINARY(249) NOT NULL,
  kafka_partition INT UNSIGNED NOT NULL,
  kafka_offset BIGINT UNSIGNED NOT NULL,
  timestamp_ms BIGINT NOT NULL,
  message_key MEDIUMBLOB NULL,
  message_value LONGBLOB NULL,
  headers MEDIUMBLOB NOT NULL,
  reason VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  detail TEXT CHARACTER SET utf8mb4 NOT NULL,
  attempts INT UNSIGNED NOT NULL,
  event_id BINARY(16) NULL,
  event_type VARBINARY(190) NULL,
  source VARBINARY(64) NULL,
  aggregate_type VARBINARY(64) NULL,
  aggregate_id VARBINARY(255) NULL,
  version BIGINT UNSIGNED NULL,
  state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'waiting',
  created_at DATETIME(6) NOT NULL,
  last_seen_at DATETIME(6) NOT NULL,
  UNIQUE KEY dead_letter_position (consumer, topic, kafka_partition, kafka_offset),
  KEY dead_letter_state (consumer, state, id),
  KEY dead_letter_stream (consumer, source, aggregate_type, aggregate_id)
) ENGINE=InnoDB`;

const tables = ['inbox_consumer', 'inbox', 'inbox_stream', 'inbox_offset', 'inbox_parked', 'dead_letter'];

export const inboxTables: Migration = {
  name: 'inbox/0001-inbox-tables',
  async up(context) {
    for (const sql of [createConsumer, createInbox, createStream, createOffset, createParked, createDeadLetter]) {
      await context.query(sql);
    }
  },
  async down(context) {
    for (const table of tables) await context.query(`DROP TABLE IF EXISTS ${table}`);
  },
};
