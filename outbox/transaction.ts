import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import type { Sequelize, Transaction } from 'sequelize';
import { DatabaseError } from '../database/errors.ts';
import { databaseFailure } from '../database/failures.ts';
import { hasEnded, surelyUndone, undo } from './ending.ts';
import { endedBySomebody, nestedIdempotency, notAwaited, OutboxError, outsideTransaction } from './errors.ts';
import { definitionOf, type EventRules } from './event.ts';
import { backoffMs, givenUp, transientReason } from './retry.ts';
import { type Bracket, foreignHandle, type OutboxTransaction, type PayloadBuilder, Scope } from './scope.ts';
import { runStatement } from './statements.ts';
import { addToken, encodeToken, type TokenEntry } from './token.ts';
import { type TracedContext, traceparentOf } from './traceparent.ts';
import { watchStatements } from './watch.ts';
import { planEvent, type WrittenEvent, writeEvents } from './write.ts';

export interface OutboxOptions extends EventRules {
  sequelize: Sequelize;
  /** The database's number of buckets; asked before each transaction, so that it may wait for the database. */
  buckets(): Promise<number>;
  /** Wakes the relay: a hint that may be lost. */
  nudge(buckets: readonly number[]): void;
  logger: { warn(...args: unknown[]): void };
  metrics?: OutboxMetrics;
  /** No new attempt after so long. Default 5,000. */
  retryForMs?: number;
  /** Attempts of one transaction at most. Default 10. */
  maxAttempts?: number;
  /** Default: wall clock, timers and `Math.random`. */
  time?: { nowMs(): number; sleep(ms: number): Promise<void>; random(): number };
}

/** Counts of what an outbox did. */
export interface OutboxMetrics {
  written(type: string, count: number): void;
  retried(reason: string): void;
  unknownOutcome(): void;
}

const systemTime = { nowMs: () => performance.now(), sleep: (ms: number) => delay(ms), random: Math.random };

/** Transactions that carry their events. One for each producer database of a process. */
export class Outbox {
  readonly #options: OutboxOptions;
  readonly #time: NonNullable<OutboxOptions['time']>;
  /** The transaction that the running code belongs to. */
  readonly #current = new AsyncLocalStorage<Scope>();
  readonly #scopes = new WeakMap<Transaction, Scope>();

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#time = options.time ?? systemTime;
    watchStatements(options.sequelize, (transaction) => this.#scopes.get(transaction));
  }

  /**
   * Runs `work` in a transaction (READ COMMITTED) and commits it with its events, or undoes all of it. A call within
   * another's `work` joins that one (also by way of an action call that stays in this process): there is one commit, and
   * a throw undoes the whole even where it is caught.
   *
   * Deadlocks, locked rows and a connection lost before the commit run `work` again from its start, for at most
   * `retryForMs`: besides the database it must not change anything (use `tx.afterCommit`).
   *
   * Throws what `work` throws, `OutboxError` (`OUTCOME_UNKNOWN`: the change may be there; `TRANSACTION_CONFLICT`: it is not,
   * try again) or `DatabaseError` (`DATABASE_UNAVAILABLE`).
   *
   * `context`: a Moleculer context: gives the trace, and gets `meta.consistencyToken` after the commit.
   * `bracket`: statements around the body; a nested call has that of the outer one.
   */
  async transaction<Result>(
    work: (tx: OutboxTransaction) => Promise<Result> | Result,
    context?: TracedContext,
    bracket?: Bracket,
  ): Promise<Result> {
    const outer = this.current();
    if (outer) {
      if (bracket && !outer.bracket) throw nestedIdempotency();
      return this.#join(outer, work, context);
    }

    const startedMs = this.#time.nowMs();
    const { retryForMs = 5000, maxAttempts = 10 } = this.#options;
    for (let attempt = 1; ; attempt++) {
      let scope: Scope | undefined;
      try {
        scope = await this.#begin(context, bracket);
        return await this.#attempt(scope, work);
      } catch (error) {
        const reason = transientReason(error, scope ? scope.failure : null);
        if (reason === null || (scope && (scope.committed || !scope.failure))) throw error;
        if (attempt >= maxAttempts || this.#time.nowMs() - startedMs >= retryForMs)
          throw givenUp(reason, attempt, error);
        this.#options.metrics?.retried(reason);
        await this.#time.sleep(backoffMs(attempt, this.#time.random()));
      }
    }
  }

  /** The running transaction of the code that asks, if it has one. */
  current(): Scope | undefined {
    const scope = this.#current.getStore();
    return scope?.phase === 'ended' ? undefined : scope;
  }

  /** The scope of one of this outbox's own transactions. */
  scopeOf(transaction: Transaction): Scope | undefined {
    return this.#scopes.get(transaction);
  }

  /** Throws `EVENT_UNKNOWN_TYPE` for a type that cannot be published here. */
  checkType(type: string): void {
    definitionOf(this.#options, type);
  }

  publishIn(scope: Scope, type: string, aggregateId: string | number | bigint, build: PayloadBuilder): void {
    scope.assertOpen(`publish(${JSON.stringify(type)})`);
    const traceparent = traceparentOf(scope.contexts.findLast((context) => context !== undefined));
    scope.events.push(planEvent(this.#options, type, aggregateId, traceparent, () => build(this.#handle(scope))));
  }

  /**
   * Publishes in a Sequelize transaction of somebody else, at once: it takes the aggregate's version line now and holds it until
   * that transaction ends, so call it last, and in a fixed order of aggregates where there are several. Where it fails, it
   * rolls that transaction back. In one of this outbox's own it waits for the commit like `tx.publish`.
   */
  async publish(
    event: { type: string; aggregateId: string | number | bigint; payload: unknown | PayloadBuilder },
    options: { transaction?: Transaction | null; context?: TracedContext } = {},
  ): Promise<void> {
    const { type, aggregateId, payload } = event;
    const build = typeof payload === 'function' ? (payload as PayloadBuilder) : () => payload;
    const scope = options.transaction ? this.scopeOf(options.transaction) : this.current();
    if (scope) return this.publishIn(scope, type, aggregateId, build);
    const { transaction } = options;
    if (!transaction) throw outsideTransaction(type);
    const planned = planEvent(this.#options, type, aggregateId, traceparentOf(options.context), () =>
      build(foreignHandle(transaction)),
    );
    const buckets = await this.#options.buckets();
    let written: WrittenEvent[];
    try {
      written = await writeEvents(transaction, this.#options, buckets, [planned]);
    } catch (error) {
      await undo(transaction, error); // so that it cannot be committed with a version that has no event
      throw error;
    }
    // Sequelize runs these hooks where COMMIT failed as well: a nudge too many does no harm.
    transaction.afterCommit(() => this.#published(written, [options.context]));
  }

  async #begin(context: TracedContext | undefined, bracket: Bracket | undefined): Promise<Scope> {
    await this.#options.buckets();
    try {
      const transaction = await this.#options.sequelize.transaction();
      const scope = new Scope(transaction, context, bracket);
      this.#scopes.set(transaction, scope);
      return scope;
    } catch (error) {
      if (databaseFailure(error) === null) throw error;
      const message = `No transaction could be started: ${(error as Error).message}`;
      throw new DatabaseError('DATABASE_UNAVAILABLE', message, { retryable: true, cause: error });
    }
  }

  async #attempt<Result>(scope: Scope, work: (tx: OutboxTransaction) => Promise<Result> | Result): Promise<Result> {
    let result: Result;
    let written: WrittenEvent[];
    try {
      [result, written] = await this.#current.run(scope, async () => {
        const { transaction, bracket } = scope;
        if (bracket) await ownStatements(scope, () => bracket.first(transaction));
        const answer = await work(this.#handle(scope));
        if (scope.nested > 0) throw notAwaited();
        scope.phase = 'closing';
        throwIfFailed(scope);
        const events = await this.#write(scope);
        if (bracket) {
          const token = events.length === 0 ? null : encodeToken(this.#tokenEntries(events));
          await ownStatements(scope, () => bracket.last(transaction, answer, token));
        }
        throwIfFailed(scope);
        return [answer, events];
      });
    } catch (error) {
      scope.phase = 'ended';
      await undo(scope.transaction, error);
      throw error;
    }
    await this.#commit(scope, written);
    scope.phase = 'ended';
    this.#published(written, scope.contexts);
    for (const task of scope.afterCommit) {
      try {
        await task();
      } catch (error) {
        this.#options.logger.warn('A task after a commit failed; the change is committed.', error);
      }
    }
    return result;
  }

  async #write(scope: Scope): Promise<WrittenEvent[]> {
    if (scope.events.length === 0) return [];
    const buckets = await this.#options.buckets();
    return ownStatements(scope, () => writeEvents(scope.transaction, this.#options, buckets, scope.events));
  }

  async #commit(scope: Scope, written: readonly WrittenEvent[]): Promise<void> {
    if (hasEnded(scope.transaction)) throw endedBySomebody();
    try {
      await scope.transaction.commit();
    } catch (error) {
      scope.phase = 'ended';
      if (scope.committed) {
        this.#options.logger.warn('A hook after a commit failed; the change is committed.', error);
        return;
      }
      if (surelyUndone(databaseFailure(error))) throw error;
      this.#options.metrics?.unknownOutcome();
      this.#options.nudge([...new Set(written.map((event) => event.bucket))]);
      throw new OutboxError(
        'OUTCOME_UNKNOWN',
        'The connection to the database broke during the commit: the change is there with its events, or not at all.',
        { retryable: true, cause: error },
      );
    }
  }

  async #join<Result>(
    scope: Scope,
    work: (tx: OutboxTransaction) => Promise<Result> | Result,
    context: TracedContext | undefined,
  ): Promise<Result> {
    scope.assertOpen('transaction()');
    if (context && !scope.contexts.includes(context)) scope.contexts.push(context);
    scope.nested++;
    try {
      return await work(this.#handle(scope));
    } catch (error) {
      scope.fail(error);
      throw error;
    } finally {
      scope.nested--;
    }
  }

  #handle(scope: Scope): OutboxTransaction {
    return {
      transaction: scope.transaction,
      publish: (type, aggregateId, build) => this.publishIn(scope, type, aggregateId, build),
      run: (sql, values = []) => ownStatements(scope, () => runStatement(scope.transaction, sql, values)),
      afterCommit(task) {
        scope.assertOpen('afterCommit()');
        scope.afterCommit.push(task);
      },
    };
  }

  #published(written: readonly WrittenEvent[], contexts: readonly (TracedContext | undefined)[]): void {
    if (written.length === 0) return;
    this.#options.nudge([...new Set(written.map((event) => event.bucket))]);
    for (const { type } of written) this.#options.metrics?.written(type, 1);
    const entries = this.#tokenEntries(written);
    for (const context of contexts) if (context?.meta) addToken(context.meta, entries);
  }

  #tokenEntries(written: readonly WrittenEvent[]): TokenEntry[] {
    const { source } = this.#options;
    return written.map(({ aggregateType, aggregateId, version }) => [
      source,
      aggregateType,
      aggregateId,
      String(version),
    ]);
  }
}

function throwIfFailed(scope: Scope): void {
  if (scope.failure) throw scope.failure.error;
}

/** Statements that go past Sequelize: their failures count like those of the body. */
async function ownStatements<Result>(scope: Scope, run: () => Promise<Result>): Promise<Result> {
  try {
    return await run();
  } catch (error) {
    scope.statementFailed(error);
    throw error;
  }
}
