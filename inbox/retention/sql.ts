/** The statements that remove old rows. They run on MySQL 8.4 and MariaDB 10.11 and later. */

/** Mine where it was mine, or nobody's any more; `VALUES` are what I would write. */
export const lease = `
INSERT INTO inbox_purge (consumer, owner, leased_until) VALUES (?, ?, UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND)
ON DUPLICATE KEY UPDATE
owner = IF(owner = VALUES(owner) OR leased_until < UTC_TIMESTAMP(6), VALUES(owner), owner),
leased_until = IF(owner = VALUES(owner), VALUES(leased_until), leased_until)`;

export const leaseOwner = 'SELECT owner FROM inbox_purge WHERE consumer = ?';

export const nowMs = `SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) DIV 1000 AS now_ms`;

/** The last id of a step. Ids are ranges of the primary key: what was removed before it is not looked at again. */
export const stepEnd = `
SELECT event_id FROM inbox WHERE consumer = ? AND event_id > ? AND event_id < ? ORDER BY event_id LIMIT 1 OFFSET ?`;

export const purgeIds = 'DELETE FROM inbox WHERE consumer = ? AND event_id > ? AND event_id <= ?';

export const purgeLetters = `
DELETE FROM dead_letter WHERE consumer = ? AND settled_at < ? ORDER BY settled_at LIMIT ?`;

export const purgeAudit = 'DELETE FROM dead_letter_audit WHERE consumer = ? AND done_at < ? ORDER BY done_at LIMIT ?';
