import type { Migration } from '../migration.ts';

/**
 * Who did what to an event or a key that failed, and why; also what is wanted and not yet carried out: `outbox_blocked.request`
 * is the id of such a row. state: requested, done, refused. before_event, after_event: JSON `{ type, schemaVersion, payload }`
 * with the payload as text.
 */
const createAudit = `
CREATE TABLE IF NOT EXISTS outbox_audit (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  bucket SMALLINT UNSIGNED NOT NULL,
  key_hash BIGINT UNSIGNED NOT NULL,
  aggregate_id VARBINARY(255) NOT NULL,
  row_id BIGINT UNSIGNED NULL,
  action VARCHAR(16) CHARACTER SET ascii NOT NULL,
  who VARCHAR(255) CHARACTER SET utf8mb4 NOT NULL,
  reason VARCHAR(2000) CHARACTER SET utf8mb4 NULL,
  before_event MEDIUMBLOB NULL,
  after_event MEDIUMBLOB NULL,
  state VARCHAR(16) CHARACTER SET ascii NOT NULL,
  result VARCHAR(2000) CHARACTER SET utf8mb4 NULL,
  requested_at DATETIME(6) NOT NULL,
  finished_at DATETIME(6) NULL,
  KEY outbox_audit_key (bucket, key_hash, id)
) ENGINE=InnoDB`;

/** The event that fails and why, and since when its key is blocked. state: 1 blocked, 2 dead, 3 its rows are on their way back. */
const extendBlocked = `
ALTER TABLE outbox_blocked
  ADD COLUMN row_id BIGINT UNSIGNED NULL,
  ADD COLUMN error_code VARCHAR(64) CHARACTER SET ascii NULL,
  ADD COLUMN blocked_at DATETIME(6) NULL`;

const countColumn = `
SELECT COUNT(*) AS found FROM information_schema.columns
WHERE table_schema = DATABASE() AND table_name = 'outbox_blocked' AND column_name = 'row_id'`;

const shrinkBlocked = 'ALTER TABLE outbox_blocked DROP COLUMN row_id, DROP COLUMN error_code, DROP COLUMN blocked_at';

export const blockedKeys: Migration = {
  name: 'outbox/0002-blocked-keys',
  async up(context) {
    await context.query(createAudit);
    const [column] = await context.query<{ found: number | string }>(countColumn);
    if (Number(column!.found) === 0) await context.query(extendBlocked);
  },
  async down(context) {
    const [column] = await context.query<{ found: number | string }>(countColumn);
    if (Number(column!.found) === 1) await context.query(shrinkBlocked);
    await context.query('DROP TABLE IF EXISTS outbox_audit');
  },
};
