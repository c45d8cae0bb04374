import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { publishModels } from './models.ts';
import type { OutboxTransaction } from './scope.ts';
import { commentCreated, openProducer, type Producer } from './testing/fixture.ts';

/** Fails one statement of every connection: before it is sent, or when it was carried out. */
class Sabotage {
  /** Texts of the statements so far. */
  readonly statements: string[] = [];
  failAt: { step: number; when: 'before' | 'after' } | null = null;

  wrap(connection: unknown): void {
    type Call = (...args: unknown[]) => unknown;
    const driver = connection as Record<'query' | 'execute', Call>;
    for (const method of ['query', 'execute'] as const) {
      const original = driver[method];
      driver[method] = (...args) => {
        const [given] = args;
        const sql = typeof given === 'string' ? given : (given as { sql: string }).sql;
        if (sql.startsWith('SET SESSION')) return original.apply(driver, args); // a new connection
        this.statements.push(sql);
        if (this.failAt?.step !== this.statements.length) return original.apply(driver, args);
        const done = args.pop() as (error: unknown) => void;
        const error = Object.assign(new Error('sabotage'), { code: 'SABOTAGE' });
        if (this.failAt.when === 'after') return original.call(driver, ...args, () => done(error));
        setImmediate(() => done(error));
        return { setMaxListeners: () => undefined };
      };
    }
  }
}

const sabotage = new Sabotage();
let producer: Producer;

beforeAll(async () => {
  producer = await openProducer({ poolSize: 1 });
  producer.sequelize.addHook('afterConnect', (connection) => sabotage.wrap(connection));
  await producer.sequelize.query('SELECT 1'); // Sequelize asks its first connection for the server's version
  const aggregateId = (row: { articleId: string }) => row.articleId;
  const payload = async (row: { id: string; articleId: string }, { transaction }: OutboxTransaction) =>
    commentCreated(row, await producer.Comment.count({ where: { articleId: row.articleId }, transaction }));
  const event = { type: 'CommentCreated', aggregateId, payload };
  publishModels(
    producer.outbox,
    { Comment: producer.Comment },
    { Comment: { create: event, update: event, destroy: event } },
  );
});
afterAll(() => producer.close());

const before = [
  ['1', '1', 'first'],
  ['2', '1', 'second'],
];
/** As it was, without an event. */
async function reset(): Promise<void> {
  await producer.clear();
  await producer.direct.query("INSERT INTO comment (id, article_id, content) VALUES (1, 1, 'first'), (2, 1, 'second')");
  sabotage.statements.length = 0;
}
beforeEach(reset);

async function comments(): Promise<unknown[]> {
  const [rows] = await producer.direct.query('SELECT id, article_id, content FROM comment ORDER BY id');
  return (rows as { id: string; article_id: string; content: string }[]).map((row) => Object.values(row));
}
const outbox = async () => ({
  events: (await producer.events()).map(({ aggregateId, version }) => [aggregateId, version]),
  pending: (await producer.pending()).map(({ version }) => version),
});

const one = (articleId: string) => ({ articleId, content: 'new' });
const changes: Record<string, { versions: number; run(tx: OutboxTransaction): Promise<unknown> }> = {
  create: { versions: 1, run: ({ transaction }) => producer.Comment.create(one('1'), { transaction }) },
  'bulk create': {
    versions: 3,
    run: ({ transaction }) =>
      producer.Comment.bulkCreate([one('1'), one('1'), one('1')], { transaction, individualHooks: true }),
  },
  update: {
    versions: 1,
    async run({ transaction }) {
      const row = await producer.Comment.findByPk('1', { transaction, lock: true });
      await row!.update({ content: 'changed' }, { transaction });
    },
  },
  destroy: {
    versions: 1,
    async run({ transaction }) {
      const row = await producer.Comment.findByPk('1', { transaction, lock: true });
      await row!.destroy({ transaction });
    },
  },
  nested: {
    versions: 2,
    async run({ transaction }) {
      await producer.Comment.create(one('1'), { transaction });
      await producer.outbox.transaction((inner) =>
        producer.Comment.create(one('1'), { transaction: inner.transaction }),
      );
    },
  },
};

describe.each(Object.entries(changes))('%s', (_, { run, versions }) => {
  it('leaves nothing where any of its statements before COMMIT fails, and one event for each change otherwise', async () => {
    const attempt = () => producer.outbox.transaction(run);
    sabotage.failAt = null;
    await attempt();
    const steps = [...sabotage.statements];
    const commit = steps.indexOf('COMMIT;') + 1;
    expect(commit).toBeGreaterThan(4);
    expect(await outbox()).toEqual({
      events: Array.from({ length: versions }, (_, index) => ['1', index + 1]),
      pending: Array.from({ length: versions }, (_, index) => index + 1),
    });
    for (const when of ['before', 'after'] as const) {
      for (let step = 1; step < commit; step++) {
        await reset();
        sabotage.failAt = { step, when };
        const outcome = await attempt().then(
          () => 'committed',
          () => 'thrown',
        );
        sabotage.failAt = null;
        const left = { outcome, comments: await comments(), ...(await outbox()) };
        expect({ step: steps[step - 1], when, ...left }).toEqual({
          step: steps[step - 1],
          when,
          outcome: 'thrown',
          comments: before,
          events: [],
          pending: [],
        });
      }
    }
    await reset();
    await attempt();
    expect((await outbox()).pending).toHaveLength(versions);
  });
});
