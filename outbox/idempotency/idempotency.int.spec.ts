import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { idempotencyMigrations } from '../../migrations/idempotency/index.ts';
import { migrateDatabase } from '../../migrations/run.ts';
import { testServers } from '../../testing/servers.ts';
import type { OutboxTransaction } from '../scope.ts';
import { commentCreated, commentTable, openProducer, type Producer } from '../testing/fixture.ts';
import { MysqlProxy } from '../testing/mysql-proxy.ts';
import { decodeToken } from '../token.ts';
import { Idempotency, type IdempotentCall, type IdempotentRun } from './idempotency.ts';

let proxy: MysqlProxy;
let producer: Producer;
let idempotency: Idempotency;

beforeAll(async () => {
  const { mysqlUrl } = testServers();
  proxy = await MysqlProxy.start(mysqlUrl);
  const through = new URL('/DATABASE', mysqlUrl);
  through.port = String(proxy.port);
  producer = await openProducer({ url: through.href });
  await migrateDatabase({ url: producer.url, sets: [commentTable, idempotencyMigrations] });
  idempotency = new Idempotency({ outbox: producer.outbox, sequelize: producer.sequelize });
  jest.spyOn(console, 'warn').mockImplementation(() => undefined); // Sequelize's own words about a broken COMMIT
});
afterAll(async () => {
  await producer.close();
  await proxy.stop();
  jest.restoreAllMocks();
});
beforeEach(async () => {
  await producer.clear();
  await producer.direct.query('DELETE FROM idempotency_key');
});

interface Meta {
  consistencyToken?: string;
  idempotencyReplayed?: boolean;
}
const call = (key: string, given: Partial<IdempotentCall> = {}): IdempotentCall => ({
  key,
  caller: '7',
  scope: 'comment.create',
  request: { articleId: '1' },
  ...given,
});

async function comment(tx: OutboxTransaction) {
  const row = await producer.Comment.create({ articleId: '1', content: 'x' }, { transaction: tx.transaction });
  tx.publish('CommentCreated', '1', () => commentCreated(row, 1));
  return { id: row.id, createdAt: new Date(5), articleId: '1' };
}

async function create(given: IdempotentCall, run: IdempotentRun = {}) {
  const meta: Meta = {};
  const answer = await idempotency.transaction(given, comment, { ...run, context: { meta } });
  return { answer, ...meta };
}

const counts = async () => ({
  comments: await producer.comments(),
  events: (await producer.events()).length,
  pending: (await producer.pending()).length,
  keys: ((await producer.direct.query('SELECT * FROM idempotency_key'))[0] as unknown[]).length,
});
const nothing = { comments: 0, events: 0, pending: 0, keys: 0 };
const one = { comments: 1, events: 1, pending: 1, keys: 1 };

describe('a call with a key', () => {
  it('takes effect once: made again it gets the same answer and token', async () => {
    const first = await create(call('a'));
    expect(first).toEqual({
      answer: { id: expect.any(String), createdAt: '1970-01-01T00:00:00.005Z', articleId: '1' },
      consistencyToken: expect.any(String),
    });
    expect(decodeToken(first.consistencyToken!)).toEqual([['comment', 'article', '1', '1']]);
    const again = await Promise.all(Array.from({ length: 20 }, () => create(call('a'))));
    for (const answer of again) expect(answer).toEqual({ ...first, idempotencyReplayed: true });
    expect(await counts()).toEqual(one);
  });

  it('is refused for another request, and is another one for another caller or action', async () => {
    await create(call('a'));
    const other = create(call('a', { request: { articleId: '2' } }));
    await expect(other).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED', retryable: false });
    expect(await counts()).toEqual(one);
    await create(call('a', { caller: '8' }));
    await create(call('a', { scope: 'comment.other' }));
    await create(call('A'));
    expect(await counts()).toEqual({ comments: 4, events: 4, pending: 4, keys: 4 });
  });

  it('answers nothing again where the answer was nothing', async () => {
    const run = () => idempotency.transaction(call('a'), async (tx) => void (await comment(tx)));
    expect([await run(), await run()]).toEqual([undefined, undefined]);
    expect(await counts()).toEqual(one);
  });

  it('is told to wait while another one is at work, and gets its answer afterwards', async () => {
    const [began, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const first = idempotency.transaction(call('a'), async (tx) => {
      began.resolve();
      await goOn.promise;
      return comment(tx);
    });
    await began.promise;
    const startedMs = performance.now();
    await expect(create(call('a'))).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_IN_USE', retryable: true });
    expect(performance.now() - startedMs).toBeLessThan(4500); // a wait for the lock would be 5 s
    await create(call('b')); // others are not held up
    goOn.resolve();
    const { id } = await first;
    expect((await create(call('a'))).answer.id).toBe(id);
  });

  it('that comes just after another one had looked takes no effect either', async () => {
    const [looked, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let checks = 0;
    const late = create(call('a'), {
      async check() {
        checks++;
        looked.resolve();
        await goOn.promise;
      },
    });
    await looked.promise;
    const first = await create(call('a'));
    goOn.resolve();
    expect(await late).toEqual({ ...first, idempotencyReplayed: true });
    expect(checks).toBe(1); // the second look found the answer
    expect(await counts()).toEqual(one);
  });

  it('many times at once takes effect once; each gets that answer or is told to wait', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 12 }, () => create(call('a')).catch((error: { code: string }) => error.code)),
    );
    const answers = outcomes.filter((outcome) => typeof outcome !== 'string');
    const { answer } = await create(call('a'));
    expect(answers.length).toBeGreaterThan(0);
    for (const outcome of answers) expect(outcome.answer).toEqual(answer);
    expect(outcomes.filter((outcome) => typeof outcome === 'string' && outcome !== 'IDEMPOTENCY_KEY_IN_USE')).toEqual(
      [],
    );
    expect(await counts()).toEqual(one);
  });

  it('that fails is not remembered, whether its check, its body, a build or its answer fails', async () => {
    const thrown = new Error('no');
    const fail = () => {
      throw thrown;
    };
    await expect(create(call('a'), { check: async () => fail() })).rejects.toBe(thrown);
    const failing: ((tx: OutboxTransaction) => unknown)[] = [
      async (tx) => {
        await comment(tx);
        fail();
      },
      async (tx) => {
        await comment(tx);
        tx.publish('CommentCreated', '1', fail);
      },
    ];
    for (const work of failing) await expect(idempotency.transaction(call('a'), work)).rejects.toBe(thrown);
    const unsayable = idempotency.transaction(call('a'), async (tx) => ({ row: await comment(tx), count: 1n }));
    await expect(unsayable).rejects.toThrow(/BigInt/);
    expect(await counts()).toEqual(nothing);
    await create(call('a', { request: 'something else' }));
    expect(await counts()).toEqual(one);
  });

  it('asks nothing else where its answer is known', async () => {
    const first = await create(call('a'), { check: async () => undefined });
    const again = await create(call('a'), { check: () => Promise.reject(new Error('the article is gone')) });
    expect(again.answer).toEqual(first.answer);
  });

  it('needs a key and a caller that fit', async () => {
    for (const key of ['', 'ü', 'x'.repeat(256)]) {
      await expect(create(call(key))).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_INVALID' });
    }
    for (const caller of ['', 'x'.repeat(129), undefined as unknown as string]) {
      await expect(create(call('a', { caller }))).rejects.toThrow('allowed: text of 1 to 128 bytes');
    }
  });

  it('within another one is covered by that, and refused within an ordinary transaction', async () => {
    const outer = () =>
      idempotency.transaction(call('outer'), async (tx) => {
        const inner = await idempotency.transaction(call('inner'), comment);
        await comment(tx);
        return inner;
      });
    expect(await outer()).toEqual(await outer());
    expect(await counts()).toEqual({ comments: 2, events: 2, pending: 2, keys: 1 });
    const nested = producer.outbox.transaction(() => idempotency.transaction(call('x'), comment));
    await expect(nested).rejects.toMatchObject({ code: 'IDEMPOTENCY_NESTED' });
  });
});

describe('a connection that is cut', () => {
  it.each([
    ['before COMMIT arrived', 'before', nothing],
    ['after COMMIT was carried out', 'after', one],
  ] as const)('%s: the outcome is unknown, and the same call again gives the one answer', async (_, when, between) => {
    proxy.cutAt('COMMIT;', when);
    await expect(create(call('a'))).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN', retryable: true });
    expect(await counts()).toEqual(between);
    const second = await answered(() => create(call('a')));
    expect(second.idempotencyReplayed).toBe(when === 'after' ? true : undefined);
    expect(decodeToken(second.consistencyToken!)).toEqual([['comment', 'article', '1', '1']]);
    expect(await counts()).toEqual(one);
    const [row] = (await producer.direct.query('SELECT id FROM comment'))[0] as { id: string }[];
    expect(second.answer.id).toBe(row!.id);
    expect(await answered(() => create(call('a')))).toEqual({ ...second, idempotencyReplayed: true });
  });

  it.each(['INSERT INTO idempotency_key', 'UPDATE idempotency_key'])('at %s: taken again, one effect', async (text) => {
    for (const when of ['before', 'after'] as const) {
      const manager = producer.sequelize.connectionManager as unknown as { pool: { destroyAllNow(): Promise<void> } };
      await manager.pool.destroyAllNow(); // a prepared statement's text is sent once for each connection
      const cuts = proxy.cuts;
      proxy.cutAt(text, when);
      await answered(() => create(call(when)));
      expect(proxy.cuts).toBe(cuts + 1);
      expect(producer.retries).toContain('connection-lost');
    }
    expect(await counts()).toEqual({ comments: 2, events: 2, pending: 2, keys: 2 });
  });

  /** As a client does that is told to wait: the server may not have noticed yet that the first connection is gone. */
  async function answered<Answer>(attempt: () => Promise<Answer>): Promise<Answer> {
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        if ((error as { code?: string }).code !== 'IDEMPOTENCY_KEY_IN_USE') throw error;
      }
    }
  }
});

describe('a row that stays locked', () => {
  it('when the key is claimed: told to wait, nothing is kept', async () => {
    const impatient = await openProducer();
    try {
      await migrateDatabase({ url: impatient.url, sets: [commentTable, idempotencyMigrations] });
      impatient.sequelize.addHook(
        'afterConnect',
        (connection) =>
          new Promise<void>((resolve) => {
            const { query } = connection as { query(sql: string, done: () => void): void };
            query.call(connection, 'SET SESSION innodb_lock_wait_timeout = 1', resolve);
          }),
      );
      const other = new Idempotency({ outbox: impatient.outbox, sequelize: impatient.sequelize });
      const holder = await impatient.direct.transaction();
      const attempt = other.transaction(call('a'), () => 'done', {
        // After the look, before the claim.
        check: () =>
          impatient.direct.query(
            "INSERT INTO idempotency_key VALUES ('comment.create', '7', 'a', REPEAT('x', 32), NULL, NULL, NOW())",
            { transaction: holder },
          ),
      });
      await expect(attempt).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_IN_USE', retryable: true });
      await holder.rollback();
      expect(await other.transaction(call('a'), () => 'done')).toBe('done');
    } finally {
      await impatient.close();
    }
  });
});

describe('the purge', () => {
  it('forgets keys that are old enough, in steps, and no others', async () => {
    const insert = (count: number, ageHours: number) =>
      producer.direct.query(
        `INSERT INTO idempotency_key (scope, caller, client_key, fingerprint, created_at)
         SELECT 's', '${ageHours}', seq.n, REPEAT('x', 32), UTC_TIMESTAMP(3) - INTERVAL ${ageHours} HOUR FROM
         (SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n AS n FROM ${digits('a')}, ${digits('b')}, ${digits('c')}, ${digits('d')}) seq
         WHERE seq.n < ${count}`,
      );
    await insert(1234, 25);
    await insert(10, 23);
    expect(await idempotency.purge()).toBe(1234);
    expect((await counts()).keys).toBe(10);
    expect(await new Idempotency({ ...producer, keepMs: 3_600_000 }).purge()).toBe(10);
  });

  const digits = (name: string) =>
    `(${Array.from({ length: 10 }, (_, n) => `SELECT ${n} AS n`).join(' UNION ALL ')}) ${name}`;
});
