/**
 * The new count is the statement's insert id. Its row stays locked until the commit: writers of one article go one after the
 * other from here on, and the count stays what it is.
 */
export const countUp = `
INSERT INTO article_comment_count (article_id, comment_count) VALUES (?, LAST_INSERT_ID(1))
ON DUPLICATE KEY UPDATE comment_count = LAST_INSERT_ID(comment_count + 1)`;

export const countDown = `
UPDATE article_comment_count SET comment_count = LAST_INSERT_ID(comment_count - 1) WHERE article_id = ?`;

export const readCount = 'SELECT comment_count AS count FROM article_comment_count WHERE article_id = :articleId';

/** Times are the database's, like those of the events. */
export const readNow = 'SELECT UTC_TIMESTAMP(3) AS now';

/** Oldest first, from the index on the article. */
export const idsAfter = `
SELECT id FROM comment WHERE article_id = :articleId AND id > CAST(:lastCommentId AS UNSIGNED) ORDER BY id LIMIT :limit`;
