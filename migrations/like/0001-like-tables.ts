import type { Migration } from '../migration.ts';

/** The primary key is what makes a second like of the same user change nothing. */
const createLike = `
CREATE TABLE IF NOT EXISTS article_like (
  article_id BIGINT UNSIGNED NOT NULL,
  user_id BIGINT UNSIGNED NOT NULL,
  liked_at DATETIME(3) NOT NULL,
  PRIMARY KEY (article_id, user_id)
) ENGINE=InnoDB`;

const createLikeCount = `
CREATE TABLE IF NOT EXISTS article_like_count (
  article_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  like_count BIGINT UNSIGNED NOT NULL
) ENGINE=InnoDB`;

export const likeTables: Migration = {
  name: 'like/0001-like-tables',
  async up(context) {
    await context.query(createLike);
    await context.query(createLikeCount);
  },
  async down(context) {
    await context.query('DROP TABLE IF EXISTS article_like_count');
    await context.query('DROP TABLE IF EXISTS article_like');
  },
};
