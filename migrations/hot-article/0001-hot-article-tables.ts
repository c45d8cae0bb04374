import type { Migration } from '../migration.ts';

/**
 * One row for each article that any event named. board_id, title, day and created_at stay NULL until the article's own event
 * is seen, so that a like may come before its create. For each of the four sources: `line` orders the producer's incarnations,
 * `version` is the newest event within it. seen_on: the day on which the row was made, by which it is purged.
 */
const createHotArticle = `
CREATE TABLE IF NOT EXISTS hot_article (
  article_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  board_id BIGINT UNSIGNED NULL,
  title VARCHAR(1000) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  day DATE NULL,
  created_at DATETIME(3) NULL,
  like_count BIGINT UNSIGNED NOT NULL DEFAULT 0,
  comment_count BIGINT UNSIGNED NOT NULL DEFAULT 0,
  view_count BIGINT UNSIGNED NOT NULL DEFAULT 0,
  article_line BIGINT UNSIGNED NOT NULL DEFAULT 0,
  article_version BIGINT UNSIGNED NOT NULL DEFAULT 0,
  comment_line BIGINT UNSIGNED NOT NULL DEFAULT 0,
  comment_version BIGINT UNSIGNED NOT NULL DEFAULT 0,
  like_line BIGINT UNSIGNED NOT NULL DEFAULT 0,
  like_version BIGINT UNSIGNED NOT NULL DEFAULT 0,
  view_line BIGINT UNSIGNED NOT NULL DEFAULT 0,
  view_version BIGINT UNSIGNED NOT NULL DEFAULT 0,
  deleted TINYINT UNSIGNED NOT NULL DEFAULT 0,
  score DOUBLE NOT NULL DEFAULT 0,
  rev BIGINT UNSIGNED NOT NULL DEFAULT 0,
  seen_on DATE NOT NULL,
  updated_at DATETIME(3) NOT NULL,
  KEY hot_article_top (day, deleted, score, article_id),
  KEY hot_article_board_top (board_id, day, deleted, score, article_id),
  KEY hot_article_day (day, article_id),
  KEY hot_article_seen (seen_on)
) ENGINE=InnoDB`;

/** Rows whose state Redis may not have yet. Few at any time; a table of its own, so that clearing never waits for a hot row. */
const createDirty = `
CREATE TABLE IF NOT EXISTS hot_article_dirty (
  article_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  rev BIGINT UNSIGNED NOT NULL,
  marked_at DATETIME(3) NOT NULL
) ENGINE=InnoDB`;

/** What the stored scores and days were made with. */
const createSetting = `
CREATE TABLE IF NOT EXISTS hot_setting (
  name VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  value VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL
) ENGINE=InnoDB`;

/** How far each projector is, where it could not tell Redis. lags: JSON, ms by "topic/partition". */
const createLag = `
CREATE TABLE IF NOT EXISTS hot_consumer_lag (
  node_id VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
  published_at DATETIME(3) NOT NULL,
  lags TEXT CHARACTER SET utf8mb4 NOT NULL
) ENGINE=InnoDB`;

export const hotArticleTables: Migration = {
  name: 'hot-article/0001-hot-article-tables',
  async up(context) {
    for (const sql of [createHotArticle, createDirty, createSetting, createLag]) await context.query(sql);
  },
  async down(context) {
    for (const table of ['hot_consumer_lag', 'hot_setting', 'hot_article_dirty', 'hot_article']) {
      await context.query(`DROP TABLE IF EXISTS ${table}`);
    }
  },
};
