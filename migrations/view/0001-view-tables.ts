import type { Migration } from '../migration.ts';

const createViewCount = `
CREATE TABLE IF NOT EXISTS article_view_count (
  article_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  view_count BIGINT UNSIGNED NOT NULL
) ENGINE=InnoDB`;

/**
 * Flushes that were applied. A gathered batch of views has its id from its first view on; being unique here, it counts once,
 * however often and by however many nodes it is applied. Old rows are purged by their time.
 */
const createFlush = `
CREATE TABLE IF NOT EXISTS view_flush (
  flush_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  article_id BIGINT UNSIGNED NOT NULL,
  views INT UNSIGNED NOT NULL,
  flushed_at DATETIME(3) NOT NULL,
  KEY view_flush_age (flushed_at)
) ENGINE=InnoDB`;

export const viewTables: Migration = {
  name: 'view/0001-view-tables',
  async up(context) {
    await context.query(createViewCount);
    await context.query(createFlush);
  },
  async down(context) {
    await context.query('DROP TABLE IF EXISTS view_flush');
    await context.query('DROP TABLE IF EXISTS article_view_count');
  },
};
