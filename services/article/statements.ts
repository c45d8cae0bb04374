/**
 * The new count is the statement's insert id. Its row stays locked until the commit: writers of one board go one after the
 * other from here on, and the count stays what it is.
 */
export const countUp = `
INSERT INTO board_article_count (board_id, article_count) VALUES (?, LAST_INSERT_ID(1))
ON DUPLICATE KEY UPDATE article_count = LAST_INSERT_ID(article_count + 1)`;

export const countDown = `
UPDATE board_article_count SET article_count = LAST_INSERT_ID(article_count - 1) WHERE board_id = ?`;

export const readCount = 'SELECT article_count AS count FROM board_article_count WHERE board_id = :boardId';

/** Times are the database's, like those of the events. */
export const readNow = 'SELECT UTC_TIMESTAMP(3) AS now';

/** Ids of one page, newest first, from the index on the board alone. */
export const pageIds = 'SELECT id FROM article WHERE board_id = :boardId ORDER BY id DESC LIMIT :limit OFFSET :offset';

export const idsBefore = `
SELECT id FROM article WHERE board_id = :boardId AND id < CAST(:lastArticleId AS UNSIGNED) ORDER BY id DESC LIMIT :limit`;

export const boundedCount = `
SELECT COUNT(*) AS count FROM (SELECT id FROM article WHERE board_id = :boardId LIMIT :limit) AS counted`;

export const readExists = 'SELECT 1 AS found FROM article WHERE id = :id';
