import type { Day } from '../../ranking/days.ts';
import { daysIn } from '../../ranking/days.ts';
import type { Weights } from '../../ranking/formula.ts';

/** The producers' databases: statements as of mysql2, with BIGINT as strings (`openDatabase` gives such). */
export interface ProducerDatabases {
  article: Readable;
  comment: Readable;
  like: Readable;
  view: Readable;
}

interface Readable {
  query<Row>(sql: string, params?: readonly unknown[]): Promise<Row[]>;
}

export interface RecountOptions {
  day: Day;
  timeZone: string;
  weights: Weights;
  /** One board only. */
  boardId?: string;
  /** Default: all. */
  limit?: number;
}

export interface RecountItem {
  rank: number;
  articleId: string;
  title: string;
  score: number;
  likes: number;
  comments: number;
  views: number;
}

const selectArticles = `
SELECT CAST(id AS CHAR) AS id, CAST(board_id AS CHAR) AS board_id, title, CAST(created_at AS CHAR) AS created_at
FROM article WHERE created_at >= ? AND created_at < ?`;
const countComments = 'SELECT CAST(article_id AS CHAR) AS id, COUNT(*) AS n FROM comment GROUP BY article_id';
const countLikes = 'SELECT CAST(article_id AS CHAR) AS id, COUNT(*) AS n FROM article_like GROUP BY article_id';
const selectViews = 'SELECT CAST(article_id AS CHAR) AS id, view_count AS n FROM article_view_count';

/**
 * The hot list as it has to be, counted from the producers' own tables alone: the rows of comments and likes, not their count
 * rows, no event, no projection, nothing of Redis. For tests and proofs; it reads whole tables.
 */
export async function recount(databases: ProducerDatabases, options: RecountOptions): Promise<RecountItem[]> {
  const { day, timeZone, weights, boardId } = options;
  const { dayOf } = daysIn(timeZone);
  // wide enough for every time zone; the zone itself decides below
  const middayMs = Date.parse(`${day}T12:00:00Z`);
  const around = [middayMs - 28 * 3_600_000, middayMs + 28 * 3_600_000].map((ms) =>
    new Date(ms).toISOString().slice(0, 19).replace('T', ' '),
  );
  const [articles, comments, likes, views] = await Promise.all([
    databases.article.query<{ id: string; board_id: string; title: string; created_at: string }>(
      selectArticles,
      around,
    ),
    counted(databases.comment, countComments),
    counted(databases.like, countLikes),
    counted(databases.view, selectViews),
  ]);
  const items = articles
    .filter((article) => dayOf(new Date(`${article.created_at.replace(' ', 'T')}Z`)) === day)
    .filter((article) => boardId === undefined || article.board_id === boardId)
    .map(({ id, title }) => {
      const parts = { likes: likes.get(id) ?? 0, comments: comments.get(id) ?? 0, views: views.get(id) ?? 0 };
      const score = parts.likes * weights.likes + parts.comments * weights.comments + parts.views * weights.views;
      return { articleId: id, title, score: Math.round(score * 1e6) / 1e6, ...parts };
    })
    .sort((a, b) => b.score - a.score || (BigInt(a.articleId) < BigInt(b.articleId) ? 1 : -1))
    .slice(0, options.limit);
  return items.map((item, index) => ({ rank: index + 1, ...item }));
}

async function counted(database: Readable, sql: string): Promise<Map<string, number>> {
  const rows = await database.query<{ id: string; n: string | number }>(sql);
  return new Map(rows.map(({ id, n }) => [id, Number(n)]));
}
