import type { Transaction } from 'sequelize';
import { type DatabaseFailure, databaseFailure, isTransient } from '../database/failures.ts';
import { OutboxError } from './errors.ts';
import { runStatement, type StatementResult } from './statements.ts';
import type { TracedContext } from './traceparent.ts';
import type { PlannedEvent } from './write.ts';

/** What the body of a transaction works with. */
export interface OutboxTransaction {
  /** Give it to every Sequelize call: `{ transaction: tx.transaction }`. */
  readonly transaction: Transaction;
  /**
   * Publishes an event of this source with this change. `build` runs right before the commit, when the aggregate's version
   * line is locked: read counts and states there (`{ transaction: tx.transaction }`), and only read. Throws at once for an
   * unknown type or a bad id; what `build` gives is checked in the transaction, which a misfit undoes.
   */
  publish(type: string, aggregateId: string | number | bigint, build: PayloadBuilder): void;
  /**
   * One statement in this transaction, past Sequelize: for those of every request, as it takes a fraction of the CPU. Answers
   * the rows of a SELECT, else `{ insertId, affectedRows }`; BIGINT as a string. Prepared, so its text must be one of few;
   * with a list among the values (`IN (?)`, `VALUES ?`) it is sent as text. Errors are the driver's.
   */
  run<Result = StatementResult>(sql: string, values?: readonly unknown[]): Promise<Result>;
  /** Runs after the commit, in order, e.g. to clear a cache. What it throws is logged: the change is committed. */
  afterCommit(task: () => unknown): void;
}

export type PayloadBuilder = (tx: OutboxTransaction) => unknown;

/** Statements of their own in a transaction, around its body. What they throw undoes all of it. */
export interface Bracket {
  /** Before the body. */
  first(transaction: Transaction): Promise<void>;
  /** After the body and its events, right before the commit. `token`: see `encodeToken`; null where nothing was published. */
  last(transaction: Transaction, answer: unknown, token: string | null): Promise<void>;
}

/**
 * One attempt of one transaction. `open`: the body runs. `closing`: events are being written, then COMMIT is on its way.
 * `ended`: committed or undone.
 */
export class Scope {
  readonly transaction: Transaction;
  readonly bracket: Bracket | undefined;
  readonly events: PlannedEvent[] = [];
  readonly afterCommit: (() => unknown)[] = [];
  readonly contexts: (TracedContext | undefined)[];
  phase: 'open' | 'closing' | 'ended' = 'open';
  /** COMMIT was answered. */
  committed = false;
  /** Nested bodies that are still running. */
  nested = 0;
  #failure: { error: unknown } | null = null;

  constructor(transaction: Transaction, context: TracedContext | undefined, bracket?: Bracket) {
    this.transaction = transaction;
    this.bracket = bracket;
    this.contexts = [context];
  }

  /** The first reason why this attempt must not be committed, even where somebody has caught it. */
  get failure(): { error: unknown } | null {
    return this.#failure;
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
  }

  /** A statement failed. A duplicate key and the like are the body's own affair; what may have undone more is not. */
  statementFailed(error: unknown): void {
    const failure: DatabaseFailure | null = databaseFailure(error);
    if (isTransient(failure)) this.fail(error);
  }

  /** Throws `TRANSACTION_ENDED` unless the body runs. `what` says what was tried. */
  assertOpen(what: string): void {
    if (this.phase === 'open') return;
    const why =
      this.phase === 'closing'
        ? 'while its transaction is being committed (a build may only read)'
        : 'after its transaction had ended (is an await missing?)';
    throw new OutboxError(
      'TRANSACTION_ENDED',
      `${what} was called ${why}: call it in the body, "await this.transaction(async (tx) => { …; tx.publish(…) })".`,
    );
  }
}

/** What a `build` works with in a transaction of somebody else. */
export function foreignHandle(transaction: Transaction): OutboxTransaction {
  return {
    transaction,
    publish() {
      throw new OutboxError('TRANSACTION_ENDED', 'A build may only read: publish before or after it.');
    },
    run: (sql, values = []) => runStatement(transaction, sql, values),
    afterCommit: (task) => transaction.afterCommit(() => void task()),
  };
}
