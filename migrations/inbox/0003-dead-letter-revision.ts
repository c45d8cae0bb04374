import type { Migration } from '../migration.ts';

/**
 * revision: grows with each edit, so that nobody writes over an edit that they have not seen. settled_at: when the letter was
 * replayed or discarded.
 */
const addColumns = `
ALTER TABLE dead_letter
  ADD COLUMN revision INT UNSIGNED NOT NULL DEFAULT 0,
  ADD COLUMN settled_at DATETIME(6) NULL,
  ADD KEY dead_letter_settled (consumer, settled_at)`;

const dropColumns = `
ALTER TABLE dead_letter DROP KEY dead_letter_settled, DROP COLUMN settled_at, DROP COLUMN revision`;

const findColumn = `
SELECT 1 FROM information_schema.columns
WHERE table_schema = DATABASE() AND table_name = 'dead_letter' AND column_name = 'revision'`;

export const deadLetterRevision: Migration = {
  name: 'inbox/0003-dead-letter-revision',
  async up(context) {
    if ((await context.query(findColumn)).length === 0) await context.query(addColumns);
  },
  async down(context) {
    if ((await context.query(findColumn)).length > 0) await context.query(dropColumns);
  },
};
