/** A second like of the same user is the one duplicate key that is expected. */
export const insertLike =
  'INSERT INTO article_like (article_id, user_id, liked_at) VALUES (:articleId, :userId, UTC_TIMESTAMP(3))';

export const deleteLike = 'DELETE FROM article_like WHERE article_id = :articleId AND user_id = :userId';

/** The row stays locked until the commit, so likes of one article go one after the other from here on. */
export const countUp = `
INSERT INTO article_like_count (article_id, like_count) VALUES (:articleId, 1)
ON DUPLICATE KEY UPDATE like_count = like_count + 1`;

export const countDown = 'UPDATE article_like_count SET like_count = like_count - 1 WHERE article_id = :articleId';

/** A row even where nobody ever liked the article. */
export const readCount = `
SELECT COALESCE((SELECT like_count FROM article_like_count WHERE article_id = :articleId), 0) AS count,
  UTC_TIMESTAMP(3) AS now`;

export const readLike = 'SELECT 1 AS found FROM article_like WHERE article_id = :articleId AND user_id = :userId';
