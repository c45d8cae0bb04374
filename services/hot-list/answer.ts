import { type Explanation, explain } from '../../ranking/explain.ts';
import type { Formula } from '../../ranking/formula.ts';
import type { Freshness } from './freshness.ts';
import type { List, RankedItem } from './list-reader.ts';

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

/** Makes answers, and gives the same object again while neither the list nor its freshness is another: it is encoded once. */
export class AnswerCache {
  readonly #formula: Formula;
  readonly #nowMs: () => number;
  readonly #answers = new WeakMap<List, Map<string, HotList>>();

  constructor(formula: Formula, nowMs: () => number) {
    this.#formula = formula;
    this.#nowMs = nowMs;
  }

  /** Nobody may change the answer: it is others' too. */
  of(list: List, { lagMs, syncing }: Freshness, explained: boolean): HotList {
    const { items, readAtMs, from } = list;
    const shown = () => items.map((item) => this.#shown(item, explained ? readAtMs : null));
    const asOf = new Date(readAtMs).toISOString();
    if (from === 'memory') {
      return { items: shown(), asOf, syncing: true, lagMs: Math.max(lagMs ?? 0, this.#nowMs() - readAtMs) };
    }
    const key = `${lagMs} ${syncing} ${explained}`;
    const answers = this.#answers.get(list) ?? new Map<string, HotList>();
    const answer = answers.get(key) ?? { items: shown(), asOf, syncing, lagMs };
    answers.set(key, answer);
    this.#answers.set(list, answers);
    return answer;
  }

  #shown(item: RankedItem, explainedAtMs: number | null): HotListItem {
    const { rank, articleId, title, score, likes, comments, views, createdAtMs } = item;
    const shown = { rank, articleId, title, score, likes, comments, views };
    if (explainedAtMs === null) return shown;
    return { ...shown, explanation: explain(this.#formula, item, createdAtMs, explainedAtMs) };
  }
}
