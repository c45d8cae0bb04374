import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { Transaction } from 'sequelize';
import { testServers } from '../testing/servers.ts';
import type { OutboxTransaction } from './scope.ts';
import { commentCreated, openProducer, type Producer } from './testing/fixture.ts';
import { MysqlProxy } from './testing/mysql-proxy.ts';

let proxy: MysqlProxy;
let producer: Producer;
let unknownOutcomes = 0;

beforeAll(async () => {
  const { mysqlUrl } = testServers();
  proxy = await MysqlProxy.start(mysqlUrl);
  const through = new URL('/DATABASE', mysqlUrl);
  through.port = String(proxy.port);
  producer = await openProducer({
    url: through.href,
    metrics: {
      written: () => undefined,
      retried: (reason) => producer.retries.push(reason),
      unknownOutcome: () => {
        unknownOutcomes++;
      },
    },
  });
  jest.spyOn(console, 'warn').mockImplementation(() => undefined); // Sequelize's own words about a broken COMMIT
});
afterAll(async () => {
  await producer.close();
  await proxy.stop();
  jest.restoreAllMocks();
});
beforeEach(async () => {
  await producer.clear();
  unknownOutcomes = 0;
});

async function comment(tx: OutboxTransaction, articleId: string) {
  const row = await producer.Comment.create({ articleId, content: 'x' }, { transaction: tx.transaction });
  tx.publish('CommentCreated', articleId, () => commentCreated(row, 1));
  return row;
}

const counts = async () => ({
  comments: await producer.comments(),
  events: (await producer.events()).length,
  pending: (await producer.pending()).length,
});
const nothing = { comments: 0, events: 0, pending: 0 };
const one = { comments: 1, events: 1, pending: 1 };

describe('a connection that breaks', () => {
  it.each([
    ['at the start', 'START TRANSACTION'],
    ['at the change', 'INSERT INTO `comment`'],
    ['at the version', 'INSERT INTO outbox_stream'],
  ])('%s: the transaction is taken again and leaves one of each', async (_, statement) => {
    const context = { meta: {} as { consistencyToken?: string } };
    // A prepared statement's text is sent once for each connection: start with none.
    for (const when of ['before', 'after'] as const) {
      producer.retries.length = 0;
      await producer.direct.query('DELETE FROM outbox_stream');
      await killPool();
      const cuts = proxy.cuts;
      proxy.cutAt(statement, when);
      await producer.outbox.transaction((tx) => comment(tx, '1'), context);
      expect(proxy.cuts).toBe(cuts + 1);
      expect(producer.retries).toEqual(['connection-lost']);
      expect((await producer.events()).map((event) => event.version)).toEqual([1]);
      expect(await counts()).toEqual(one);
      for (const table of ['comment', 'outbox', 'outbox_pending']) await producer.direct.query(`DELETE FROM ${table}`);
    }
  });

  it('at COMMIT, before it arrived: unknown outcome, and nothing is there', async () => {
    const context = { meta: {} };
    proxy.cutAt('COMMIT;', 'before');
    const attempt = producer.outbox.transaction((tx) => comment(tx, '1'), context);
    await expect(attempt).rejects.toMatchObject({ name: 'OutboxError', code: 'OUTCOME_UNKNOWN', retryable: true });
    expect(context.meta).toEqual({});
    expect({ unknownOutcomes, retries: producer.retries }).toEqual({ unknownOutcomes: 1, retries: [] });
    expect(await counts()).toEqual(nothing);
    await producer.outbox.transaction((tx) => comment(tx, '1'));
    expect((await producer.events()).map((event) => event.version)).toEqual([1]);
  });

  it('at COMMIT, after it was carried out: unknown outcome, both rows are there, the relay is woken', async () => {
    proxy.cutAt('COMMIT;', 'after');
    const attempt = producer.outbox.transaction((tx) => comment(tx, '1'));
    await expect(attempt).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN', retryable: true });
    expect(producer.retries).toEqual([]);
    expect(await counts()).toEqual(one);
    expect(producer.nudges).toHaveLength(1);
  });

  it('at COMMIT of a transaction that somebody else opened: both rows or none', async () => {
    const write = () =>
      producer.sequelize.transaction(async (transaction) => {
        const row = await producer.Comment.create({ articleId: '1', content: 'x' }, { transaction });
        const payload = () => commentCreated(row, 1);
        await producer.outbox.publish({ type: 'CommentCreated', aggregateId: '1', payload }, { transaction });
      });
    proxy.cutAt('COMMIT;', 'before');
    await expect(write()).rejects.toThrow();
    expect(await counts()).toEqual(nothing);
    proxy.cutAt('COMMIT;', 'after');
    await expect(write()).rejects.toThrow();
    expect(await counts()).toEqual(one);
  });

  /** Ends the pool's idle connections. */
  async function killPool(): Promise<void> {
    const manager = producer.sequelize.connectionManager as unknown as { pool: { destroyAllNow(): Promise<void> } };
    await manager.pool.destroyAllNow();
  }
});

describe('rows that are in the way', () => {
  beforeEach(async () => {
    await producer.direct.query("INSERT INTO comment (id, article_id, content) VALUES (1, 1, 'a'), (2, 2, 'b')");
  });

  const update = (id: string, transaction: Transaction) =>
    producer.Comment.update({ content: `changed ${id}` }, { where: { id }, transaction });

  /** Two transactions that lock the rows 1 and 2 in opposite order, both holding their first before they ask for the second. */
  async function cross(afterDeadlock: (error: unknown) => void): Promise<void> {
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const one = (index: number) =>
      producer.outbox.transaction(async (tx) => {
        const [first, second] = index === 0 ? ['1', '2'] : ['2', '1'];
        tx.publish('CommentCreated', '9', () => commentCreated({ id: '1', articleId: '9' }, index));
        await update(first!, tx.transaction);
        gates[index]!.resolve();
        await gates[1 - index]!.promise;
        await update(second!, tx.transaction).catch(afterDeadlock);
      });
    await Promise.all([one(0), one(1)]);
  }

  it.each([
    [
      'throws it on',
      (error: unknown) => {
        throw error;
      },
    ],
    ['swallows it', () => undefined],
    [
      'wraps it',
      (cause: unknown) => {
        throw new Error('could not update', { cause });
      },
    ],
  ])('a deadlock takes the whole transaction again, where the body %s', async (_, afterDeadlock) => {
    await cross(afterDeadlock);
    expect(producer.retries).toEqual(['deadlock']);
    expect((await producer.events()).map((event) => event.version)).toEqual([1, 2]);
    expect(await producer.pending()).toHaveLength(2);
  });

  it('a row that stays locked: nothing is kept, and the caller may try again', async () => {
    const impatient = await openProducer({
      maxAttempts: 2,
      time: { nowMs: () => 0, sleep: async () => undefined, random: () => 0 },
    });
    try {
      impatient.sequelize.addHook('afterConnect', (connection) => setLockWait(connection, 1));
      await impatient.direct.query("INSERT INTO comment (id, article_id, content) VALUES (1, 1, 'a')");
      const lock = await impatient.direct.transaction();
      await impatient.direct.query('SELECT * FROM comment WHERE id = 1 FOR UPDATE', { transaction: lock });
      let runs = 0;
      const attempt = impatient.outbox.transaction(async (tx) => {
        runs++;
        const { transaction } = tx;
        await impatient.Comment.create({ articleId: '8', content: 'x' }, { transaction });
        tx.publish('CommentCreated', '8', () => commentCreated({ id: '1', articleId: '8' }, 1));
        await impatient.Comment.destroy({ where: { id: '1' }, transaction }).catch(() => undefined);
      });
      await expect(attempt).rejects.toMatchObject({ code: 'TRANSACTION_CONFLICT', retryable: true });
      await lock.rollback();
      expect({ runs, retries: impatient.retries }).toEqual({ runs: 2, retries: ['lock-wait'] });
      expect({ comments: await impatient.comments(), events: await impatient.events() }).toEqual({
        comments: 1,
        events: [],
      });
    } finally {
      await impatient.close();
    }
  });

  it('a cluster that refuses the commit as a deadlock: taken again', async () => {
    let attempts = 0;
    await producer.outbox.transaction(async (tx) => {
      await comment(tx, '1');
      if (attempts++ === 0) refuseCommit(tx.transaction);
    });
    expect(producer.retries).toEqual(['deadlock']);
    expect((await producer.events()).map((event) => event.version)).toEqual([1]);
    expect(await producer.pending()).toHaveLength(1);
  });

  it('a failure of another database is the body’s own affair', async () => {
    let runs = 0;
    const failure = Object.assign(new Error('deadlock elsewhere'), { errno: 1213 });
    const attempt = producer.outbox.transaction(() => {
      runs++;
      throw failure;
    });
    await expect(attempt).rejects.toBe(failure);
    expect(runs).toBe(1);
  });

  it('a duplicate key is the body’s own affair', async () => {
    await producer.outbox.transaction(async (tx) => {
      const { transaction } = tx;
      const insert = () => producer.Comment.create({ articleId: '5', content: 'x', token: 't' }, { transaction });
      const row = await insert();
      await expect(insert()).rejects.toMatchObject({ name: 'SequelizeUniqueConstraintError' });
      tx.publish('CommentCreated', '5', () => commentCreated(row, 1));
    });
    expect(await producer.events()).toHaveLength(1);
  });
});

/** The driver answers COMMIT as a cluster does whose certification fails. */
function refuseCommit(transaction: Transaction): void {
  type Query = (options: { sql: string }, done: (error: unknown) => void) => unknown;
  const { connection } = transaction as unknown as { connection: { query: Query } };
  const original = connection.query;
  connection.query = (options, done) => {
    if (options.sql !== 'COMMIT;') return original.call(connection, options, done);
    done(Object.assign(new Error('Deadlock found'), { errno: 1213 }));
    return { setMaxListeners: () => undefined };
  };
}

function setLockWait(connection: unknown, seconds: number): Promise<void> {
  return new Promise((resolve, reject) => {
    (connection as { query(sql: string, done: (error: unknown) => void): void }).query(
      `SET SESSION innodb_lock_wait_timeout = ${seconds}`,
      (error) => (error ? reject(error) : resolve()),
    );
  });
}

describe('a database that is away', () => {
  it('gives a retryable error at once', async () => {
    const away = await openProducer({ url: 'mysql://root@127.0.0.1:1/DATABASE' });
    try {
      await expect(away.outbox.transaction(() => undefined)).rejects.toMatchObject({
        name: 'DatabaseError',
        code: 'DATABASE_UNAVAILABLE',
        retryable: true,
      });
      expect(away.retries).toEqual([]);
    } finally {
      await away.close();
    }
  });
});
