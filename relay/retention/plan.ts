/** A partition of the table `outbox`. */
export interface Partition {
  name: string;
  /** It holds the days before this one (YYYY-MM-DD) that no partition before it holds; null: all later days. */
  before: string | null;
}

/** What the database says. Days are UTC, by its clock. */
export interface Layout {
  today: string;
  /** In their order; the last one takes all later days. */
  partitions: readonly Partition[];
  /** Rows in the last partition, counted no further than needed: more than 0 where no day was split off in time. */
  overflowRows: number;
}

export interface RetentionSettings {
  /** Whole days that sent events stay, beside today. 0: partitions are somebody else's affair. */
  days: number;
  /** Whole days that rows of `outbox_audit` stay. 0: for ever. */
  auditDays: number;
  /** Days after today that have a partition of their own. */
  aheadDays: number;
  /** Splitting the last partition copies its rows, and writers wait for it: not with more rows than this. */
  maxOverflowRows: number;
}

export interface RetentionPlan {
  /** To be split off the last partition, one after the other. */
  split: (Partition & { before: string })[];
  /** The last partition holds too many rows to be split. */
  overflows: boolean;
  /** To be dropped, oldest first. */
  drop: string[];
  /** Old enough to be dropped, but with events that are not sent: pending, blocked or dead. */
  held: string[];
}

/** Sent events of days before this one may go. */
export function cutoffDay({ today }: Pick<Layout, 'today'>, { days }: Pick<RetentionSettings, 'days'>): string {
  return dayAfter(today, -days);
}

/** Which partitions to add and which to drop. `unsentDays`: days before `cutoffDay` that have unsent rows. */
export function planRetention(
  layout: Layout,
  settings: RetentionSettings,
  unsentDays: readonly string[],
): RetentionPlan {
  const overflows = layout.overflowRows > settings.maxOverflowRows;
  const drop: string[] = [];
  const held: string[] = [];
  for (const { name, from, before } of ranges(layout)) {
    if (before > cutoffDay(layout, settings)) break;
    const unsent = unsentDays.some((day) => (from === null || day >= from) && day < before);
    (unsent ? held : drop).push(name);
  }
  return { split: overflows ? [] : missingDays(layout, settings), overflows, drop, held };
}

/** Days after today that have a partition of their own; below 0: rows of today go to the last partition. */
export function daysAhead({ today, partitions }: Layout): number {
  const last = partitions.at(-2)?.before;
  return last ? Math.max(-1, daysBetween(today, last) - 1) : -1;
}

/** Age in days of what the oldest partition may hold; 0 where there is none but today's. */
export function oldestAgeDays({ today, partitions }: Layout): number {
  const before = partitions[0]?.before;
  return before ? Math.max(0, daysBetween(before, today) + 1) : 0;
}

/** Where a time passed without partitions, all of it up to today goes into one. */
function missingDays(
  { today, partitions }: Layout,
  { aheadDays }: RetentionSettings,
): (Partition & { before: string })[] {
  const last = partitions.at(-2)?.before ?? today;
  const missing: (Partition & { before: string })[] = [];
  const end = dayAfter(today, aheadDays + 1);
  for (let before = dayAfter(last < today ? today : last, 1); before <= end; before = dayAfter(before, 1)) {
    missing.push({ name: `p${dayAfter(before, -1).replaceAll('-', '')}`, before });
  }
  return missing;
}

function ranges({ partitions }: Layout): { name: string; from: string | null; before: string }[] {
  return partitions.flatMap(({ name, before }, index) =>
    before === null ? [] : [{ name, from: partitions[index - 1]?.before ?? null, before }],
  );
}

const dayMs = 86_400_000;

export function dayAfter(day: string, days: number): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) + days * dayMs).toISOString().slice(0, 10);
}

function daysBetween(from: string, to: string): number {
  return Math.round((Date.parse(`${to}T00:00:00Z`) - Date.parse(`${from}T00:00:00Z`)) / dayMs);
}
