import { msOf, sqlTime } from '../../database/sql-time.ts';
import { bestOf, type Candidate, type Wanted } from '../../ranking/best-of.ts';
import { hourMs } from '../../ranking/days.ts';
import { compareIds } from '../../ranking/order.ts';
import { type Bucket, bucketsOf, type ListOf } from '../../ranking/windows.ts';
import type { Scoring } from './hot-row.ts';
import type { Sql } from './sql.ts';

/** An article of a list, with what its score is made of. */
export interface HotItem extends Candidate {
  title: string;
  likes: number;
  comments: number;
  views: number;
}

export interface ListQuery {
  of: ListOf;
  /** Null: all boards. */
  boardId: string | null;
  limit: number;
}

/** Reads the first of some buckets; null where they are not there. */
export type ReadBuckets = (boardId: string | null, wanted: readonly Wanted[]) => Promise<HotItem[][] | null>;

export type ScoredItem = HotItem & { score: number };

/** A list as it is at `nowMs`, best first; null where the store does not have it. */
export function readList(
  { of, boardId, limit }: ListQuery,
  { scoring: { formula, days }, nowMs, read }: { scoring: Scoring; nowMs: number; read: ReadBuckets },
): Promise<ScoredItem[] | null> {
  const buckets = bucketsOf(of, nowMs, days, formula.changesWithTime);
  return bestOf({ buckets, limit, formula, nowMs, read: (wanted) => read(boardId, wanted) });
}

const shown = `
article_id, title, score, CAST(created_at AS CHAR) AS created_at, like_count, comment_count, view_count FROM hot_article`;
const bestFirst = 'ORDER BY score DESC, article_id DESC LIMIT ?';

/** Whole days come from the index in order; an hour is sorted: those of its articles are few. */
const selectDay = `SELECT ? AS bucket, ${shown} FORCE INDEX (hot_article_top) WHERE day = ? AND deleted = 0 ${bestFirst}`;
const selectBoardDay = `
SELECT ? AS bucket, ${shown} FORCE INDEX (hot_article_board_top) WHERE board_id = ? AND day = ? AND deleted = 0 ${bestFirst}`;
const selectHour = `
SELECT ? AS bucket, ${shown} FORCE INDEX (hot_article_created)
WHERE created_at >= ? AND created_at < ? AND day = ? AND deleted = 0 ${bestFirst}`;
const selectBoardHour = `
SELECT ? AS bucket, ${shown} FORCE INDEX (hot_article_board_created)
WHERE board_id = ? AND created_at >= ? AND created_at < ? AND day = ? AND deleted = 0 ${bestFirst}`;

interface ShownRecord {
  bucket: number | string;
  article_id: string;
  title: string | null;
  score: number;
  created_at: string;
  like_count: string;
  comment_count: string;
  view_count: string;
}

/** The first of some buckets straight from the projection, of one board or (`boardId` null) of all; all of one moment. */
export async function readBuckets(sql: Sql, boardId: string | null, wanted: readonly Wanted[]): Promise<HotItem[][]> {
  const lists: HotItem[][] = wanted.map(() => []);
  const params = wanted.flatMap(({ bucket, take }, index) => [
    index,
    ...(boardId === null ? [] : [boardId]),
    ...(bucket.hour === null ? [] : rangeOf(bucket)),
    bucket.day,
    take,
  ]);
  const records = await sql.query<ShownRecord>(wanted.map((one) => `(${selectOf(one)})`).join(' UNION ALL '), params);
  for (const record of records) lists[Number(record.bucket)]!.push(itemOf(record));
  for (const list of lists) list.sort((a, b) => b.stored - a.stored || compareIds(b.articleId, a.articleId));
  return lists;

  function selectOf({ bucket }: Wanted): string {
    if (bucket.hour === null) return boardId === null ? selectDay : selectBoardDay;
    return boardId === null ? selectHour : selectBoardHour;
  }
}

/** Only what the list is of: the hour in which a window begins is not read whole. */
function rangeOf({ hour, fromMs, toMs }: Bucket): string[] {
  return [sqlTime(Math.max(fromMs, hour! * hourMs)), sqlTime(toMs)];
}

function itemOf(record: ShownRecord): HotItem {
  return {
    articleId: String(record.article_id),
    title: record.title ?? '',
    stored: Number(record.score),
    createdAtMs: msOf(record.created_at),
    likes: Number(record.like_count),
    comments: Number(record.comment_count),
    views: Number(record.view_count),
  };
}
