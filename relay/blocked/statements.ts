/** Every statement about blocked keys that a relay sends. 64-bit numbers are digits that came from these tables (`digits`). */

/** Holds the lease row until the transaction ends: nobody takes the bucket over before. Parameters: bucket, owner, epoch. */
export const checkFence = `
SELECT epoch FROM outbox_lease WHERE bucket = ? AND owner = ? AND epoch = ? AND expires_at > UTC_TIMESTAMP(6) FOR UPDATE`;

const blockedColumns = `CAST(key_hash AS CHAR), aggregate_id, state, attempts,
  TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), next_attempt_at), row_id, error_code, last_error`;

export const readBlocked = `SELECT ${blockedColumns} FROM outbox_blocked WHERE bucket = ?`;

export const listBlocked = `
SELECT ${blockedColumns}, bucket, TIMESTAMPDIFF(MICROSECOND, blocked_at, UTC_TIMESTAMP(6))
FROM outbox_blocked ORDER BY blocked_at, key_hash LIMIT ?`;

export const readBlockedKey = (keyHash: string) => `
SELECT ${blockedColumns} FROM outbox_blocked WHERE bucket = ? AND key_hash = ${keyHash} FOR UPDATE`;

/** Parameters of each row: bucket, key hash, aggregate id, attempts, micros, state, row id, code, error. */
export const saveBlocked = (rows: number) => `
INSERT INTO outbox_blocked (bucket, key_hash, aggregate_id, attempts, next_attempt_at, state, row_id, error_code, last_error,
  blocked_at)
VALUES ${Array(rows).fill('(?, ?, ?, ?, UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND, ?, ?, ?, ?, UTC_TIMESTAMP(6))').join(', ')}
ON DUPLICATE KEY UPDATE aggregate_id = IF(VALUES(aggregate_id) = '', aggregate_id, VALUES(aggregate_id)),
  attempts = VALUES(attempts), next_attempt_at = VALUES(next_attempt_at), state = VALUES(state), row_id = VALUES(row_id),
  error_code = VALUES(error_code), last_error = VALUES(last_error), blocked_at = COALESCE(blocked_at, VALUES(blocked_at))`;

/** Those of the keys that are in this state: what comes late must not move rows of a key that has gone on since. */
export const keysInState = (keyHashes: readonly string[]) => `
SELECT CAST(key_hash AS CHAR) FROM outbox_blocked WHERE bucket = ? AND state = ? AND key_hash IN (${keyHashes.join(',')})`;

/** Rows of keys that are in other states than they should be. No locks: who inserts or deletes is not in the way. */
export const rowsElsewhere = (keyHashes: readonly string[], states: readonly number[]) => `
SELECT id FROM outbox_pending WHERE bucket = ? AND state IN (${states.join(', ')}) AND key_hash IN (${keyHashes.join(',')})
ORDER BY state, id LIMIT ?`;

export const setState = (ids: readonly string[], from: readonly number[]) => `
UPDATE outbox_pending SET state = ? WHERE bucket = ? AND state IN (${from.join(', ')}) AND id IN (${ids.join(',')})`;

export const firstBlockedRows = (keyHashes: readonly string[]) => `
SELECT p.id, p.day, p.key_hash FROM outbox_pending p JOIN (
  SELECT MIN(id) AS id FROM outbox_pending WHERE bucket = ? AND state IN (1, 2) AND key_hash IN (${keyHashes.join(',')})
  GROUP BY key_hash
) first ON first.id = p.id ORDER BY p.id`;

export const forgetBlocked = (keyHashes: readonly string[]) => `
DELETE FROM outbox_blocked
WHERE bucket = ? AND state = 3 AND request IS NULL AND key_hash IN (${keyHashes.join(',')})`;

export const blockedAmong = (keyHashes: readonly string[]) => `
SELECT CAST(key_hash AS CHAR) FROM outbox_blocked WHERE bucket = ? AND key_hash IN (${keyHashes.join(',')})`;

export const readRequests = `
SELECT a.id, CAST(b.key_hash AS CHAR), a.action, a.row_id, a.reason
FROM outbox_blocked b JOIN outbox_audit a ON a.id = b.request WHERE b.bucket = ? AND b.request IS NOT NULL`;

export const lockAudit = (id: string) => `SELECT state, after_event FROM outbox_audit WHERE id = ${id} FOR UPDATE`;

/** Parameters: state, result, before, after. */
export const finishAudit = (id: string) => `
UPDATE outbox_audit SET state = ?, result = ?, before_event = ?, after_event = COALESCE(?, after_event),
  finished_at = UTC_TIMESTAMP(6)
WHERE id = ${id}`;

/** Parameters: bucket, aggregate id, who, reason, before, after. */
export const insertSkipAudit = (keyHash: string, rowId: string) => `
INSERT INTO outbox_audit (bucket, key_hash, aggregate_id, row_id, action, who, reason, before_event, after_event, state, result,
  requested_at, finished_at)
VALUES (?, ${keyHash}, ?, ${rowId}, 'skip', ?, ?, ?, ?, 'done', NULL, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))`;

export const clearRequest = (keyHash: string) => `
UPDATE outbox_blocked SET request = NULL WHERE bucket = ? AND key_hash = ${keyHash}`;

/** The key begins anew, at once. */
export const beginAnew = (keyHash: string) => `
UPDATE outbox_blocked SET state = 1, attempts = 0, next_attempt_at = UTC_TIMESTAMP(6)
WHERE bucket = ? AND key_hash = ${keyHash}`;

export const pendingRow = (rowId: string, keyHash: string) => `
SELECT day, version FROM outbox_pending WHERE id = ${rowId} AND bucket = ? AND key_hash = ${keyHash}`;

/** Parameter: day. */
export const lockEvent = (rowId: string) => `
SELECT event_id, aggregate_id, event_type, schema_version, payload FROM outbox WHERE id = ${rowId} AND day = ? FOR UPDATE`;

/** Parameters: type, schema version, payload, day. */
export const rewriteEvent = (rowId: string) => `
UPDATE outbox SET event_type = ?, schema_version = ?, payload = ? WHERE id = ${rowId} AND day = ?`;

/** Which version lines a key's hash can stand for. The expression is `keyHashOf` of outbox/keys.ts. */
export const linesOfKey = (keyHash: string) => `
SELECT aggregate_type, aggregate_id FROM outbox_stream
WHERE CAST(CONV(LEFT(SHA1(aggregate_id), 16), 16, 10) AS UNSIGNED) = ${keyHash} AND version >= ?`;

/** Parameters: day, event id in hex, aggregate type, aggregate id, version, type, payload. */
export const insertEvent = (rowId: string) => `
INSERT INTO outbox (id, day, event_id, aggregate_type, aggregate_id, version, event_type, schema_version, payload, headers,
  created_at)
VALUES (${rowId}, ?, UNHEX(?), ?, ?, ?, ?, 1, ?, NULL, UTC_TIMESTAMP(6))`;
