import { addDays, type Day } from '../../ranking/days.ts';
import type { HotRow, Scoring } from './hot-row.ts';
import { scoringId } from './hot-row.ts';
import type { HotStore } from './hot-store.ts';
import { clearMarks, countMarks, purgeBefore, readMarks, readRows } from './hot-table.ts';
import type { HotMetrics } from './metrics.ts';
import { RebuildError, type Rebuilder } from './rebuilder.ts';
import type { Refresher } from './refresher.ts';
import type { Sql } from './sql.ts';

export interface HealerOptions {
  store: HotStore;
  database: Sql;
  refresher: Refresher;
  rebuilder: Rebuilder;
  scoring: Scoring;
  hotDays: number;
  metrics: HotMetrics;
  /** Time of day, ms. */
  nowMs(): number;
  /** Younger marks belong to whoever is just writing them to Redis. Default 2,000. */
  graceMs?: number;
  onInfo(what: string): void;
}

const marksAtOnce = 500;
const purgedAtOnce = 1000;
/** So much is purged in a round at most; the rest has time. */
const purgeSteps = 20;
const purgeEveryMs = 600_000;
const countEveryMs = 10_000;
const settingName = 'scoring';
const selectSetting = 'SELECT value FROM hot_setting WHERE name = ?';
const writeSetting =
  'INSERT INTO hot_setting (name, value) VALUES (?, ?) ON DUPLICATE KEY UPDATE value = VALUES(value)';

/**
 * Puts right what events alone do not: rows that Redis did not get, days without a list (a flush, midnight, a restart without
 * data), lists written to another server, scores of other settings, what is too old to be kept. Every node may run it.
 */
export class Healer {
  readonly #options: HealerOptions;
  #scoringIsRight = false;
  #nextPurgeMs = 0;
  #nextCountMs = 0;
  #behindSinceMs: number | null = null;
  /** Revs of rows that Redis had a later one of at the last look. */
  #ahead = new Map<string, bigint>();

  constructor(options: HealerOptions) {
    this.#options = options;
  }

  /** For how long Redis has not had what MySQL has, as far as this node knows; 0 where it has all. */
  get behindMs(): number {
    return this.#behindSinceMs === null ? 0 : Math.max(1, this.#options.nowMs() - this.#behindSinceMs);
  }

  /** One round. Throws what MySQL or Redis throw: the next round goes on. */
  async heal(): Promise<void> {
    try {
      await this.#applySettings();
      await this.#purgeRows();
      await this.#buildMissing();
      const whole = await this.#refreshDirty();
      await this.#countDirty();
      this.#behindSinceMs = whole ? null : (this.#behindSinceMs ?? this.#options.nowMs());
    } catch (error) {
      this.#behindSinceMs ??= this.#options.nowMs();
      throw error;
    } finally {
      this.#options.metrics.gauge('hot.behind.ms', this.behindMs);
    }
  }

  /** Weights, formula or time zone may have been changed since the rows were written. */
  async #applySettings(): Promise<void> {
    if (this.#scoringIsRight) return;
    const { database, scoring, rebuilder, onInfo } = this.#options;
    const [stored] = await database.query<{ value: string }>(selectSetting, [settingName]);
    const wanted = scoringId(scoring);
    if (stored?.value !== wanted) {
      const rescored = await rebuilder.rescore();
      // rows may belong to other days now: their old lists would keep them
      if (stored !== undefined) await rebuilder.rebuild();
      await database.write(writeSetting, [settingName, wanted]);
      if (stored !== undefined)
        onInfo(`Scores follow ${wanted} now (before: ${stored.value}): ${rescored} rows changed.`);
    }
    this.#scoringIsRight = true;
  }

  async #buildMissing(): Promise<void> {
    const { store, rebuilder, onInfo } = this.#options;
    if (await store.forgetOtherServer()) onInfo('Redis is another server, or started anew: all lists are built anew.');
    const { live, building } = await store.generations();
    const kept = rebuilder.keptDays();
    for (const day of new Set([...live.keys(), ...building.keys()])) {
      if (!kept.includes(day) && day < kept[0]!) await store.drop(day);
    }
    // one that is being built while nobody rebuilds was left by a builder that died
    const days = kept.filter((day) => !live.has(day) || building.has(day));
    if (days.length === 0) return;
    try {
      const report = await rebuilder.rebuild({ days });
      onInfo(`Lists of ${days.join(', ')} built: ${report.articles} articles in ${report.tookMs} ms.`);
    } catch (error) {
      if (!(error instanceof RebuildError)) throw error; // another node is at it, or Redis was flushed again
    }
  }

  /** True where Redis has everything that was marked long enough ago. */
  async #refreshDirty(): Promise<boolean> {
    const { database, refresher, nowMs, graceMs } = this.#options;
    const untilMs = nowMs() - (graceMs ?? 2000);
    const ahead = new Map<string, bigint>();
    let whole = true;
    let afterId = '0';
    for (;;) {
      const marks = await readMarks(database, { afterId, untilMs, limit: marksAtOnce });
      if (marks.length === 0) break;
      afterId = marks.at(-1)!.articleId;
      const rows = await readRows(
        database,
        marks.map(({ articleId }) => articleId),
      );
      await clearMarks(
        database,
        marks.filter(({ articleId }) => !rows.has(articleId)),
      );
      const report = await refresher.refresh([...rows.values()]);
      if (report === null) return false;
      if (report.missing.size > 0) whole = false;
      for (const row of report.newer) ahead.set(row.articleId, row.rev);
      await this.#rebuildWhereRedisIsAhead(report.newer);
      if (marks.length < marksAtOnce) break;
    }
    this.#ahead = ahead;
    await refresher.settled();
    return whole;
  }

  /**
   * A later rev in Redis is some writer's that is quicker than this look; but where it stays and MySQL does not get there,
   * MySQL was restored from a backup, and the list has to follow it.
   */
  async #rebuildWhereRedisIsAhead(rows: readonly HotRow[]): Promise<void> {
    const days = new Set<Day>();
    for (const row of rows) if (row.day !== null && this.#ahead.get(row.articleId) === row.rev) days.add(row.day);
    if (days.size === 0) return;
    this.#options.onInfo(`Redis is ahead of MySQL on ${[...days].join(', ')}: these lists are built anew.`);
    await this.#options.rebuilder.rebuild({ days: [...days] });
  }

  async #countDirty(): Promise<void> {
    const { database, metrics, nowMs } = this.#options;
    if (nowMs() < this.#nextCountMs) return;
    this.#nextCountMs = nowMs() + countEveryMs;
    metrics.gauge('hot.dirty.rows', await countMarks(database));
  }

  async #purgeRows(): Promise<void> {
    const { database, scoring, hotDays, nowMs } = this.#options;
    if (nowMs() < this.#nextPurgeMs) return;
    const cutoff = addDays(scoring.days.dayOf(new Date(nowMs())), -hotDays - 1);
    let more = true;
    for (let step = 0; more && step < purgeSteps; step++) {
      more = (await purgeBefore(database, cutoff, purgedAtOnce)) === purgedAtOnce;
    }
    this.#nextPurgeMs = nowMs() + (more ? 10_000 : purgeEveryMs);
  }
}
