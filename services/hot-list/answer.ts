import { type Explanation, explain } from '../../ranking/explain.ts';
import type { Formula } from '../../ranking/formula.ts';
import type { Freshness } from './freshness.ts';
import type { List } from './list-reader.ts';

/** What `hot-list.top` answers. */
export interface HotList {
  items: HotListItem[];
  /** When the list was read from the store, ISO 8601. */
  asOf: string;
  /**
   * The list is, or may be, behind what was written: by more than a second, or somebody could not be asked; or what was waited
   * for is not there.
   */
  syncing: boolean;
  /** How far it is behind, as far as that is known; null where nothing is. */
  lagMs: number | null;
}

export interface HotListItem {
  rank: number;
  articleId: string;
  title: string;
  score: number;
  likes: number;
  comments: number;
  views: number;
  explanation?: Explanation;
}

/** `explained`: with what each score is made of. */
export function answerOf(
  { items, readAtMs, from }: List,
  { lagMs, syncing }: Freshness,
  { nowMs, formula, explained }: { nowMs: number; formula: Formula; explained: boolean },
): HotList {
  const shown = items.map(({ rank, articleId, title, score, likes, comments, views, createdAtMs }): HotListItem => {
    const counts = { likes, comments, views };
    const item = { rank, articleId, title, score, ...counts };
    return explained ? { ...item, explanation: explain(formula, counts, createdAtMs, readAtMs) } : item;
  });
  const asOf = new Date(readAtMs).toISOString();
  if (from !== 'memory') return { items: shown, asOf, syncing, lagMs };
  return { items: shown, asOf, syncing: true, lagMs: Math.max(lagMs ?? 0, nowMs - readAtMs) };
}
