/** A benchmark: runs everything that it compares in one run, on servers of its own. */
export interface Bench {
  title: string;
  run(options: readonly string[]): Promise<BenchResult>;
}

export interface BenchResult {
  /** What a person reads: a row each. */
  rows: Record<string, string | number>[];
  /** What a check reads: units in the names. */
  figures: Record<string, number>;
  notes?: string[];
  /** What a person reads besides. */
  more?: { title: string; rows: Record<string, string | number>[] }[];
}

/** The value below which this share of the samples lies; NaN without samples. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** A row for each figure that was measured, as `[name, key, unit, goal]`. */
export function figureTable(
  lines: readonly (readonly [figure: string, key: string, unit: string, goal: string])[],
  figures: Readonly<Record<string, number>>,
): BenchResult['rows'] {
  return lines.flatMap(([figure, key, unit, goal]) =>
    figures[key] === undefined ? [] : [{ figure, value: figures[key], unit, goal }],
  );
}
