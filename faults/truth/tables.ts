import { boardSources } from '../../events/board.ts';

/**
 * What the harness knows without asking the code under test: rows that triggers write inside the very transactions of the
 * producers, the relay and the consumers. No table has a unique key but its counter: what counts effects must not be able
 * to refuse one. `process` is the MySQL account, and each node has its own.
 */

/** Each event that was committed, from its row in an outbox. */
const ledger = `
CREATE TABLE ledger (
  seq BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  process VARCHAR(64) NOT NULL, at DATETIME(6) NOT NULL, source VARCHAR(64) NOT NULL,
  event_id BINARY(16) NOT NULL, outbox_id BIGINT UNSIGNED NOT NULL, aggregate_id VARBINARY(255) NOT NULL,
  version BIGINT UNSIGNED NOT NULL, event_type VARCHAR(64) NOT NULL, payload MEDIUMBLOB NOT NULL,
  KEY ledger_event (event_id)
) ENGINE=InnoDB`;

/**
 * Each change of a producer's own tables: what must have an event, seen without the outbox. Views are gathered, several flushes to
 * an event: they are added up at the end (verify/own-checks.ts).
 */
const domainChange = `
CREATE TABLE domain_change (
  seq BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  source VARCHAR(64) NOT NULL, article_id BIGINT UNSIGNED NOT NULL
) ENGINE=InnoDB`;

/** Each row that a relay deleted after its acknowledgement. */
const mark = `
CREATE TABLE mark (
  seq BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  process VARCHAR(64) NOT NULL, at DATETIME(6) NOT NULL, source VARCHAR(64) NOT NULL,
  outbox_id BIGINT UNSIGNED NOT NULL, bucket SMALLINT UNSIGNED NOT NULL
) ENGINE=InnoDB`;

/** Each change of owner or term. early: the term before was not over on the database's own clock. */
const lease = `
CREATE TABLE lease (
  seq BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  process VARCHAR(64) NOT NULL, at DATETIME(6) NOT NULL, source VARCHAR(64) NOT NULL, bucket SMALLINT UNSIGNED NOT NULL,
  owner VARCHAR(128) NULL, epoch BIGINT UNSIGNED NOT NULL, early TINYINT UNSIGNED NOT NULL
) ENGINE=InnoDB`;

/** What the consumers' transactions did to their inbox, in the order in which they did it. */
const consumed = `
CREATE TABLE consumed (
  seq BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  process VARCHAR(64) NOT NULL, at DATETIME(6) NOT NULL, consumer VARCHAR(64) NOT NULL,
  kind ENUM('recorded', 'parked', 'dead', 'watermark', 'offset') NOT NULL,
  event_id BINARY(16) NULL, source VARCHAR(64) NULL, aggregate_id VARBINARY(255) NULL, version BIGINT UNSIGNED NULL,
  topic VARCHAR(249) NULL, kafka_partition INT UNSIGNED NULL, kafka_offset BIGINT UNSIGNED NULL,
  KEY consumed_event (event_id)
) ENGINE=InnoDB`;

/** Each effect: of the hot list's projection by a trigger, of the auditor by its own handler. */
const effect = `
CREATE TABLE effect (
  seq BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  process VARCHAR(64) NOT NULL, at DATETIME(6) NOT NULL, consumer VARCHAR(64) NOT NULL, source VARCHAR(64) NOT NULL,
  event_id BINARY(16) NULL, aggregate_id VARBINARY(255) NOT NULL, version BIGINT UNSIGNED NOT NULL,
  KEY effect_event (event_id)
) ENGINE=InnoDB`;

export const truthTables = [ledger, domainChange, mark, lease, consumed, effect];

export interface Databases {
  /** Where the truth is kept. */
  truth: string;
  /** Name on the server of the database of a service. */
  of(service: string): string;
  auditor: string;
}

/** A statement to run in a database: `CREATE TRIGGER`. */
export interface Trigger {
  database: string;
  sql: string;
}

const who = `SUBSTRING_INDEX(USER(), '@', 1)`;

export function triggers({ truth, of, auditor }: Databases): Trigger[] {
  const producers = boardSources.flatMap((source) => onProducer(truth, of(source), source));
  const domains = [
    counts(truth, of('like'), 'like', 'article_like', ['INSERT', 'DELETE'], 'article_id'),
    counts(truth, of('comment'), 'comment', 'comment', ['INSERT', 'DELETE'], 'article_id'),
    counts(truth, of('article'), 'article', 'article', ['INSERT', 'UPDATE', 'DELETE'], 'id'),
  ].flat();
  const consumers = [
    ...onInbox(truth, of('hot-article'), 'hot-article'),
    ...onHotArticle(truth, of('hot-article')),
    ...onInbox(truth, auditor, 'auditor'),
  ];
  return [...producers, ...domains, ...consumers];
}

function onProducer(truth: string, database: string, source: string): Trigger[] {
  return [
    after(database, 'INSERT', 'outbox', [
      `INSERT INTO ${truth}.ledger (process, at, source, event_id, outbox_id, aggregate_id, version, event_type, payload)
       VALUES (${who}, UTC_TIMESTAMP(6), '${source}', NEW.event_id, NEW.id, NEW.aggregate_id, NEW.version, NEW.event_type,
         NEW.payload)`,
    ]),
    after(database, 'DELETE', 'outbox_pending', [
      `INSERT INTO ${truth}.mark (process, at, source, outbox_id, bucket)
       VALUES (${who}, UTC_TIMESTAMP(6), '${source}', OLD.id, OLD.bucket)`,
    ]),
    after(database, 'UPDATE', 'outbox_lease', [
      `IF NEW.epoch <> OLD.epoch OR NOT (NEW.owner <=> OLD.owner) THEN
         INSERT INTO ${truth}.lease (process, at, source, bucket, owner, epoch, early)
         VALUES (${who}, UTC_TIMESTAMP(6), '${source}', NEW.bucket, NEW.owner, NEW.epoch,
           NEW.epoch <> OLD.epoch AND OLD.owner IS NOT NULL AND OLD.expires_at > UTC_TIMESTAMP(6));
       END IF`,
    ]),
  ];
}

function counts(
  truth: string,
  database: string,
  source: string,
  table: string,
  on: readonly Statement[],
  id: string,
): Trigger[] {
  return on.map((statement) => {
    const row = statement === 'DELETE' ? 'OLD' : 'NEW';
    const sql = `INSERT INTO ${truth}.domain_change (source, article_id) VALUES ('${source}', ${row}.${id})`;
    return after(database, statement, table, [sql]);
  });
}

function onInbox(truth: string, database: string, consumer: string): Trigger[] {
  const write = (kind: string, columns: string, values: string) =>
    `INSERT INTO ${truth}.consumed (process, at, consumer, kind, ${columns})
     VALUES (${who}, UTC_TIMESTAMP(6), '${consumer}', '${kind}', ${values})`;
  const watermark = write('watermark', 'source, aggregate_id, version', 'NEW.source, NEW.aggregate_id, NEW.version');
  const place = 'topic, kafka_partition, kafka_offset';
  const offset = write('offset', place, 'NEW.topic, NEW.kafka_partition, NEW.next_offset');
  return [
    after(database, 'INSERT', 'inbox', [write('recorded', 'event_id', 'NEW.event_id')]),
    after(database, 'INSERT', 'inbox_parked', [
      write('parked', 'source, aggregate_id, version', 'NEW.source, NEW.aggregate_id, NEW.version'),
    ]),
    after(database, 'INSERT', 'dead_letter', [
      write('dead', `event_id, ${place}`, 'NEW.event_id, NEW.topic, NEW.kafka_partition, NEW.kafka_offset'),
    ]),
    after(database, 'INSERT', 'inbox_stream', [`IF NEW.version > 0 THEN ${watermark}; END IF`]),
    after(database, 'UPDATE', 'inbox_stream', [`IF NEW.version <> OLD.version THEN ${watermark}; END IF`]),
    after(database, 'INSERT', 'inbox_offset', [offset]),
    after(database, 'UPDATE', 'inbox_offset', [`IF NEW.next_offset <> OLD.next_offset THEN ${offset}; END IF`]),
  ];
}

/** The projection has a version for each source: an effect is that one changes. */
function onHotArticle(truth: string, database: string): Trigger[] {
  const write = (source: string) =>
    `INSERT INTO ${truth}.effect (process, at, consumer, source, aggregate_id, version)
     VALUES (${who}, UTC_TIMESTAMP(6), 'hot-article', '${source}', NEW.article_id, NEW.${source}_version)`;
  return [
    after(
      database,
      'INSERT',
      'hot_article',
      boardSources.map((source) => `IF NEW.${source}_version > 0 THEN ${write(source)}; END IF`),
    ),
    after(
      database,
      'UPDATE',
      'hot_article',
      boardSources.map(
        (source) =>
          `IF NEW.${source}_version <> OLD.${source}_version OR NEW.${source}_line <> OLD.${source}_line THEN ${write(source)}; END IF`,
      ),
    ),
  ];
}

type Statement = 'INSERT' | 'UPDATE' | 'DELETE';

function after(database: string, statement: Statement, table: string, body: readonly string[]): Trigger {
  const name = `truth_${table}_${statement.toLowerCase()}`;
  const sql = `CREATE TRIGGER ${name} AFTER ${statement} ON ${table} FOR EACH ROW BEGIN ${body.join('; ')}; END`;
  return { database, sql };
}
