/** Every statement that the relay sends to a source's database. Each commits by itself. */

/**
 * Leases, members and what the outbox agrees on, at one moment of the database's clock: what is left is computed there.
 * The last column of the meta row is the database's time of day in microseconds.
 */
export const readLeases = `
SELECT 'lease' AS kind, bucket AS number, owner AS name, epoch,
  TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), expires_at) AS micros
FROM outbox_lease
UNION ALL
SELECT 'member', 0, member, 0, TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), expires_at) FROM outbox_member
UNION ALL
SELECT 'meta', buckets, incarnation, 0, TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) FROM outbox_meta`;

export const heartbeat = `
INSERT INTO outbox_member (member, expires_at) VALUES (?, UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND)
ON DUPLICATE KEY UPDATE expires_at = VALUES(expires_at)`;

/** All of an owner's leases at once. What somebody else took meanwhile has another owner and stays as it is. */
export const renewLeases = `
UPDATE outbox_lease SET expires_at = UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND WHERE owner = ?`;

/** Takes what is over, in a new term each. */
export const acquireLeases = `
UPDATE outbox_lease SET owner = ?, epoch = epoch + 1, expires_at = UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND
WHERE bucket IN (?) AND (owner IS NULL OR expires_at <= UTC_TIMESTAMP(6))`;

/** Ends exactly this term; the epoch stays and grows with the next owner. */
export const releaseLease = `
UPDATE outbox_lease SET owner = NULL, expires_at = UTC_TIMESTAMP(6) WHERE bucket = ? AND owner = ? AND epoch = ?`;

/** Also removes those that died long ago. */
export const leave = `
DELETE FROM outbox_member WHERE member = ? OR expires_at < UTC_TIMESTAMP(6) - INTERVAL 1 HOUR`;

/** The oldest unsent rows of a bucket: always from the head, never behind a cursor, since a lower id may commit later. */
export const readHead = (withoutKeys: readonly string[]) => `
SELECT id, day, key_hash FROM outbox_pending WHERE bucket = ? AND state = 0
${withoutKeys.length > 0 ? `AND key_hash NOT IN (${withoutKeys.join(',')})` : ''} ORDER BY id LIMIT ?`;

const eventColumns =
  'event_id, aggregate_type, aggregate_id, version, event_type, schema_version, payload, headers, created_at';

/** Ids are digits that came from this table: they go into the statement as numbers, as text would compare as doubles. */
export const fetchEvents = (ids: readonly string[]) => `
SELECT id, ${eventColumns}
FROM outbox WHERE day = ? AND id IN (${ids.join(',')})`;

/** How the statement begins after which sent rows are gone: tests that strike at it know it by this. */
export const deletesPending = 'DELETE p FROM outbox_pending';

/** MariaDB makes a table of a list with 1,000 numbers, and may read a whole bucket to join it. */
const longestList = 500;

function isOneOf(ids: readonly string[]): string {
  const lists: string[] = [];
  for (let from = 0; from < ids.length; from += longestList) {
    lists.push(`p.id IN (${ids.slice(from, from + longestList).join(',')})`);
  }
  return `(${lists.join(' OR ')})`;
}

/**
 * A table of few rows would be scanned as a whole, and a scan that deletes waits for each row that a writer has not committed yet.
 * Only this form of the statement takes an index by name.
 */
const deleteRows = (states: string, parts: readonly (readonly string[])[]) => `
${deletesPending} p FORCE INDEX (PRIMARY)
WHERE ${parts.map((ids) => `(p.bucket = ? AND p.state ${states} AND ${isOneOf(ids)})`).join(' OR ')}`;

export const deletePending = (parts: readonly (readonly string[])[]) => deleteRows('= 0', parts);

/** The same for rows whose key is blocked. */
export const deleteBlocked = (parts: readonly (readonly string[])[]) => deleteRows('IN (1, 2)', parts);

const unsentColumns = `p.bucket, p.key_hash, p.day, p.id, ${eventColumns.replaceAll(/\w+/g, 'o.$&')}`;
const joinEvents = 'LEFT JOIN outbox o ON o.id = p.id AND o.day = p.day';

/** The oldest unsent rows of several buckets with their events; the values: buckets and limit. All of them where there are fewer. */
export const readSome = `
SELECT ${unsentColumns}
FROM outbox_pending p FORCE INDEX (PRIMARY) ${joinEvents}
WHERE p.bucket IN (?) AND p.state = 0 ORDER BY p.bucket, p.id LIMIT ?`;

/** The same with a limit for each bucket, at the price of a statement each. The values: bucket and limit for each. */
export const readFirst = (buckets: number) =>
  Array(buckets)
    .fill(
      `(SELECT ${unsentColumns}
FROM outbox_pending p ${joinEvents}
WHERE p.bucket = ? AND p.state = 0 ORDER BY p.id LIMIT ?)`,
    )
    .join(' UNION ALL ');

/** The first unsent row of each bucket: one look into the index for each. */
const heads = `
SELECT l.bucket,
  (SELECT p.id FROM outbox_pending p WHERE p.bucket = l.bucket AND p.state = 0 ORDER BY p.id LIMIT 1) AS head
FROM outbox_lease l`;

export const bucketsWithWork = `
SELECT bucket FROM (${heads}) h WHERE head IS NOT NULL
UNION SELECT bucket FROM outbox_blocked WHERE request IS NOT NULL`;

/** For each bucket with unsent rows: how long the oldest has waited, in microseconds. */
export const oldestUnsent = `
SELECT h.bucket, TIMESTAMPDIFF(MICROSECOND, o.created_at, UTC_TIMESTAMP(6)) AS micros
FROM (${heads}) h
JOIN outbox_pending p ON p.bucket = h.bucket AND p.state = 0 AND p.id = h.head
LEFT JOIN outbox o ON o.id = p.id AND o.day = p.day`;

/**
 * Unsent rows by state, counted up to a limit so that a large backlog is not scanned again and again; and blocked keys by
 * state, of which 2 is dead.
 */
export const countUnsent = `
SELECT 'rows' AS kind, state, COUNT(*) AS counted FROM (SELECT state FROM outbox_pending LIMIT ?) some GROUP BY state
UNION ALL SELECT 'keys', state, COUNT(*) FROM outbox_blocked GROUP BY state`;
