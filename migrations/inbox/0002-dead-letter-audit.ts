import type { Migration } from '../migration.ts';

/**
 * What people did to dead letters: `replayed`, `replay-failed`, `edited` or `discarded`; who, why, and the message before and
 * after as JSON where it was edited. Outlives the letter.
 */
const createAudit = `
CREATE TABLE IF NOT EXISTS dead_letter_audit (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  consumer SMALLINT UNSIGNED NOT NULL,
  dead_letter BIGINT UNSIGNED NOT NULL,
  action VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  outcome VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NULL,
  done_by VARCHAR(190) CHARACTER SET utf8mb4 NOT NULL,
  why TEXT CHARACTER SET utf8mb4 NOT NULL,
  message_before LONGBLOB NULL,
  message_after LONGBLOB NULL,
  done_at DATETIME(6) NOT NULL,
  KEY dead_letter_audit_letter (consumer, dead_letter, id),
  KEY dead_letter_audit_age (consumer, done_at)
) ENGINE=InnoDB`;

export const deadLetterAudit: Migration = {
  name: 'inbox/0002-dead-letter-audit',
  async up(context) {
    await context.query(createAudit);
  },
  async down(context) {
    await context.query('DROP TABLE IF EXISTS dead_letter_audit');
  },
};
