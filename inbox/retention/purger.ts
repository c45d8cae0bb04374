import { type Clock, pause } from '../../clock/clock.ts';
import type { Admin, Logger } from '../../kafka/port.ts';
import type { InboxMetrics } from '../metrics.ts';
import { checkRetention, InboxConfigError, type InboxRetention, type TopicVerdict, verdictOn } from './settings.ts';
import type { RetentionTable } from './table.ts';

export interface PurgerOptions {
  topics: readonly string[];
  retention: InboxRetention;
  table: RetentionTable;
  admin: Pick<Admin, 'topicConfig'>;
  /** Names this process among those that could remove rows. */
  owner: string;
  clock: Clock;
  metrics: InboxMetrics;
  logger: Logger;
  /** Between two rounds. Default 60,000. */
  everyMs?: number;
  /** Rows in one statement at most. Default 1,000. */
  stepRows?: number;
}

/** How long a start waits for Kafka's answer; where it takes longer, the rounds ask again. */
const startLimitMs = 5000;
/** Longer than a step and the pause after it. */
const leaseMs = 30_000;

/**
 * Removes old rows in small steps, one process of a consumer at a time, each step a statement by itself and as long a pause
 * after it, so that consumers are not held up. Ids go only while every topic's own settings have been read and allow it.
 */
export class Purger {
  readonly #options: PurgerOptions;
  readonly #stopping = new AbortController();
  #cancel = () => {};
  #round: Promise<unknown> = Promise.resolve();
  #refused: string | null = null;

  /** Throws `InboxConfigError`. */
  constructor(options: PurgerOptions) {
    this.#options = options;
    checkRetention(options.retention);
  }

  /** Why nothing is removed, where a topic's settings don't go with those of the inbox. */
  get refused(): string | null {
    return this.#refused;
  }

  /** Throws `InboxConfigError` where a topic refuses the settings. A Kafka that does not answer is asked again later. */
  async start(): Promise<void> {
    const { clock } = this.#options;
    const answered = new AbortController();
    const verdict = await Promise.race([
      this.#verdict(),
      pause(clock, startLimitMs, answered.signal).then(() => 'unknown' as const),
    ]);
    answered.abort();
    if (typeof verdict === 'object') throw new InboxConfigError(verdict.refused);
    this.#again();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#cancel();
    await this.#round;
  }

  /** One round; answers how many rows went. Never throws. */
  async round(): Promise<number> {
    const { table, retention, owner, logger, stepRows = 1000 } = this.#options;
    let removed = 0;
    try {
      const verdict = await this.#verdict();
      if (typeof verdict === 'object' && this.#refused !== verdict.refused) {
        logger.error(`inbox: no ids are removed. ${verdict.refused}`);
        this.#options.metrics.count('inbox.alarms.total', 1, { alarm: 'retention' });
      }
      this.#refused = typeof verdict === 'object' ? verdict.refused : null;
      if (!(await table.lease(owner, leaseMs))) return 0;
      const nowMs = await table.nowMs();
      const ids = await this.#ids(verdict, nowMs - retention.idsMs, stepRows);
      const letters = await this.#rows('dead_letter', nowMs - retention.settledLettersMs, stepRows);
      const entries = await this.#rows('dead_letter_audit', nowMs - retention.auditMs, stepRows);
      removed = ids + letters + entries;
      if (removed > 0) logger.info(`inbox: removed ${ids} ids, ${letters} dead letters, ${entries} audit entries.`);
    } catch (error) {
      if (!this.#stopping.signal.aborted) logger.warn('inbox: removing old rows failed; again later.', error);
    }
    return removed;
  }

  async #ids(verdict: TopicVerdict | 'unknown', beforeMs: number, stepRows: number): Promise<number> {
    if (verdict !== 'purge') return 0;
    let after: Buffer | null = null;
    return this.#steps('inbox', async () => {
      const step = await this.#options.table.purgeIds(after, beforeMs, stepRows);
      after = step.upTo;
      return { removed: step.removed, done: after === null };
    });
  }

  #rows(name: 'dead_letter' | 'dead_letter_audit', beforeMs: number, stepRows: number): Promise<number> {
    return this.#steps(name, async () => {
      const removed = await this.#options.table.purge(name, beforeMs, stepRows);
      return { removed, done: removed < stepRows };
    });
  }

  async #steps(name: string, step: () => Promise<{ removed: number; done: boolean }>): Promise<number> {
    const { clock, table, owner, metrics } = this.#options;
    for (let total = 0; ; ) {
      const beganMs = clock.monotonicMs();
      const { removed, done } = await step();
      total += removed;
      if (removed > 0) metrics.count('inbox.purged.total', removed, { table: name });
      await pause(clock, clock.monotonicMs() - beganMs + 1, this.#stopping.signal);
      if (done || this.#stopping.signal.aborted || !(await table.lease(owner, leaseMs))) return total;
    }
  }

  /** Of all topics together: refused where one is, kept where one is to be kept; unknown where one could not be asked. */
  async #verdict(): Promise<TopicVerdict | 'unknown'> {
    const { topics, admin, retention, logger } = this.#options;
    let verdict: TopicVerdict | 'unknown' = 'purge';
    for (const topic of topics) {
      try {
        const one = verdictOn(topic, await admin.topicConfig(topic), retention);
        if (typeof one === 'object') return one;
        if (one === 'keep' && verdict === 'purge') verdict = 'keep';
      } catch (error) {
        logger.debug(`inbox: the settings of ${topic} could not be read.`, error);
        verdict = 'unknown';
      }
    }
    return verdict;
  }

  #again(): void {
    if (this.#stopping.signal.aborted) return;
    this.#cancel = this.#options.clock.after(this.#options.everyMs ?? 60_000, () => {
      this.#round = this.round().finally(() => this.#again());
    });
  }
}
