/** The statements of the dead-letter operations. They run on MySQL 8.4 and MariaDB 10.11 and later. */

const time = (column: string) => `TIMESTAMPDIFF(MICROSECOND, '1970-01-01', ${column}) DIV 1000`;

const summary = `
SELECT CAST(id AS CHAR) AS id, state, revision, topic, kafka_partition, CAST(kafka_offset AS CHAR) AS kafka_offset, reason,
detail, attempts, event_id, event_type, source, aggregate_type, aggregate_id, CAST(version AS CHAR) AS version,
${time('created_at')} AS created_ms, ${time('last_seen_at')} AS last_seen_ms, ${time('settled_at')} AS settled_ms`;

/** `conditions` begins with ` AND` or is empty. */
export const list = (conditions: string) =>
  `${summary} FROM dead_letter WHERE consumer = ? AND id > ?${conditions} ORDER BY id LIMIT ?`;

export const find = `${summary}, timestamp_ms, message_key, message_value, headers
FROM dead_letter WHERE consumer = ? AND id = ?`;

export const lock = 'SELECT state, revision FROM dead_letter WHERE consumer = ? AND id = ? FOR UPDATE';

export const settle = 'UPDATE dead_letter SET state = ?, settled_at = UTC_TIMESTAMP(6) WHERE consumer = ? AND id = ?';

export const failAgain = `
UPDATE dead_letter SET attempts = attempts + 1, reason = ?, detail = ?, last_seen_at = UTC_TIMESTAMP(6)
WHERE consumer = ? AND id = ?`;

export const rewrite = `
UPDATE dead_letter SET message_key = ?, message_value = ?, headers = ?, event_id = ?, event_type = ?, source = ?,
aggregate_type = ?, aggregate_id = ?, version = ?, revision = revision + 1 WHERE consumer = ? AND id = ?`;

export const writeAudit = `
INSERT INTO dead_letter_audit (consumer, dead_letter, action, outcome, done_by, why, message_before, message_after, done_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, UTC_TIMESTAMP(6))`;

/** The newest entries of a letter. */
export const audit = `
SELECT CAST(id AS CHAR) AS id, action, outcome, done_by, why, message_before, message_after, ${time('done_at')} AS done_ms
FROM dead_letter_audit WHERE consumer = ? AND dead_letter = ? ORDER BY id DESC LIMIT ?`;
