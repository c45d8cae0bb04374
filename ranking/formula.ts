import { hourMs } from './days.ts';

/** What a score is made of. Counts are absolute. */
export interface Counts {
  likes: number;
  comments: number;
  views: number;
}

/** How much one like, comment and view is worth. */
export interface Weights {
  likes: number;
  comments: number;
  views: number;
}

/**
 * How a score comes about: in two steps, so that lists can be kept sorted also where scores grow old. What is stored of an article
 * changes with its events only; the score follows from that and the article's age.
 */
export interface Formula {
  readonly name: FormulaName;
  readonly weights: Weights;
  /** Names the formula with its weights: what two formulas of one `id` store is comparable. */
  readonly id: string;
  /** A score grows old without any event. */
  readonly changesWithTime: boolean;
  /** Times are ms since 1970. Never NaN; the same input gives the same bits in every process. */
  stored(counts: Counts, createdAtMs: number): number;
  /** Never falls where `stored` rises, never rises where the article is older. Is `stored` itself where nothing changes with time. */
  score(stored: number, createdAtMs: number, nowMs: number): number;
}

export const formulaNames = ['linear', 'reddit', 'hacker-news'] as const;
export type FormulaName = (typeof formulaNames)[number];

/** Σ weight · count, in millionths: weights like 0.1 would otherwise tell equal scores apart by their last bit. */
export function weighted(weights: Weights, counts: Counts): number {
  const sum = weights.likes * counts.likes + weights.comments * counts.comments + weights.views * counts.views;
  return Number.isInteger(sum) ? sum : Math.round(sum * 1e6) / 1e6;
}

export function formulaOf(name: FormulaName, weights: Weights): Formula {
  return { linear, reddit, 'hacker-news': hackerNews }[name](weights);
}

/** The board's own formula: the weighted sum. */
export function linear(weights: Weights): Formula {
  return {
    ...named('linear', weights),
    changesWithTime: false,
    stored: (counts) => weighted(weights, counts),
    score: (stored) => stored,
  };
}

/**
 * Reddit's "hot" over the weighted sum: ten times the points are worth 12.5 hours. It does not change with time, because
 * newer articles start higher.
 */
export function reddit(weights: Weights): Formula {
  return {
    ...named('reddit', weights),
    changesWithTime: false,
    stored: (counts, createdAtMs) => redditHot(weighted(weights, counts), createdAtMs / 1000),
    score: (stored) => stored,
  };
}

/** Hacker News' gravity over the weighted sum; the writer's own point, which the formula takes off, is added first. */
export function hackerNews(weights: Weights): Formula {
  return {
    ...named('hacker-news', weights),
    changesWithTime: true,
    stored: (counts) => weighted(weights, counts),
    score: (stored, createdAtMs, nowMs) => hackerNewsRank(stored + 1, Math.max(0, nowMs - createdAtMs) / hourMs),
  };
}

/**
 * sign(s) · log10(max(|s|, 1)) + (t − 1134028003) / 45000, to 7 decimals, t in seconds since 1970.
 * Source: `_hot` in reddit's r2/lib/db/_sorts.pyx.
 */
export function redditHot(points: number, createdAtSeconds: number): number {
  const { order, time } = redditParts(points, createdAtSeconds);
  return Math.round((order + time) * 1e7) / 1e7;
}

/** The two addends of `redditHot`. */
export function redditParts(points: number, createdAtSeconds: number): { order: number; time: number } {
  const order = Math.sign(points) * Math.log10(Math.max(Math.abs(points), 1));
  return { order, time: (createdAtSeconds - 1_134_028_003) / 45_000 };
}

/**
 * (p − 1)^0.8 / (hours + 2)^1.8, for p below 1 the negative power is avoided as in the original: p − 1 itself is taken.
 * Source: `frontpage-rank` in Arc's news.arc.
 */
export function hackerNewsRank(points: number, ageHours: number): number {
  const { pull, gravity } = hackerNewsParts(points, ageHours);
  return pull / gravity;
}

/** Dividend and divisor of `hackerNewsRank`. */
export function hackerNewsParts(points: number, ageHours: number): { pull: number; gravity: number } {
  const base = points - 1;
  return { pull: base > 0 ? base ** 0.8 : base, gravity: (ageHours + 2) ** 1.8 };
}

function named(name: FormulaName, weights: Weights): Pick<Formula, 'name' | 'weights' | 'id'> {
  return { name, weights, id: `${name}(${weights.likes},${weights.comments},${weights.views})` };
}
