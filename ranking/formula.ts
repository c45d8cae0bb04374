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
 * How a score comes about. `changesWithTime` tells whether a score grows old without any event: a list that is sorted
 * when events arrive can only hold formulas where it is false; others have to be sorted when they are read.
 */
export interface Formula {
  /** Names the formula with its weights: scores of two formulas of one `id` are comparable. */
  readonly id: string;
  readonly changesWithTime: boolean;
  /** Times are ms since 1970. Never NaN; the same input gives the same bits in every process. */
  score(counts: Counts, createdAtMs: number, nowMs: number): number;
}

/** Σ weight · count, in millionths: weights like 0.1 would otherwise tell equal scores apart by their last bit. */
export function weighted(weights: Weights, counts: Counts): number {
  const sum = weights.likes * counts.likes + weights.comments * counts.comments + weights.views * counts.views;
  return Number.isInteger(sum) ? sum : Math.round(sum * 1e6) / 1e6;
}

/** The board's own formula: the weighted sum. */
export function linear(weights: Weights): Formula {
  return {
    id: `linear(${weightsId(weights)})`,
    changesWithTime: false,
    score: (counts) => weighted(weights, counts),
  };
}

/**
 * Reddit's "hot" over the weighted sum: ten times the points are worth 12.5 hours. It does not change with time, because
 * newer articles start higher.
 */
export function reddit(weights: Weights): Formula {
  return {
    id: `reddit(${weightsId(weights)})`,
    changesWithTime: false,
    score: (counts, createdAtMs) => redditHot(weighted(weights, counts), createdAtMs / 1000),
  };
}

/** Hacker News' gravity over the weighted sum; the writer's own point, which the formula takes off, is added first. */
export function hackerNews(weights: Weights): Formula {
  return {
    id: `hacker-news(${weightsId(weights)})`,
    changesWithTime: true,
    score: (counts, createdAtMs, nowMs) =>
      hackerNewsRank(weighted(weights, counts) + 1, Math.max(0, nowMs - createdAtMs) / 3_600_000),
  };
}

/**
 * sign(s) · log10(max(|s|, 1)) + (t − 1134028003) / 45000, to 7 decimals, t in seconds since 1970.
 * Source: `_hot` in reddit's r2/lib/db/_sorts.pyx.
 */
export function redditHot(points: number, createdAtSeconds: number): number {
  const order = Math.log10(Math.max(Math.abs(points), 1));
  return Math.round((Math.sign(points) * order + (createdAtSeconds - 1_134_028_003) / 45_000) * 1e7) / 1e7;
}

/**
 * (p − 1)^0.8 / (hours + 2)^1.8, for p below 1 the negative power is avoided as in the original: p − 1 itself is taken.
 * Source: `frontpage-rank` in Arc's news.arc.
 */
export function hackerNewsRank(points: number, ageHours: number): number {
  const base = points - 1;
  return (base > 0 ? base ** 0.8 : base) / (ageHours + 2) ** 1.8;
}

function weightsId(weights: Weights): string {
  return `${weights.likes},${weights.comments},${weights.views}`;
}
