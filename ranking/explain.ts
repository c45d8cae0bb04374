import { hourMs } from './days.ts';
import { type Counts, type Formula, type FormulaName, hackerNewsParts, redditParts, weighted } from './formula.ts';

interface Part {
  count: number;
  weight: number;
  /** count · weight */
  points: number;
}

/** What a score is made of, so that a reader can do the sum again. */
export interface Explanation {
  formula: FormulaName;
  parts: Record<keyof Counts, Part>;
  /** The sum of the parts. Linear: this is the score. */
  points: number;
  /** Reddit: `order + time` is the score (to 7 decimals): log10 of the points, and the time of the article. */
  order?: number;
  time?: number;
  /** Hacker News: `pull / gravity` is the score: points^0.8, and (ageHours + 2)^1.8. */
  ageHours?: number;
  pull?: number;
  gravity?: number;
}

/** Times are ms since 1970; `nowMs` is when the list was made. */
export function explain(formula: Formula, counts: Counts, createdAtMs: number, nowMs: number): Explanation {
  const { name, weights } = formula;
  const points = weighted(weights, counts);
  const part = (key: keyof Counts): Part => ({
    count: counts[key],
    weight: weights[key],
    points: Math.round(counts[key] * weights[key] * 1e6) / 1e6,
  });
  const common = {
    formula: name,
    parts: { likes: part('likes'), comments: part('comments'), views: part('views') },
    points,
  };
  switch (name) {
    case 'linear':
      return common;
    case 'reddit':
      return { ...common, ...redditParts(points, createdAtMs / 1000) };
    case 'hacker-news': {
      const ageHours = Math.max(0, nowMs - createdAtMs) / hourMs;
      return { ...common, ageHours, ...hackerNewsParts(points + 1, ageHours) };
    }
    default:
      return name satisfies never;
  }
}
