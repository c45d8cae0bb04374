const key = 'scope = ? AND caller = ? AND client_key = ?';

/** The record of a key, where it is committed. Parameters: scope, caller, key. */
export const readKey = `SELECT fingerprint, answer, token FROM idempotency_key WHERE ${key}`;

/**
 * The same, refused at once while a transaction holds the row: one that is at work with this key, or for a moment another
 * reader or the purge. A row that is not there locks nothing.
 */
export const readKeyUnlessLocked = `${readKey} FOR UPDATE NOWAIT`;

/** Nobody else can see the row, or write one of the same key, before this transaction ends. */
export const claimKey = `
INSERT INTO idempotency_key (scope, caller, client_key, fingerprint, created_at)
VALUES (?, ?, ?, ?, UTC_TIMESTAMP(3))`;

export const keepAnswer = `UPDATE idempotency_key SET answer = ?, token = ? WHERE ${key}`;

/** In bounded steps: one long DELETE would hold up others. Parameters: seconds, rows. */
export const purgeKeys = `
DELETE FROM idempotency_key WHERE created_at < UTC_TIMESTAMP(3) - INTERVAL ? SECOND ORDER BY created_at LIMIT ?`;
