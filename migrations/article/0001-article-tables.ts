import type { Migration } from '../migration.ts';

/**
 * Ids start at 2^53 + 1, so that whoever takes them for JavaScript numbers is found out. The index on the board covers the
 * lookup of a page: ids are found in it alone, then only the articles of that page are read.
 */
const createArticle = `
CREATE TABLE IF NOT EXISTS article (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  board_id BIGINT UNSIGNED NOT NULL,
  writer_id BIGINT UNSIGNED NOT NULL,
  title VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  content MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  created_at DATETIME(3) NOT NULL,
  modified_at DATETIME(3) NOT NULL,
  KEY article_page (board_id, id DESC)
) ENGINE=InnoDB AUTO_INCREMENT=9007199254740993`;

const createBoardCount = `
CREATE TABLE IF NOT EXISTS board_article_count (
  board_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  article_count BIGINT UNSIGNED NOT NULL
) ENGINE=InnoDB`;

export const articleTables: Migration = {
  name: 'article/0001-article-tables',
  async up(context) {
    await context.query(createArticle);
    await context.query(createBoardCount);
  },
  async down(context) {
    await context.query('DROP TABLE IF EXISTS board_article_count');
    await context.query('DROP TABLE IF EXISTS article');
  },
};
