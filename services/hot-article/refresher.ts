import { type Day, type Days, keptDays } from '../../ranking/days.ts';
import { Circuit } from './circuit.ts';
import type { HotRow } from './hot-row.ts';
import type { HotStore, PushAnswer } from './hot-store.ts';
import { clearMarks } from './hot-table.ts';
import type { HotMetrics } from './metrics.ts';
import type { Sql } from './sql.ts';

export interface RefresherOptions {
  store: HotStore;
  database: Sql;
  days: Days;
  hotDays: number;
  metrics: HotMetrics;
  /** Time of day, ms. */
  nowMs(): number;
  /** A day has no generation in Redis: it has to be built. */
  onMissing(): void;
  onError(what: string, error: unknown): void;
}

export interface RefreshReport {
  /** How many rows Redis has now, in this rev. */
  written: number;
  missing: Set<Day>;
  /** Rows of which Redis has a later rev. */
  newer: HotRow[];
}

/** In one statement at most: MariaDB makes a temporary table of longer lists. */
const clearedAtOnce = 500;
/** Cleared marks wait for more of them so long: a durable statement for each batch would cost more than it is worth. */
const gatherMs = 50;

/**
 * Brings committed rows to Redis, then clears their dirty marks where `rev` is what was written. Whatever fails or is cut off
 * in between leaves the mark, and the healer comes back to it.
 */
export class Refresher {
  readonly #options: RefresherOptions;
  readonly #circuit = new Circuit({ firstMs: 500, longestMs: 5000 });
  #toClear: HotRow[] = [];
  #clearing: Promise<void> | null = null;

  constructor(options: RefresherOptions) {
    this.#options = options;
  }

  /** Never throws: `onError` gets what went wrong. Null where Redis was not reached. */
  async refresh(rows: readonly HotRow[]): Promise<RefreshReport | null> {
    try {
      return await this.#circuit.run(() => this.#push(rows));
    } catch (error) {
      this.#options.metrics.count('hot.refresh.failures.total', 1);
      this.#options.onError('The hot lists in Redis could not be written; they are healed later', error);
      return null;
    }
  }

  /** Resolves when no mark waits to be cleared. */
  async settled(): Promise<void> {
    while (this.#clearing !== null) await this.#clearing;
  }

  async #push(rows: readonly HotRow[]): Promise<RefreshReport> {
    const { store, days, hotDays, metrics, nowMs } = this.#options;
    const kept = new Set(keptDays(days.dayOf(new Date(nowMs())), hotDays));
    const listed = rows.filter((row) => row.day !== null && kept.has(row.day));
    const answers = await store.push(listed);
    const report: RefreshReport = { written: 0, missing: new Set(), newer: [] };
    const done = rows.filter((row) => row.day === null || !kept.has(row.day)); // Redis has nothing of these
    for (const [index, row] of listed.entries()) {
      const answer = answers[index]!;
      switch (answer) {
        case 'written':
        case 'same':
          report.written++;
          done.push(row);
          break;
        case 'newer':
          report.newer.push(row);
          break;
        case 'missing':
          report.missing.add(row.day!);
          break;
        default:
          answer satisfies never;
      }
    }
    for (const [answer, count] of countsOf(answers)) metrics.count('hot.refreshed.total', count, { answer });
    this.#clear(done);
    if (report.missing.size > 0) this.#options.onMissing();
    return report;
  }

  #clear(rows: readonly HotRow[]): void {
    if (rows.length === 0) return;
    this.#toClear.push(...rows);
    this.#clearing ??= this.#clearAll().finally(() => {
      this.#clearing = null;
    });
  }

  async #clearAll(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, gatherMs));
    while (this.#toClear.length > 0) {
      const some = this.#toClear.splice(0, clearedAtOnce);
      try {
        await clearMarks(this.#options.database, some);
      } catch (error) {
        this.#options.onError('Dirty marks could not be cleared; they are looked at again later', error);
      }
    }
  }
}

function countsOf(answers: readonly PushAnswer[]): Map<PushAnswer, number> {
  const counts = new Map<PushAnswer, number>();
  for (const answer of answers) counts.set(answer, (counts.get(answer) ?? 0) + 1);
  return counts;
}
