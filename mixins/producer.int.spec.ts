import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import moleculer, { type Context, type Service, type ServiceSchema } from 'moleculer';
import { boardEvents } from '../events/board.ts';
import { idempotencyMigrations } from '../migrations/idempotency/index.ts';
import type { Migration, MigrationSet } from '../migrations/migration.ts';
import { outboxMigrations } from '../migrations/outbox/index.ts';
import { migrateDatabase } from '../migrations/run.ts';
import { commentCreated, commentTable, defineComment } from '../outbox/testing/fixture.ts';
import { MysqlProxy } from '../outbox/testing/mysql-proxy.ts';
import { decodeToken } from '../outbox/token.ts';
import { freshDatabase } from '../testing/servers.ts';
import { DatabaseMixin } from './database.ts';
import { OutboxMixin } from './outbox.ts';
import { ReadModelMixin } from './read-model.ts';

let database: Awaited<ReturnType<typeof freshDatabase>>;
const brokers: moleculer.ServiceBroker[] = [];
const broadcasts: unknown[] = [];

beforeAll(async () => {
  database = await freshDatabase('mixins');
  await migrateDatabase({ url: database.url, sets: [outboxMigrations, commentTable] });
});
afterAll(async () => {
  await Promise.all(brokers.map((broker) => broker.stop()));
  await database.drop();
});

// biome-ignore lint/suspicious/noExplicitAny: methods of mixins, as Moleculer's own types have them
type AnyService = Service & Record<string, any>;

interface Given {
  url?: string;
  migrations?: readonly MigrationSet[];
  buckets?: number;
  reversed?: boolean;
  idempotency?: object;
}

function producer(given: Given = {}): ServiceSchema {
  const mixins = [
    DatabaseMixin({
      database: 'comment',
      models: (sequelize) => ({ Comment: defineComment(sequelize) }),
      migrations: given.migrations ?? [commentTable],
      connection: () => ({ url: given.url ?? database.url, poolSize: 4 }),
    }),
    OutboxMixin({ source: 'comment', catalogue: boardEvents, buckets: given.buckets, idempotency: given.idempotency }),
    ReadModelMixin({ model: 'Comment', fields: ['id', 'articleId', 'content'] }),
  ];
  return {
    name: 'comment',
    mixins: given.reversed ? mixins.reverse() : mixins,
    actions: {
      create: {
        handler(ctx: Context<{ articleId: string; content: string }, { consistencyToken?: string }>) {
          const { articleId, content } = ctx.params;
          return this.transaction(
            async (tx: { transaction: never; publish(...args: unknown[]): void }) => {
              const { transaction } = tx;
              const row = await this.models.Comment.create({ articleId, content }, { transaction });
              tx.publish('CommentCreated', articleId, async () =>
                commentCreated(row, await this.models.Comment.count({ where: { articleId }, transaction })),
              );
              return row.id;
            },
            { ctx },
          );
        },
      },
      createOnce: {
        handler(ctx: Context<{ articleId: string }>) {
          const { articleId } = ctx.params;
          return this.transaction(
            async (tx: { transaction: never; publish(...args: unknown[]): void }) => {
              const row = await this.models.Comment.create(
                { articleId, content: 'x' },
                { transaction: tx.transaction },
              );
              tx.publish('CommentCreated', articleId, () => commentCreated(row, 1));
              return { id: row.id };
            },
            { ctx, idempotency: { caller: '7' } },
          );
        },
      },
      get: {
        handler(ctx: Context<{ id: string }>) {
          return this._get(ctx, { id: ctx.params.id });
        },
      },
      list: {
        handler(ctx: Context<{ page: number }>) {
          return this._list(ctx, { page: ctx.params.page, pageSize: 2, limit: 2, offset: 0, sort: ['-id'] });
        },
      },
    },
    methods: {},
  } as ServiceSchema;
}

function newBroker(): moleculer.ServiceBroker {
  const broker = new moleculer.ServiceBroker({ logger: false, metrics: true, nodeID: `node-${brokers.length}` });
  broker.createService({
    name: 'listener',
    events: {
      'outbox.nudge'(ctx: Context) {
        broadcasts.push(ctx.params);
      },
    },
  });
  brokers.push(broker);
  return broker;
}

async function startProducer(given?: Given): Promise<{ broker: moleculer.ServiceBroker; service: AnyService }> {
  const broker = newBroker();
  const service: AnyService = broker.createService(producer(given));
  await broker.start();
  return { broker, service };
}

describe.each([false, true])('a service with the mixins (reversed: %s)', (reversed) => {
  it('writes a change with its event, nudges, answers the token, and reads through moleculer-db', async () => {
    const { broker } = await startProducer({ reversed });
    broadcasts.length = 0;
    const articleId = reversed ? '12' : '11';
    const meta: { consistencyToken?: string } = {};
    const id = await broker.call('comment.create', { articleId, content: 'hello' }, { meta });
    expect(decodeToken(meta.consistencyToken!)).toEqual([['comment', 'article', articleId, '1']]);
    expect(broadcasts).toEqual([{ source: 'comment', buckets: [expect.any(Number)] }]);
    expect(await broker.call('comment.get', { id })).toEqual({ id, articleId, content: 'hello' });
    expect(await broker.call('comment.list', { page: 1 })).toMatchObject({
      pageSize: 2,
      rows: expect.arrayContaining([{ id, articleId, content: 'hello' }]),
    });
    expect(await broker.call('comment.outboxLag')).toEqual({ oldestUnsentAgeMs: expect.any(Number) });
    const written = broker.metrics.getMetric('outbox.events.written.total');
    expect(written!.get({ source: 'comment', type: 'CommentCreated' })).toMatchObject({ value: 1 });
  });
});

describe('the read model', () => {
  it('adds no action and refuses to write without an event', async () => {
    const { broker, service } = await startProducer();
    const actions = broker.registry.getActionList({ onlyLocal: true }).map(({ name }) => name);
    expect(actions.filter((name) => name.startsWith('comment.')).sort()).toEqual([
      'comment.create',
      'comment.createOnce',
      'comment.get',
      'comment.list',
      'comment.outboxGap',
      'comment.outboxLag',
    ]);
    for (const write of ['_create', '_insert', '_update', '_remove']) {
      expect(() => service[write]({}, {})).toThrow('would write without an event');
    }
    expect(() => service.adapter.insert({})).toThrow('would write without an event');
    await expect(broker.call('comment.get', { id: '1' })).rejects.toMatchObject({ code: 404 });
  });

  it('clears the cacher directly, without a broadcast', async () => {
    const { broker, service } = await startProducer();
    const cleaned: string[] = [];
    broker.cacher = { clean: async (pattern: string) => cleaned.push(pattern) } as never;
    const sent: unknown[] = [];
    broker.broadcast = (async (name: string) => sent.push(name)) as never;
    await service.clearCache();
    delete (broker as { cacher?: unknown }).cacher;
    expect({ cleaned, sent }).toEqual({ cleaned: ['comment.**'], sent: [] });
  });

  it('stops the start where the model is not there', async () => {
    const broker = newBroker();
    const schema = producer();
    broker.createService({ ...schema, mixins: [...schema.mixins!.slice(0, 2), ReadModelMixin({ model: 'Coment' })] });
    await expect(broker.start()).rejects.toThrow('comment has no model "Coment"; it has: Comment.');
  });
});

describe('idempotency', () => {
  it('makes an action take effect once for each key in its meta; without a key it is an ordinary one', async () => {
    await expect(startProducer({ idempotency: {} })).rejects.toThrow('lacks the migrations idempotency/0001');
    await migrateDatabase({ url: database.url, sets: [commentTable, idempotencyMigrations] });
    const { broker } = await startProducer({ idempotency: {} });
    const call = async (idempotencyKey: string | undefined, articleId = '41') => {
      const meta: { idempotencyKey?: string; consistencyToken?: string } = idempotencyKey ? { idempotencyKey } : {};
      const answer = await broker.call<{ id: string }, object>('comment.createOnce', { articleId }, { meta });
      return { ...answer, token: meta.consistencyToken };
    };
    const first = await call('a');
    expect(decodeToken(first.token!)).toEqual([['comment', 'article', '41', '1']]);
    expect(await call('a')).toEqual(first);
    await expect(call('a', '42')).rejects.toMatchObject({ code: 422, type: 'IDEMPOTENCY_KEY_REUSED' });
    await expect(call('ü')).rejects.toMatchObject({ code: 400, type: 'IDEMPOTENCY_KEY_INVALID' });
    expect((await call(undefined)).id).not.toBe((await call(undefined)).id);
  });

  it('is refused by a mixin that is not set up for it', async () => {
    const { broker } = await startProducer();
    const call = broker.call('comment.createOnce', { articleId: '41' }, { meta: { idempotencyKey: 'a' } });
    await expect(call).rejects.toThrow('comment gives "idempotency" to transaction(): give it to OutboxMixin too');
  });
});

describe('outboxLag', () => {
  it('is the age of the oldest row that is not sent and not dead', async () => {
    const { broker, service } = await startProducer();
    const lag = async () =>
      ((await broker.call('comment.outboxLag')) as { oldestUnsentAgeMs: number }).oldestUnsentAgeMs;
    await service.sequelize.query('DELETE FROM outbox_pending');
    expect(await lag()).toBe(0);
    await broker.call('comment.create', { articleId: '21', content: 'a' });
    await service.sequelize.query('UPDATE outbox SET created_at = created_at - INTERVAL 1 HOUR');
    await broker.call('comment.create', { articleId: '22', content: 'b' });
    expect(await lag()).toBeGreaterThan(3_599_000);
    expect(await lag()).toBeLessThan(3_660_000);
    await service.sequelize.query('UPDATE outbox_pending SET state = 2 ORDER BY id LIMIT 1');
    expect(await lag()).toBeLessThan(60_000);
  });
});

describe('the start', () => {
  it('is refused by a database whose migrations are behind, naming them', async () => {
    const later: Migration[] = [
      ...commentTable,
      { name: 'fixture/0002-more', up: async () => undefined, down: async () => undefined },
    ];
    await expect(startProducer({ migrations: [later] })).rejects.toThrow(
      /lacks the migrations fixture\/0002-more: run "npm run migrate -- up"/,
    );
    const empty = await freshDatabase('mixins_empty');
    try {
      await expect(startProducer({ url: empty.url })).rejects.toThrow('lacks the migrations fixture/0001-comment');
      await expect(startProducer({ url: empty.url, migrations: [] })).rejects.toThrow('outbox/0001-outbox-tables');
    } finally {
      await empty.drop();
    }
    await expect(startProducer({ url: empty.url })).rejects.toThrow(
      /There is no database .*: run "npm run migrate -- up"/,
    );
  });

  it('is refused by a database with another number of buckets, naming both', async () => {
    await expect(startProducer({ buckets: 5 })).rejects.toThrow('HOTBOARD_BUCKETS is "5"; allowed: 8');
  });

  it('succeeds while MySQL is away: not ready, a retryable error, no driver’s words', async () => {
    const { broker, service } = await startProducer({ url: 'mysql://root@127.0.0.1:1/nowhere' });
    expect(service.readiness()).toEqual([
      { name: 'database comment', ready: false, detail: expect.stringContaining('ECONNREFUSED') },
    ]);
    const calls = { create: { articleId: '1', content: 'x' }, outboxLag: {}, get: { id: '1' }, list: { page: 1 } };
    for (const [action, params] of Object.entries(calls)) {
      await expect(broker.call(`comment.${action}`, params)).rejects.toMatchObject({
        code: 503,
        type: 'DATABASE_UNAVAILABLE',
        retryable: true,
        message: 'The database cannot be reached at the moment: try again.',
      });
    }
  });

  it('needs no new start when MySQL comes back', async () => {
    const proxy = await MysqlProxy.start(database.url);
    const url = new URL(database.url);
    url.port = String(proxy.port);
    await proxy.stop();
    const { broker, service } = await startProducer({ url: url.href });
    expect(service.readiness()).toMatchObject([{ ready: false }]);
    const back = await MysqlProxy.start(database.url, proxy.port);
    try {
      await broker.call('comment.create', { articleId: '31', content: 'x' });
      expect(service.readiness()).toEqual([{ name: 'database comment', ready: true }]);
    } finally {
      await broker.stop();
      await back.stop();
    }
  });
});
