import { randomBytes } from 'node:crypto';
import { type Day, keptDays } from '../../ranking/days.ts';
import { type HotRow, type Scoring, scored } from './hot-row.ts';
import type { HotStore } from './hot-store.ts';
import { lockExisting, readPage, writeChanged } from './hot-table.ts';
import type { HotMetrics } from './metrics.ts';
import type { Database } from './sql.ts';

export interface RebuilderOptions {
  store: HotStore;
  database: Database;
  scoring: Scoring;
  hotDays: number;
  metrics: HotMetrics;
  /** Time of day, ms. */
  nowMs(): number;
  /** Rows read and written at once. Default 1,000. */
  pageSize?: number;
}

export interface RebuildReport {
  days: { day: Day; articles: number }[];
  articles: number;
  /** Rows whose stored score or day did not fit the settings and was put right. */
  rescored: number;
  tookMs: number;
}

/** A rebuild that did not come to its end. The live lists are as they were. */
export class RebuildError extends Error {
  override readonly name = 'RebuildError';
  readonly code: 'REBUILD_RUNNING' | 'REBUILD_INTERRUPTED';
  readonly retryable = true;

  constructor(code: RebuildError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

const lockMs = 15_000;
const lockPollMs = 50;

/**
 * Builds the lists of days anew from MySQL, beside the live ones and while events arrive: from the moment a generation is
 * begun every push goes to both, and a push never takes a newer rev back, so the order of reading and pushing does not matter.
 * Then the new one becomes the live one in one step. Cluster-wide one rebuild at a time.
 */
export class Rebuilder {
  readonly #options: RebuilderOptions;

  constructor(options: RebuilderOptions) {
    this.#options = options;
  }

  /** The days that can be built, oldest first. */
  keptDays(): Day[] {
    const { scoring, hotDays, nowMs } = this.#options;
    return keptDays(scoring.days.dayOf(new Date(nowMs())), hotDays);
  }

  /**
   * `days`: default all that are kept. Waits at most `lockWaitMs` (default 0) for a rebuild that runs. Throws `RebuildError`,
   * and whatever the database or Redis throw.
   */
  async rebuild({ days, lockWaitMs = 0 }: { days?: readonly Day[]; lockWaitMs?: number } = {}): Promise<RebuildReport> {
    const startedMs = performance.now();
    const { store } = this.#options;
    await store.forgetOtherServer();
    const token = randomBytes(8).toString('hex');
    await this.#lock(token, lockWaitMs);
    try {
      const report: RebuildReport = { days: [], articles: 0, rescored: 0, tookMs: 0 };
      // the newest first: they are what is read most
      for (const day of [...(days ?? this.keptDays())].sort().reverse()) {
        const { articles, rescored } = await this.#buildDay(day, token);
        this.#options.metrics.count('hot.rebuilds.total', 1);
        report.days.push({ day, articles });
        report.articles += articles;
        report.rescored += rescored;
      }
      report.tookMs = Math.round(performance.now() - startedMs);
      return report;
    } finally {
      await store.unlockRebuild(token).catch(() => {}); // it expires
    }
  }

  /** Puts right every stored score and day that does not fit the settings. Answers how many. */
  async rescore(): Promise<number> {
    const { database } = this.#options;
    let rescored = 0;
    for await (const rows of this.#pages((afterId, limit) => readPage(database, { afterId, limit }))) {
      rescored += (await this.#putRight(rows)).count;
    }
    return rescored;
  }

  async #buildDay(day: Day, token: string): Promise<{ articles: number; rescored: number }> {
    const { store, database } = this.#options;
    const generation = randomBytes(6).toString('hex');
    let articles = 0;
    let rescored = 0;
    await store.begin(day, generation);
    for await (const page of this.#pages((afterId, limit) => readPage(database, { day, afterId, limit }))) {
      const { rows, count } = await this.#putRight(page);
      rescored += count;
      const ofDay = rows.filter((row) => row.day === day);
      const [holds, answers] = await Promise.all([
        store.lockRebuild(token, lockMs),
        store.push(ofDay, 'building'), // what it writes too late to a generation of another one is no older than that has
      ]);
      if (!holds || answers.includes('missing')) throw interrupted(day);
      articles += ofDay.filter((row) => !row.deleted).length;
    }
    if (!(await store.swap(day, generation))) throw interrupted(day);
    return { articles, rescored };
  }

  /** Page after page by id; the next one is read while the caller works on this one. */
  async *#pages(read: (afterId: string, limit: number) => Promise<HotRow[]>): AsyncGenerator<HotRow[]> {
    const limit = this.#options.pageSize ?? 1000;
    let next = read('0', limit);
    for (;;) {
      const rows = await next;
      if (rows.length === 0) return;
      const full = rows.length === limit;
      if (full) {
        next = read(rows.at(-1)!.articleId, limit);
        next.catch(() => {}); // seen when it is awaited, or not needed any more
      }
      yield rows;
      if (!full) return;
    }
  }

  async #putRight(rows: HotRow[]): Promise<{ rows: HotRow[]; count: number }> {
    const { database, scoring, nowMs } = this.#options;
    const wrong = rows.filter((row) => differs(row, scoring));
    if (wrong.length === 0) return { rows, count: 0 };
    const right = await database.transaction(async (tx) => {
      const locked = await lockExisting(
        tx,
        wrong.map(({ articleId }) => articleId),
      );
      const changed = locked
        .filter((row) => differs(row, scoring))
        .map((row) => scored({ ...row, rev: row.rev + 1n }, scoring));
      if (changed.length > 0) await writeChanged(tx, changed, nowMs());
      return new Map([...locked, ...changed].map((row) => [row.articleId, row]));
    });
    return { rows: rows.map((row) => right.get(row.articleId) ?? row), count: right.size };
  }

  async #lock(token: string, waitMs: number): Promise<void> {
    const until = performance.now() + waitMs;
    while (!(await this.#options.store.lockRebuild(token, lockMs))) {
      if (performance.now() >= until) {
        throw new RebuildError(
          'REBUILD_RUNNING',
          'The hot lists are being rebuilt already; try again when that is done.',
        );
      }
      await new Promise((resolve) => setTimeout(resolve, lockPollMs));
    }
  }
}

function differs(row: HotRow, scoring: Scoring): boolean {
  const right = scored(row, scoring);
  return right.score !== row.score || right.day !== row.day;
}

function interrupted(day: Day): RebuildError {
  return new RebuildError(
    'REBUILD_INTERRUPTED',
    `The rebuild of ${day} was cut off: Redis lost its keys, or another rebuild took over. The lists are as they were.`,
  );
}
