import type { Sequelize, Transaction } from 'sequelize';
import type { Catalogue } from '../events/catalogue.ts';
import { Outbox } from '../outbox/transaction.ts';
import type { StoredEvent } from '../relay/sources/store.ts';
import type { Network, Way } from './network.ts';
import type { Change } from './plan.ts';
import { countLikes, databaseError, insertLike, type ProducerDatabase, type Session } from './producer-database.ts';
import type { Process, World } from './world.ts';

/** What a client hears of its change; with the event that the database has, where it has one. */
export interface Answer {
  op: 'ok' | 'fail' | 'info';
  event?: StoredEvent | undefined;
}

export interface EdgeOptions {
  world: World;
  network: Network;
  process: Process;
  database: ProducerDatabase;
  catalogue: Catalogue;
  buckets: number;
  nudge(buckets: readonly number[]): void;
}

/** A process that makes changes: the real outbox on connections to the simulated database. */
export class Edge {
  readonly #options: EdgeOptions;
  readonly #outbox: Outbox;
  readonly #way: Way;
  readonly #open = new Set<Session>();
  /** Clients whose requests have no answer yet. */
  readonly #waiting = new Set<(answer: Answer) => void>();

  constructor(options: EdgeOptions) {
    this.#options = options;
    const { process, world, buckets, nudge, catalogue, database } = options;
    this.#way = {
      ...{ process, server: 'producer', refused: lost, answerLost: lost, timedOut: lost },
      ...{ timeoutMs: 1_500, conflict: () => databaseError(1213, 'Deadlock found') },
    };
    this.#outbox = new Outbox({
      ...{ source: 'like', catalogue, nudge, buckets: async () => buckets },
      sequelize: this.#sequelize(),
      logger: { warn() {} },
      retryForMs: 2_000,
      time: {
        nowMs: () => process.clock.monotonicMs(),
        sleep: (ms) => new Promise((resolve) => process.clock.after(ms, resolve)),
        random: () => world.random.next(),
      },
    });
    const undoAll = () => {
      for (const session of this.#open) {
        session.broken = true;
        database.undo(session);
      }
      this.#open.clear();
    };
    process.onPaused.push((ms) => {
      if (ms > waitTimeoutMs) world.after(waitTimeoutMs, undoAll);
    });
    process.onKilled.push(() => {
      world.after(5, undoAll);
      for (const gone of this.#waiting) gone({ op: 'info' });
    });
  }

  /** One request: a like, and the event that says how many there are now. Answers once, also where the process dies. */
  change(change: Change, answer: (answer: Answer) => void): void {
    const once = (given: Answer) => {
      if (this.#waiting.delete(once)) answer(given);
    };
    this.#waiting.add(once);
    void this.#change(change).then(once);
  }

  async #change({ call, key, takesMs, refused, careless }: Change): Promise<Answer> {
    const { process } = this.#options;
    const pause = (ms: number) => new Promise<void>((resolve) => process.clock.after(ms, resolve));
    let session: Session | undefined;
    try {
      await this.#outbox.transaction(async (tx) => {
        const mine = tx.transaction as unknown as FakeTransaction;
        session = mine.session;
        await tx.run(insertLike, [key, call]).catch((error: unknown) => {
          if (!careless) throw error;
        });
        // Others come in between, before the version line is taken.
        if (call % 3 > 0) await pause(1 + (call % 4));
        tx.publish('ArticleLiked', key, async (closing) => {
          const [row] = await closing.run<{ likes: number }[]>(countLikes, [key]);
          return { likes: row!.likes };
        });
        if (refused) throw new Error('the request is refused after all');
        mine.commitMs = takesMs;
      });
      return { op: 'ok', event: session?.committed[0] };
    } catch (error) {
      const op = (error as { code?: string }).code === 'OUTCOME_UNKNOWN' ? 'info' : 'fail';
      return { op, event: session?.committed[0] };
    }
  }

  /** What the outbox uses of Sequelize: transactions with a connection. Its hook is told of COMMIT. */
  #sequelize(): Sequelize {
    let watch: (options: unknown, query: unknown) => void = () => {};
    return {
      addHook: (_name: string, hook: typeof watch) => {
        watch = hook;
      },
      transaction: async () => {
        const session = this.#options.database.session();
        this.#open.add(session);
        const told = (transaction: Transaction, query: object) => watch({ transaction }, query);
        return new FakeTransaction(this.#options, this.#way, session, told);
      },
    } as unknown as Sequelize;
  }
}

/** The server ends the session of a stopped process. */
const waitTimeoutMs = 1_200;

type Callback = (error: unknown, result?: unknown) => void;

/** Statements take no time but that of locks; COMMIT travels like any call. */
class FakeTransaction {
  finished?: string;
  commitMs = 1;
  readonly connection = {
    execute: (sql: string, values: readonly unknown[], done: Callback) => this.#statement(sql, values, done),
    query: (sql: string, values: readonly unknown[], done: Callback) => this.#statement(sql, values, done),
  };
  readonly #options: EdgeOptions;
  readonly session: Session;
  readonly #watch: (transaction: Transaction, query: object) => void;
  readonly #way: Way;

  constructor(
    options: EdgeOptions,
    way: Way,
    session: Session,
    watch: (transaction: Transaction, query: object) => void,
  ) {
    this.#options = options;
    this.#way = way;
    this.session = session;
    this.#watch = watch;
  }

  async commit(): Promise<void> {
    const query = {
      run: (_sql: string) =>
        this.#options.network.call(
          this.#way,
          'COMMIT',
          () => {
            if (this.session.broken) throw lost();
            this.#options.database.commit(this.session);
          },
          () => this.#broken(),
          this.commitMs,
        ),
    };
    this.#watch(this as unknown as Transaction, query);
    this.finished = 'commit';
    await query.run('COMMIT;');
  }

  async rollback(): Promise<void> {
    this.finished = 'rollback';
    this.#undo();
  }

  forceCleanup(): Promise<void> {
    return this.rollback();
  }

  #statement(sql: string, values: readonly unknown[], done: Callback): void {
    const { network, database, process } = this.#options;
    const answer = (error: unknown, result?: unknown) => process.deliver(() => done(error, result));
    const failure = network.atOnce(this.#way, 'statement');
    if (!process.alive) return;
    if (failure) {
      if (failure === 'conflict') this.#undo();
      else this.#broken();
      answer(failure === 'conflict' ? databaseError(1213, 'Deadlock found') : lost());
      return;
    }
    try {
      if (this.session.broken) throw lost();
      const result = database.execute(this.session, sql, values);
      if (result instanceof Promise) result.then((row) => answer(null, row), answer);
      else answer(null, result);
    } catch (error) {
      answer(error);
    }
  }

  #undo(): void {
    this.#options.database.undo(this.session);
  }

  #broken(): void {
    this.session.broken = true;
    this.#undo();
  }
}

function lost(): Error {
  return Object.assign(new Error('the connection was lost'), { code: 'PROTOCOL_CONNECTION_LOST', fatal: true });
}
