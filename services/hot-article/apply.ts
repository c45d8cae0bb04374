import { boardSources } from '../../events/board.ts';
import { isNewer, type Patch } from './gather.ts';
import { type HotRow, type Scoring, scored } from './hot-row.ts';

/** The row after the patch, its `rev` one higher; null where the patch tells nothing newer than the row has. */
export function applyPatch(row: HotRow, patch: Patch, scoring: Scoring): HotRow | null {
  const next: HotRow = { ...row, positions: { ...row.positions } };
  const positions = next.positions as Record<(typeof boardSources)[number], HotRow['positions']['article']>;
  let changed = false;
  for (const source of boardSources) {
    const part = patch[source];
    if (part === undefined || !isNewer(part.position, row.positions[source])) continue;
    positions[source] = part.position;
    changed = true;
  }
  if (!changed) return null;

  if (patch.like && positions.like === patch.like.position) next.likes = patch.like.count;
  if (patch.comment && positions.comment === patch.comment.position) next.comments = patch.comment.count;
  if (patch.view && positions.view === patch.view.position) next.views = patch.view.count;
  if (patch.article && positions.article === patch.article.position) {
    const { state, position } = patch.article;
    // a database made anew gives ids out again: only then is it another article that has this id
    const another = position.line !== row.positions.article.line;
    next.deleted = state.deleted || (row.deleted && !another);
    next.boardId = state.boardId;
    next.title = state.title ?? row.title;
    next.createdAtMs = state.createdAtMs;
  }
  next.rev = row.rev + 1n;
  return scored(next, scoring);
}
