import type { Migration } from '../migration.ts';

/** Who removes old rows of a consumer, and until when it may: one process at a time, on the database's clock. */
const createPurge = `
CREATE TABLE IF NOT EXISTS inbox_purge (
  consumer SMALLINT UNSIGNED NOT NULL PRIMARY KEY,
  owner VARBINARY(190) NOT NULL,
  leased_until DATETIME(6) NOT NULL
) ENGINE=InnoDB`;

export const inboxPurge: Migration = {
  name: 'inbox/0004-inbox-purge',
  async up(context) {
    await context.query(createPurge);
  },
  async down(context) {
    await context.query('DROP TABLE IF EXISTS inbox_purge');
  },
};
