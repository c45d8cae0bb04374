import type { Migration } from '../migration.ts';

/** Ids start far above 2^53 and far from the articles', so that one taken for the other is found out. */
const createComment = `
CREATE TABLE IF NOT EXISTS comment (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  article_id BIGINT UNSIGNED NOT NULL,
  writer_id BIGINT UNSIGNED NOT NULL,
  parent_id BIGINT UNSIGNED NULL,
  content VARCHAR(3000) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  created_at DATETIME(3) NOT NULL,
  KEY comment_page (article_id, id)
) ENGINE=InnoDB AUTO_INCREMENT=9107199254740993`;

const createArticleCount = `
CREATE TABLE IF NOT EXISTS article_comment_count (
  article_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  comment_count BIGINT UNSIGNED NOT NULL
) ENGINE=InnoDB`;

export const commentTables: Migration = {
  name: 'comment/0001-comment-tables',
  async up(context) {
    await context.query(createComment);
    await context.query(createArticleCount);
  },
  async down(context) {
    await context.query('DROP TABLE IF EXISTS article_comment_count');
    await context.query('DROP TABLE IF EXISTS comment');
  },
};
