import type { Sql } from '../../services/hot-article/sql.ts';

const boards = 20;
const rowsAtOnce = 1000;
const insertRows = `
INSERT INTO hot_article (article_id, board_id, title, day, created_at, like_count, comment_count, view_count,
  article_line, article_version, score, rev, seen_on, updated_at) VALUES ?`;

/** Rows of the projection as events would have made them: articles of one day, with scores by the default weights. */
export async function fillArticles(database: Sql, day: string, createdAt: string, count: number): Promise<void> {
  for (let from = 0; from < count; from += rowsAtOnce) {
    const rows = Array.from({ length: Math.min(rowsAtOnce, count - from) }, (_, index) => {
      const n = from + index;
      const [likes, comments, views] = [(n * 7919) % 300, (n * 104_729) % 40, (n * 1_299_709) % 2000];
      const id = String(9_007_199_254_740_993n + BigInt(n));
      const title = `Article ${n} with a title of a usual length`;
      const score = 3 * likes + 2 * comments + views;
      return [id, 1 + (n % boards), title, day, createdAt, likes, comments, views, 1, 1, score, 1, day, createdAt];
    });
    await database.write(insertRows, [rows]);
  }
}
