export const readApplied = 'SELECT flush_id AS flushId FROM view_flush WHERE flush_id IN (:flushIds)';

/** `rows`: lists of flush id, article and views. The unique id is what makes a flush count once. */
export const insertFlush = (rows: number) =>
  `INSERT INTO view_flush (flush_id, article_id, views, flushed_at) VALUES ${Array(rows).fill('(?, ?, ?, UTC_TIMESTAMP(3))').join(', ')}`;

/** The new count is the statement's insert id; its row stays locked until the commit. */
export const addViews = `
INSERT INTO article_view_count (article_id, view_count) VALUES (:articleId, LAST_INSERT_ID(:views))
ON DUPLICATE KEY UPDATE view_count = LAST_INSERT_ID(view_count + :views)`;

export const readCount = 'SELECT view_count AS count FROM article_view_count WHERE article_id = :articleId';

/** In bounded steps: one long DELETE would hold up others. */
export const purgeFlushes = `
DELETE FROM view_flush WHERE flushed_at < UTC_TIMESTAMP(3) - INTERVAL :days DAY ORDER BY flushed_at LIMIT :limit`;
