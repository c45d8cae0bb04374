import { QueryTypes, type Sequelize, type Transaction } from 'sequelize';
import { databaseFailure, isDuplicateKey } from '../../database/failures.ts';
import { OutboxError } from '../errors.ts';
import type { OutboxTransaction } from '../scope.ts';
import { runStatement } from '../statements.ts';
import { addToken, decodeToken } from '../token.ts';
import type { TracedContext } from '../traceparent.ts';
import type { Outbox } from '../transaction.ts';
import { fingerprintOf } from './fingerprint.ts';
import { invalidKey, isKey } from './key.ts';
import * as statements from './statements.ts';

/** A call that takes effect once, however often it is made. */
export interface IdempotentCall {
  /** The client's: 1 to 255 printable ASCII characters. */
  key: string;
  /** Whose key it is, e.g. the user's id: keys of others never meet. At most 128 bytes. */
  caller: string;
  /** What it is a key for, e.g. the action's name. At most 128 bytes. */
  scope: string;
  /** What was asked for, as JSON can say it: the same key with anything else is refused. */
  request: unknown;
}

export interface IdempotencyOptions {
  outbox: Outbox;
  sequelize: Sequelize;
  /** Keys and answers are forgotten after so long. Default 24 hours. */
  keepMs?: number;
}

/** How to run one, beside its body. */
export interface IdempotentRun {
  context?: TracedContext;
  /** Runs before the transaction, unless the answer is known: what it throws is thrown on and not remembered. */
  check?(): Promise<unknown>;
}

interface KnownKey {
  fingerprint: Buffer;
  answer: Buffer | null;
  token: Buffer | null;
}

export const defaultKeepMs = 24 * 3_600_000;
const maxNameBytes = 128;
/** Rows of one DELETE, and of one run: the next run goes on. */
const purgedAtOnce = 500;
const purgedPerRun = 50_000;

/**
 * Transactions whose answer is kept under a client's key, in the same transaction as the change and its events. So after
 * an unknown outcome the same call can be made again: it gets the first one's answer, or takes effect now.
 */
export class Idempotency {
  readonly #options: IdempotencyOptions;

  constructor(options: IdempotencyOptions) {
    this.#options = options;
  }

  /**
   * `outbox.transaction(work)`, once for each key. The answer passes through JSON, the first one as well as a repeated one.
   * `context.meta` gets the consistency token, and `idempotencyReplayed: true` where the answer is a repeated one. What throws
   * is not remembered: nothing was kept, and the key is free. Throws, beside what `transaction` throws, `OutboxError`:
   * `IDEMPOTENCY_KEY_IN_USE` (retryable: another call with this key is at work), `IDEMPOTENCY_KEY_REUSED` (the key belongs to
   * another request), `IDEMPOTENCY_KEY_INVALID`.
   */
  async transaction<Result>(
    call: IdempotentCall,
    work: (tx: OutboxTransaction) => Promise<Result> | Result,
    { context, check }: IdempotentRun = {},
  ): Promise<Result> {
    if (!isKey(call.key)) throw invalidKey(call.key);
    assertName('caller', call.caller);
    assertName('scope', call.scope);
    const row: KeyRow = { where: [call.scope, call.caller, call.key], fingerprint: fingerprintOf(call.request) };
    const nested = this.#options.outbox.current() !== undefined;
    for (;;) {
      const known = nested ? null : await this.#find(row);
      if (known) return replay<Result>(row, known, context);
      await check?.();
      try {
        return await this.#run(row, work, context);
      } catch (error) {
        if (!(error instanceof Taken)) throw error;
      }
    }
  }

  /** Forgets old keys. Answers how many; never more than 50,000 at once. */
  async purge(): Promise<number> {
    const { sequelize, keepMs = defaultKeepMs } = this.#options;
    const replacements = [Math.ceil(keepMs / 1000), purgedAtOnce];
    for (let purged = 0; ; ) {
      const deleted = await sequelize.query(statements.purgeKeys, { replacements, type: QueryTypes.BULKDELETE });
      purged += deleted;
      if (deleted < purgedAtOnce || purged >= purgedPerRun) return purged;
    }
  }

  async #run<Result>(
    row: KeyRow,
    work: (tx: OutboxTransaction) => Promise<Result> | Result,
    context: TracedContext | undefined,
  ): Promise<Result> {
    let text: string | undefined;
    const answer = await this.#options.outbox.transaction(work, context, {
      first: (transaction) => claim(row, transaction),
      async last(transaction, result, token) {
        text = JSON.stringify(result);
        await runStatement(transaction, statements.keepAnswer, [text ?? null, token, ...row.where]);
      },
    });
    // Joined to an outer transaction, which keeps its own answer, there is none.
    return text === undefined ? answer : (JSON.parse(text) as Result);
  }

  /** The committed record of a key. Throws `IDEMPOTENCY_KEY_IN_USE` where one is about to be written. */
  async #find({ where }: KeyRow): Promise<KnownKey | null> {
    try {
      return await this.#read(statements.readKeyUnlessLocked, where);
    } catch (error) {
      const failure = databaseFailure(error);
      // MySQL has an error of its own for NOWAIT, MariaDB answers like after a long wait.
      if (failure !== 'locked' && failure !== 'lock-wait') throw error;
    }
    const known = await this.#read(statements.readKey, where);
    if (known === null) throw inUse();
    return known;
  }

  async #read(sql: string, where: readonly string[]): Promise<KnownKey | null> {
    const replacements = [...where];
    const [row] = await this.#options.sequelize.query<KnownKey>(sql, { replacements, type: QueryTypes.SELECT });
    return row ?? null;
  }
}

interface KeyRow {
  where: readonly [scope: string, caller: string, key: string];
  fingerprint: Buffer;
}

/** Somebody has committed this key since it was looked for. */
class Taken extends Error {}

async function claim({ where, fingerprint }: KeyRow, transaction: Transaction): Promise<void> {
  try {
    await runStatement(transaction, statements.claimKey, [...where, fingerprint]);
  } catch (error) {
    if (isDuplicateKey(error)) throw new Taken();
    if (databaseFailure(error) === 'lock-wait') throw inUse(error);
    throw error;
  }
}

function replay<Result>(row: KeyRow, known: KnownKey, context: TracedContext | undefined): Result {
  if (!known.fingerprint.equals(row.fingerprint)) {
    throw new OutboxError(
      'IDEMPOTENCY_KEY_REUSED',
      'This Idempotency-Key was used for a request with other contents: send a new key with each new request.',
    );
  }
  if (context?.meta) {
    if (known.token !== null) addToken(context.meta, decodeToken(known.token.toString('utf8')));
    (context.meta as { idempotencyReplayed?: boolean }).idempotencyReplayed = true;
  }
  return (known.answer === null ? undefined : JSON.parse(known.answer.toString('utf8'))) as Result;
}

function inUse(cause?: unknown): OutboxError {
  return new OutboxError(
    'IDEMPOTENCY_KEY_IN_USE',
    'A request with this Idempotency-Key is still at work: send the same again a little later to get its answer.',
    { retryable: true, cause },
  );
}

function assertName(what: string, name: unknown): void {
  if (typeof name === 'string' && name !== '' && Buffer.byteLength(name) <= maxNameBytes) return;
  throw new RangeError(`The ${what} of an idempotent call is ${name}; allowed: text of 1 to ${maxNameBytes} bytes.`);
}
