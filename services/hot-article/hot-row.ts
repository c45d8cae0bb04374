import type { BoardSource } from '../../events/board.ts';
import type { Day, Days } from '../../ranking/days.ts';
import type { Formula } from '../../ranking/formula.ts';

/** Where a source's newest applied event stands: `line` orders the incarnations of its database, `version` counts in one. */
export interface Position {
  line: bigint;
  version: bigint;
}

/** A row of `hot_article`: all that is known of an article. */
export interface HotRow {
  articleId: string;
  /** Null, like title, day and createdAtMs, until an event of the article itself was applied. */
  boardId: string | null;
  title: string | null;
  day: Day | null;
  createdAtMs: number | null;
  likes: number;
  comments: number;
  views: number;
  positions: Readonly<Record<BoardSource, Position>>;
  /** For ever: what comes after a delete never brings the article back. */
  deleted: boolean;
  /** What the formula stores: the score itself, where that does not change with time. */
  score: number;
  /** Grows by one at each change, under the row's lock. */
  rev: bigint;
}

/** What scores and days are made with. */
export interface Scoring {
  formula: Formula;
  days: Days;
}

/** Two scorings with one id give every row the same score and day. */
export function scoringId({ formula, days }: Scoring): string {
  return `${formula.id} ${days.timeZone}`;
}

/** The row with its score and day as this scoring has them. Does not touch `rev`. */
export function scored(row: HotRow, { formula, days }: Scoring): HotRow {
  const createdAtMs = row.createdAtMs ?? 0;
  return {
    ...row,
    day: row.createdAtMs === null ? null : days.dayOf(new Date(row.createdAtMs)),
    score: formula.stored(row, createdAtMs),
  };
}
