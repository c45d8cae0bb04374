import type { EventEnvelope } from '../../events/envelope.ts';
import { applyPatch } from './apply.ts';
import { gather } from './gather.ts';
import type { HotRow, Scoring } from './hot-row.ts';
import { lockRows, writeChanged } from './hot-table.ts';
import type { Sql } from './sql.ts';

/**
 * Applies events to the projection, in the caller's transaction: rows are made and locked in ascending order, so that
 * transactions on several partitions meet without a deadlock in all but rare cases. Answers the rows that changed, as they
 * are after the commit. Applying an event twice, or an older one, changes nothing.
 */
export async function project(
  tx: Sql,
  events: readonly EventEnvelope[],
  { scoring, nowMs }: { scoring: Scoring; nowMs: number },
): Promise<HotRow[]> {
  const patches = gather(events);
  if (patches.length === 0) return [];
  const ids = patches.map(({ articleId }) => articleId);
  const rows = await lockRows(tx, ids, nowMs);
  const changed: HotRow[] = [];
  for (const patch of patches) {
    const next = applyPatch(rows.get(patch.articleId)!, patch, scoring);
    if (next !== null) changed.push(next);
  }
  if (changed.length > 0) await writeChanged(tx, changed, nowMs);
  return changed;
}
