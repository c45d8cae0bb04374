/**
 * Locks the article's count until the commit, whether or not anybody likes it yet; the count is the statement's insert id. All
 * changes take this lock first, so what they read afterwards is current and stays so.
 */
export const lockCount = `
INSERT INTO article_like_count (article_id, like_count) VALUES (?, LAST_INSERT_ID(0))
ON DUPLICATE KEY UPDATE like_count = LAST_INSERT_ID(like_count)`;

export const writeCount = 'UPDATE article_like_count SET like_count = ? WHERE article_id = ?';

export const readCount = 'SELECT like_count AS count FROM article_like_count WHERE article_id = ?';

/** Which of these users like the article. With one user, as most often, the statement can be prepared. */
export const readLike = 'SELECT user_id AS userId FROM article_like WHERE article_id = ? AND user_id = ?';
export const readLikes = 'SELECT user_id AS userId FROM article_like WHERE article_id = ? AND user_id IN (?)';

export const deleteLikes = 'DELETE FROM article_like WHERE article_id = ? AND user_id IN (?)';

export const insertLike = 'INSERT INTO article_like (article_id, user_id, liked_at) VALUES (?, ?, ?)';
/** Lists of article, user and time. */
export const insertLikes = 'INSERT INTO article_like (article_id, user_id, liked_at) VALUES ?';
