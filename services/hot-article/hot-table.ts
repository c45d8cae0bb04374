import { msOf, sqlTime } from '../../database/sql-time.ts';
import type { Day } from '../../ranking/days.ts';
import type { HotRow } from './hot-row.ts';
import type { Sql } from './sql.ts';

/** The statements on `hot_article` and its marks, and how rows are read and written. */

/** A row for each id, locked until the transaction's end: a locking read alone would lock nothing where there is no row. */
const claimRows = `
INSERT INTO hot_article (article_id, seen_on, updated_at) VALUES ?
ON DUPLICATE KEY UPDATE article_id = VALUES(article_id)`;

const columns = `
article_id, board_id, title, CAST(day AS CHAR) AS day, CAST(created_at AS CHAR) AS created_at, like_count, comment_count,
view_count, article_line, article_version, comment_line, comment_version, like_line, like_version, view_line, view_version,
deleted, score, rev`;

const selectByIds = `SELECT ${columns} FROM hot_article WHERE article_id IN (?)`;
/** By the key: a scan, which the optimizer takes for a large part of a table, would wait for each row that somebody else holds. */
const selectPageForUpdate = `
SELECT ${columns} FROM hot_article FORCE INDEX (PRIMARY) WHERE article_id IN (?) ORDER BY article_id FOR UPDATE`;
const selectPage = `SELECT ${columns} FROM hot_article WHERE article_id > ? ORDER BY article_id LIMIT ?`;
const selectDayPage = `
SELECT ${columns} FROM hot_article FORCE INDEX (hot_article_day)
WHERE day = ? AND article_id > ? ORDER BY article_id LIMIT ?`;

const writeRows = `
INSERT INTO hot_article (article_id, board_id, title, day, created_at, like_count, comment_count, view_count,
  article_line, article_version, comment_line, comment_version, like_line, like_version, view_line, view_version,
  deleted, score, rev, seen_on, updated_at)
VALUES ?
ON DUPLICATE KEY UPDATE board_id = VALUES(board_id), title = VALUES(title), day = VALUES(day),
  created_at = VALUES(created_at), like_count = VALUES(like_count), comment_count = VALUES(comment_count),
  view_count = VALUES(view_count), article_line = VALUES(article_line), article_version = VALUES(article_version),
  comment_line = VALUES(comment_line), comment_version = VALUES(comment_version), like_line = VALUES(like_line),
  like_version = VALUES(like_version), view_line = VALUES(view_line), view_version = VALUES(view_version),
  deleted = VALUES(deleted), score = VALUES(score), rev = VALUES(rev), updated_at = VALUES(updated_at)`;

const markDirty = `
INSERT INTO hot_article_dirty (article_id, rev, marked_at) VALUES ?
ON DUPLICATE KEY UPDATE rev = VALUES(rev), marked_at = VALUES(marked_at)`;

/**
 * `rev` is what was written to Redis: a mark of a later change stays. By the key, as above; only this form of the statement can
 * name it.
 */
const clearDirty = `
DELETE d FROM hot_article_dirty d FORCE INDEX (PRIMARY) WHERE d.article_id IN (?) AND (d.article_id, d.rev) IN (?)`;

const selectDirty = `
SELECT article_id, rev FROM hot_article_dirty WHERE article_id > ? AND marked_at <= ? ORDER BY article_id LIMIT ?`;

const countDirty = 'SELECT COUNT(*) AS dirty FROM hot_article_dirty';

const purgeRows = 'DELETE FROM hot_article WHERE seen_on < ? LIMIT ?';

interface HotRecord {
  article_id: string;
  board_id: string | null;
  title: string | null;
  day: Day | null;
  created_at: string | null;
  like_count: string;
  comment_count: string;
  view_count: string;
  article_line: string;
  article_version: string;
  comment_line: string;
  comment_version: string;
  like_line: string;
  like_version: string;
  view_line: string;
  view_version: string;
  deleted: number;
  score: number;
  rev: string;
}

/** Creates what is missing, then locks and reads the rows. `articleIds` in ascending order. */
export async function lockRows(tx: Sql, articleIds: readonly string[], nowMs: number): Promise<Map<string, HotRow>> {
  const now = sqlTime(nowMs);
  await tx.write(claimRows, [articleIds.map((articleId) => [articleId, now.slice(0, 10), now])]);
  return byId(await tx.query<HotRecord>(selectByIds, [articleIds]));
}

/** Locks and reads rows that are there, in ascending order. */
export async function lockExisting(tx: Sql, articleIds: readonly string[]): Promise<HotRow[]> {
  return (await tx.query<HotRecord>(selectPageForUpdate, [articleIds])).map(rowOf);
}

/** Writes changed rows, in ascending order, and marks them as not yet in Redis. */
export async function writeChanged(tx: Sql, rows: readonly HotRow[], nowMs: number): Promise<void> {
  const now = sqlTime(nowMs);
  await tx.write(writeRows, [rows.map((row) => [...valuesOf(row), now.slice(0, 10), now])]);
  await tx.write(markDirty, [rows.map((row) => [row.articleId, row.rev.toString(), now])]);
}

export async function readRows(sql: Sql, articleIds: readonly string[]): Promise<Map<string, HotRow>> {
  return articleIds.length === 0 ? new Map() : byId(await sql.query<HotRecord>(selectByIds, [articleIds]));
}

/** Rows after `afterId` by id; of one day only, where it is given. */
export async function readPage(
  sql: Sql,
  { day, afterId, limit }: { day?: Day; afterId: string; limit: number },
): Promise<HotRow[]> {
  const records =
    day === undefined
      ? await sql.query<HotRecord>(selectPage, [afterId, limit])
      : await sql.query<HotRecord>(selectDayPage, [day, afterId, limit]);
  return records.map(rowOf);
}

export async function clearMarks(sql: Sql, written: readonly Pick<HotRow, 'articleId' | 'rev'>[]): Promise<void> {
  if (written.length === 0) return;
  const ids = written.map(({ articleId }) => articleId);
  await sql.write(clearDirty, [ids, written.map(({ articleId, rev }) => [articleId, rev.toString()])]);
}

/** Marks set at `untilMs` or before, by id. */
export async function readMarks(
  sql: Sql,
  { afterId, untilMs, limit }: { afterId: string; untilMs: number; limit: number },
): Promise<{ articleId: string; rev: bigint }[]> {
  const marks = await sql.query<{ article_id: string; rev: string }>(selectDirty, [afterId, sqlTime(untilMs), limit]);
  return marks.map((mark) => ({ articleId: String(mark.article_id), rev: BigInt(mark.rev) }));
}

export async function countMarks(sql: Sql): Promise<number> {
  const [row] = await sql.query<{ dirty: number | string }>(countDirty);
  return Number(row?.dirty ?? 0);
}

/** Deletes at most `limit` rows that were first seen before that day. Answers how many. */
export async function purgeBefore(sql: Sql, day: Day, limit: number): Promise<number> {
  return (await sql.write(purgeRows, [day, limit])).affectedRows;
}

function byId(records: readonly HotRecord[]): Map<string, HotRow> {
  return new Map(records.map((record) => [String(record.article_id), rowOf(record)]));
}

function rowOf(record: HotRecord): HotRow {
  const position = (line: string, version: string) => ({ line: BigInt(line), version: BigInt(version) });
  return {
    articleId: String(record.article_id),
    boardId: record.board_id === null ? null : String(record.board_id),
    title: record.title,
    day: record.day,
    createdAtMs: record.created_at === null ? null : msOf(record.created_at),
    likes: Number(record.like_count),
    comments: Number(record.comment_count),
    views: Number(record.view_count),
    positions: {
      article: position(record.article_line, record.article_version),
      comment: position(record.comment_line, record.comment_version),
      like: position(record.like_line, record.like_version),
      view: position(record.view_line, record.view_version),
    },
    deleted: Number(record.deleted) !== 0,
    score: Number(record.score),
    rev: BigInt(record.rev),
  };
}

function valuesOf(row: HotRow): unknown[] {
  const { article, comment, like, view } = row.positions;
  return [
    row.articleId,
    row.boardId,
    row.title,
    row.day,
    row.createdAtMs === null ? null : sqlTime(row.createdAtMs),
    row.likes,
    row.comments,
    row.views,
    ...[article, comment, like, view].flatMap(({ line, version }) => [line.toString(), version.toString()]),
    row.deleted ? 1 : 0,
    row.score,
    row.rev.toString(),
  ];
}
