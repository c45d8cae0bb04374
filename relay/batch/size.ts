export interface SizeSettings {
  /** Events in a batch at most. */
  batchSize: number;
  /** Bytes of payload in a batch, about: a batch has at least one event, however large. */
  batchBytes: number;
}

/**
 * How many events to fetch next. Thin rows do not tell sizes, so the last batch's average is taken for the next one's; and a
 * batch at most doubles, so that a run of large events after small ones is met with few of them in memory.
 */
export function nextBatchRows(last: { rows: number; bytes: number } | null, settings: SizeSettings): number {
  if (last === null || last.rows === 0) return Math.min(settings.batchSize, firstRows);
  const fitting = Math.floor((settings.batchBytes * last.rows) / Math.max(1, last.bytes));
  return Math.max(1, Math.min(settings.batchSize, fitting, Math.max(firstRows, last.rows * 2)));
}

const firstRows = 250;
