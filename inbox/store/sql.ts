/** The statements of the MySQL store. They run on MySQL 8.4 and MariaDB 10.11 and later. */

export const registerConsumer = `
INSERT INTO inbox_consumer (name, mode, created_at) VALUES (?, ?, UTC_TIMESTAMP(6))
ON DUPLICATE KEY UPDATE mode = mode`;

export const findConsumer = 'SELECT id, mode FROM inbox_consumer WHERE name = ?';

/**
 * Locks what is there. Rows that are missing are neither answered nor locked. Where the optimizer finds that much of a source's
 * streams is asked for it would scan them all, and a locking scan waits for each row that somebody else holds.
 */
export const lockStreams = (consumer: number, source: string, aggregateType: string, aggregateIds: string) => `
SELECT aggregate_id, incarnation, version, occurred_at_ms, parked
FROM inbox_stream FORCE INDEX (PRIMARY)
WHERE consumer = ${consumer} AND source = ${source} AND aggregate_type = ${aggregateType}
AND aggregate_id IN (${aggregateIds}) FOR UPDATE`;

/** Rows in sorted order; one that somebody else has made meanwhile stays as it is. */
export const createStreams = (rows: string) => `
INSERT INTO inbox_stream (consumer, source, aggregate_type, aggregate_id, incarnation, version, occurred_at_ms, parked)
VALUES ${rows} ON DUPLICATE KEY UPDATE version = version`;

export const writeStreams = (rows: string) => `
INSERT INTO inbox_stream (consumer, source, aggregate_type, aggregate_id, incarnation, version, occurred_at_ms, parked)
VALUES ${rows} ON DUPLICATE KEY UPDATE incarnation = VALUES(incarnation), version = VALUES(version),
occurred_at_ms = VALUES(occurred_at_ms), parked = VALUES(parked)`;

export const findSeen = (consumer: number, ids: string) => `
SELECT event_id FROM inbox WHERE consumer = ${consumer} AND event_id IN (${ids})`;

export const record = (rows: string) => `INSERT INTO inbox (consumer, event_id) VALUES ${rows}`;

export const writeOffsets = (rows: string) => `
INSERT INTO inbox_offset (consumer, topic, kafka_partition, next_offset, updated_at) VALUES ${rows}
ON DUPLICATE KEY UPDATE next_offset = GREATEST(next_offset, VALUES(next_offset)), updated_at = VALUES(updated_at)`;

export const resetOffset = `
INSERT INTO inbox_offset (consumer, topic, kafka_partition, next_offset, updated_at) VALUES (?, ?, ?, ?, UTC_TIMESTAMP(6))
ON DUPLICATE KEY UPDATE next_offset = VALUES(next_offset), updated_at = VALUES(updated_at)`;

export const allOffsets = `
SELECT topic, kafka_partition, CAST(next_offset AS CHAR) AS next_offset,
TIMESTAMPDIFF(MICROSECOND, '1970-01-01', updated_at) DIV 1000 AS updated_at_ms
FROM inbox_offset WHERE consumer = ?`;

export const findParked = (consumer: number, streams: string) => `
SELECT topic, kafka_partition, kafka_offset, timestamp_ms, aggregate_id, message_value, headers FROM inbox_parked
WHERE consumer = ${consumer} AND (${streams}) ORDER BY source, aggregate_type, aggregate_id, version`;

export const park = (rows: string) => `
INSERT INTO inbox_parked (consumer, source, aggregate_type, aggregate_id, incarnation, version, topic, kafka_partition,
kafka_offset, timestamp_ms, message_value, headers, parked_at) VALUES ${rows}`;

/** By the key, for the same reason; only this form of the statement can name it. */
export const unpark = (consumer: number, rows: string) => `
DELETE p FROM inbox_parked p FORCE INDEX (PRIMARY) WHERE consumer = ${consumer} AND (${rows})`;

export const writeDeadLetters = (rows: string) => `
INSERT INTO dead_letter (consumer, topic, kafka_partition, kafka_offset, timestamp_ms, message_key, message_value, headers,
reason, detail, attempts, event_id, event_type, source, aggregate_type, aggregate_id, version, created_at, last_seen_at)
VALUES ${rows} ON DUPLICATE KEY UPDATE attempts = attempts + VALUES(attempts), last_seen_at = VALUES(last_seen_at),
reason = VALUES(reason), detail = VALUES(detail)`;

/** The first parked event of each stream that has waited for so long (microseconds). */
export const gaps = `
SELECT p.source, p.aggregate_type, p.aggregate_id, p.incarnation, CAST(p.version AS CHAR) AS first_parked, p.topic,
p.kafka_partition, p.timestamp_ms, w.waiting, w.age_us DIV 1000 AS age_ms, s.incarnation AS applied_incarnation,
CAST(s.version AS CHAR) AS applied_version
FROM (SELECT source, aggregate_type, aggregate_id, incarnation, MIN(version) AS version, COUNT(*) AS waiting,
TIMESTAMPDIFF(MICROSECOND, MIN(parked_at), UTC_TIMESTAMP(6)) AS age_us FROM inbox_parked WHERE consumer = ?
GROUP BY source, aggregate_type, aggregate_id, incarnation) w
JOIN inbox_parked p ON p.consumer = ? AND p.source = w.source AND p.aggregate_type = w.aggregate_type
AND p.aggregate_id = w.aggregate_id AND p.incarnation = w.incarnation AND p.version = w.version
JOIN inbox_stream s ON s.consumer = ? AND s.source = w.source AND s.aggregate_type = w.aggregate_type
AND s.aggregate_id = w.aggregate_id
WHERE w.age_us >= ? ORDER BY w.age_us DESC LIMIT ?`;

export const backlog = `
SELECT (SELECT COUNT(*) FROM inbox_parked WHERE consumer = ?) AS parked,
(SELECT TIMESTAMPDIFF(MICROSECOND, MIN(parked_at), UTC_TIMESTAMP(6)) DIV 1000 FROM inbox_parked WHERE consumer = ?) AS age_ms,
(SELECT COUNT(*) FROM dead_letter WHERE consumer = ? AND state = 'waiting') AS dead_letters`;
