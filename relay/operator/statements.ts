/** Every statement that an operator's action sends. 64-bit numbers are digits (`digits`). */

export const readMeta = 'SELECT buckets FROM outbox_meta';

const keyColumns = `b.state, b.attempts, TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), b.next_attempt_at), b.row_id, b.error_code,
  b.last_error, b.request`;

const eventColumns = `o.event_id, o.aggregate_type, o.aggregate_id, o.event_type, o.schema_version, o.created_at`;

const unsent = `
FROM outbox_pending p
LEFT JOIN outbox o ON o.id = p.id AND o.day = p.day
LEFT JOIN outbox_blocked b ON b.bucket = p.bucket AND b.key_hash = p.key_hash`;

/** Values: state, bucket and type where they are asked for, then limit and offset. */
export const listUnsent = (by: { state: boolean; keyHash: string | null; type: boolean }) => `
SELECT p.id, p.bucket, p.state, p.version, CAST(p.key_hash AS CHAR), ${eventColumns}, ${keyColumns} ${unsent}
WHERE 1 = 1 ${by.state ? 'AND p.state = ?' : ''} ${by.keyHash === null ? '' : `AND p.bucket = ? AND p.key_hash = ${by.keyHash}`}
  ${by.type ? 'AND o.event_type = ?' : ''}
ORDER BY p.id LIMIT ? OFFSET ?`;

export const showUnsent = (id: string) => `
SELECT p.id, p.bucket, p.state, p.version, CAST(p.key_hash AS CHAR), ${eventColumns}, ${keyColumns}, o.payload, o.headers ${unsent}
WHERE p.id = ${id}`;

/** One that was sent: of the history. */
export const showSent = (id: string) => `
SELECT o.id, o.version, ${eventColumns}, o.payload, o.headers FROM outbox o WHERE o.id = ${id}`;

export const auditsOfKey = (keyHash: string) => `
SELECT id, action, who, reason, row_id, state, result, requested_at, finished_at
FROM outbox_audit WHERE bucket = ? AND key_hash = ${keyHash} ORDER BY id DESC LIMIT ?`;

export const keysToRetry = `
SELECT bucket, CAST(key_hash AS CHAR) FROM outbox_blocked WHERE request IS NULL AND state <> 3
ORDER BY blocked_at, key_hash LIMIT ?`;

export const lockKey = (keyHash: string) => `
SELECT aggregate_id, state, request FROM outbox_blocked WHERE bucket = ? AND key_hash = ${keyHash} FOR UPDATE`;

/** Values: bucket, aggregate id, row id, action, who, reason, what is to be there after. */
export const insertRequest = (keyHash: string) => `
INSERT INTO outbox_audit (bucket, key_hash, aggregate_id, row_id, action, who, reason, after_event, state, requested_at)
VALUES (?, ${keyHash}, ?, ?, ?, ?, ?, ?, 'requested', UTC_TIMESTAMP(6))`;

export const lastInsertId = 'SELECT CAST(LAST_INSERT_ID() AS CHAR)';

export const setRequest = (keyHash: string) => `
UPDATE outbox_blocked SET request = ? WHERE bucket = ? AND key_hash = ${keyHash}`;

export const requestStates = (ids: readonly string[]) => `
SELECT CAST(id AS CHAR), state, result FROM outbox_audit WHERE id IN (${ids.join(',')})`;
