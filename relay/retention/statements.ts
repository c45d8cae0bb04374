/** Statements of the janitor. Names of partitions and days are digits and letters that were checked. */

export const readToday = 'SELECT UTC_DATE() AS today';

export const readPartitions = `
SELECT partition_name AS name, partition_description AS bound FROM information_schema.partitions
WHERE table_schema = DATABASE() AND table_name = 'outbox' AND partition_name IS NOT NULL
ORDER BY partition_ordinal_position`;

export const countRows = (partition: string) =>
  `SELECT COUNT(*) AS counted FROM (SELECT id FROM outbox PARTITION (${partition}) LIMIT ?) AS some_rows`;

/** Reads all thin rows, as there is no index for it: asked only where there is something to drop. */
export const readUnsentDays = 'SELECT DISTINCT day FROM outbox_pending WHERE day < ? ORDER BY day';

export const splitOff = (last: string, name: string, before: string) => `
ALTER TABLE outbox REORGANIZE PARTITION ${last} INTO (
  PARTITION ${name} VALUES LESS THAN ('${before}'), PARTITION ${last} VALUES LESS THAN (MAXVALUE))`;

/**
 * Dropping a partition with many rows holds up all writers until its file is gone (2.7 s for a million rows of 600 bytes). So its
 * rows change places with an empty table first, which takes milliseconds however many there are.
 */
export const dropExpired = 'DROP TABLE IF EXISTS outbox_expired';
export const showOutbox = 'SHOW CREATE TABLE outbox';
/**
 * The table `outbox` without partitions, from what the server says of it; null where that can't be read. (`CREATE TABLE … LIKE` and
 * `REMOVE PARTITIONING` make and remove a file for each partition: half a second and more of the disk's time.)
 */
export function createExpired(shown: string): string | null {
  const parts = /^CREATE TABLE `outbox` (\([\s\S]*?)\s*\n\s*(?:\/\*!\d+ )?PARTITION BY /.exec(shown);
  return parts && `CREATE TABLE outbox_expired ${parts[1]}`;
}
export const exchangeExpired = (name: string) =>
  `ALTER TABLE outbox EXCHANGE PARTITION ${name} WITH TABLE outbox_expired`;
export const dropEmpty = (name: string) => `ALTER TABLE outbox DROP PARTITION ${name}`;

export const trimRows = (partition: string) =>
  `DELETE FROM outbox PARTITION (${partition}) WHERE day < ? ORDER BY id LIMIT 1000`;

/** Rows that a blocked key waits for stay, however old they are. `MAX(id)`: the last of the oldest rows that is old enough. */
export const lastOldAudit = `
SELECT CAST(MAX(id) AS CHAR) AS id FROM (
  SELECT id, requested_at FROM outbox_audit
  WHERE id NOT IN (SELECT request FROM outbox_blocked WHERE request IS NOT NULL) ORDER BY id LIMIT 500) AS oldest
WHERE requested_at < UTC_TIMESTAMP(6) - INTERVAL ? DAY`;
export const deleteOldAudit = `
DELETE FROM outbox_audit WHERE id <= ? AND requested_at < UTC_TIMESTAMP(6) - INTERVAL ? DAY
  AND id NOT IN (SELECT request FROM outbox_blocked WHERE request IS NOT NULL)`;

export const forgetMembers = 'DELETE FROM outbox_member WHERE expires_at < UTC_TIMESTAMP(6) - INTERVAL 1 HOUR';

/** Whole seconds: a backstop should this process stop in the middle. */
export const patience = "SET SESSION lock_wait_timeout = 1, wait_timeout = 60, time_zone = '+00:00'";
export const isolation = 'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED';
export const whoAmI = 'SELECT CONNECTION_ID() AS id';
/** With both a user sees and ends its own statements without further rights. */
export const processes = 'SHOW PROCESSLIST';
export const killQuery = (id: number) => `KILL QUERY ${id}`;
