import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { bucketOf, keyHashOf } from './keys.ts';
import type { OutboxTransaction } from './scope.ts';
import { commentCreated, openProducer, type Producer } from './testing/fixture.ts';
import { decodeToken } from './token.ts';

let producer: Producer;
beforeAll(async () => {
  producer = await openProducer();
});
afterAll(() => producer.close());
afterEach(async () => {
  for (const table of ['comment', 'outbox', 'outbox_pending', 'outbox_stream']) {
    await producer.direct.query(`DELETE FROM ${table}`);
  }
  producer.nudges.length = 0;
  producer.retries.length = 0;
});

/** Writes a comment and publishes it with the count that is true at its commit. */
async function comment(tx: OutboxTransaction, articleId: string, count = 1) {
  const { transaction } = tx;
  const row = await producer.Comment.create({ articleId, content: 'hello' }, { transaction });
  tx.publish('CommentCreated', articleId, () => commentCreated(row, count));
  return row;
}

async function expectNothing(): Promise<void> {
  expect({
    comments: await producer.comments(),
    events: (await producer.events()).length,
    pending: (await producer.pending()).length,
    nudges: producer.nudges,
  }).toEqual({ comments: 0, events: 0, pending: 0, nudges: [] });
}

class Thrown extends Error {}

describe('a transaction', () => {
  it('keeps the change, its event and its pending row together', async () => {
    const context = { meta: {} as { consistencyToken?: string } };
    const row = await producer.outbox.transaction((tx) => comment(tx, '42'), context);
    expect(row.id).toBe('9007199254740993');
    const [event, ...more] = await producer.events();
    expect(more).toEqual([]);
    expect(event).toMatchObject({
      aggregateType: 'article',
      aggregateId: '42',
      version: 1,
      type: 'CommentCreated',
      eventId: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
      payload: { commentId: '9007199254740993', articleId: '42', articleCommentCount: 1 },
      headers: null,
    });
    expect(await producer.pending()).toEqual([
      { id: event!.id, bucket: bucketOf('42', 8), state: 0, keyHash: keyHashOf('42'), version: 1, day: event!.day },
    ]);
    expect(decodeToken(context.meta.consistencyToken!)).toEqual([['comment', 'article', '42', '1']]);
    expect(producer.nudges).toEqual([[bucketOf('42', 8)]]);
  });

  it('leaves nothing where it throws, at whichever step', async () => {
    const steps: Record<string, (tx: OutboxTransaction) => unknown> = {
      'before any statement': () => {
        throw new Thrown();
      },
      'after the change': async (tx) => {
        await producer.Comment.create({ articleId: '1', content: 'x' }, { transaction: tx.transaction });
        throw new Thrown();
      },
      'after publish': async (tx) => {
        await comment(tx, '1');
        throw new Thrown();
      },
      'in build': async (tx) => {
        await comment(tx, '1');
        tx.publish('CommentCreated', '1', () => {
          throw new Thrown();
        });
      },
      'after bulkCreate': async (tx) => {
        const rows = [1, 2].map(() => ({ articleId: '1', content: 'x' }));
        await producer.Comment.bulkCreate(rows, { transaction: tx.transaction, individualHooks: true });
        tx.publish('CommentCreated', '1', () => ({}));
        throw new Thrown();
      },
      nested: async (tx) => {
        await comment(tx, '1');
        await producer.outbox.transaction(async (inner) => {
          await comment(inner, '2');
          throw new Thrown();
        });
      },
      'nested, and caught outside': async (tx) => {
        await comment(tx, '1');
        await producer.outbox
          .transaction(() => {
            throw new Thrown();
          })
          .catch(() => undefined);
      },
    };
    for (const [name, work] of Object.entries(steps)) {
      const context = { meta: {} };
      const error = await producer.outbox.transaction(work, context).catch((thrown) => thrown);
      expect({ name, thrown: error instanceof Thrown }).toEqual({ name, thrown: true });
      expect(context.meta).toEqual({});
      await expectNothing();
    }
  });

  it('leaves nothing where a payload does not fit, and says why', async () => {
    const publish = (payload: unknown) =>
      producer.outbox.transaction(async (tx) => {
        const { transaction } = tx;
        await producer.Comment.create({ articleId: '5', content: 'x' }, { transaction });
        tx.publish('CommentCreated', '5', () => payload);
      });
    const good = commentCreated({ id: '1', articleId: '5' }, 1);
    await expect(publish({ ...good, articleCommentCount: -1 })).rejects.toMatchObject({
      code: 'EVENT_INVALID',
      message: 'CommentCreated of article 5 does not fit its schema: articleCommentCount must be >= 0.',
    });
    await expect(publish(undefined)).rejects.toThrow('CommentCreated of article 5 has no payload');
    await expect(publish({ ...good, content: 1n })).rejects.toThrow('CommentCreated of article 5 is not JSON');
    await expect(publish({ ...good, content: 'ü'.repeat(470_000) })).rejects.toMatchObject({
      code: 'EVENT_TOO_LARGE',
      message: expect.stringMatching(/^CommentCreated of article 5 has 9\d{5} bytes; allowed: 921600/),
    });
    await expectNothing();
    await publish({ ...good, content: 'ü'.repeat(450_000) });
    expect(await producer.events()).toHaveLength(1);
  });

  it('refuses a type that it does not know, or that is another source’s, naming its own', async () => {
    const publish = (type: string, id: unknown = '1') =>
      producer.outbox.transaction((tx) => tx.publish(type, id as string, () => ({})));
    await expect(publish('CommentCreatd')).rejects.toMatchObject({
      code: 'EVENT_UNKNOWN_TYPE',
      message: '"CommentCreatd" is no event of the source comment; its events are: CommentCreated, CommentDeleted.',
    });
    await expect(publish('ArticleLiked')).rejects.toThrow(
      '"ArticleLiked" is no event of the source comment, but one of like',
    );
    for (const id of ['', 'x'.repeat(256), null, undefined, 1.5, {}]) {
      await expect(publish('CommentCreated', id)).rejects.toMatchObject({ code: 'EVENT_INVALID' });
    }
  });

  it('refuses a publish at any other time than in the body, saying what to write', async () => {
    let kept: OutboxTransaction | undefined;
    await producer.outbox.transaction((tx) => {
      kept = tx;
    });
    expect(() => kept!.publish('CommentCreated', '1', () => ({}))).toThrow(
      'publish("CommentCreated") was called after its transaction had ended (is an await missing?)',
    );
    await expect(
      producer.outbox.publish({ type: 'CommentCreated', aggregateId: '1', payload: {} }),
    ).rejects.toMatchObject({
      code: 'PUBLISH_OUTSIDE_TRANSACTION',
      message: expect.stringContaining('write "await this.transaction(async (tx) => { …; tx.publish(…) })"'),
    });
    const inBuild = producer.outbox.transaction((tx) =>
      tx.publish('CommentCreated', '1', (again) => again.publish('CommentCreated', '1', () => ({}))),
    );
    await expect(inBuild).rejects.toThrow('a build may only read');
    await expectNothing();
  });

  it('refuses to go on where the body has ended it by itself', async () => {
    for (const end of ['commit', 'rollback'] as const) {
      const attempt = producer.outbox.transaction(async (tx) => {
        tx.publish('CommentCreated', '1', () => commentCreated({ id: '1', articleId: '1' }, 1));
        await tx.transaction[end]();
      });
      await expect(attempt).rejects.toMatchObject({ code: 'TRANSACTION_ENDED' });
      const silent = producer.outbox.transaction((tx) => tx.transaction[end]());
      await expect(silent).rejects.toMatchObject({ code: 'TRANSACTION_ENDED' });
    }
    await expectNothing();
  });

  it('joins nested calls: one commit, versions in the order of publishing, one token', async () => {
    const context = { meta: {} as { consistencyToken?: string } };
    await producer.outbox.transaction(async (tx) => {
      await comment(tx, '1', 1);
      await producer.outbox.transaction(async (inner) => {
        expect(inner.transaction).toBe(tx.transaction);
        await comment(inner, '1', 2);
        expect(await producer.comments()).toBe(0);
      }, context);
      await comment(tx, '10', 1);
    });
    expect(
      (await producer.events()).map((row) => [row.aggregateId, row.version, row.payload.articleCommentCount]),
    ).toEqual([
      ['1', 1, 1],
      ['1', 2, 2],
      ['10', 1, 1],
    ]);
    expect(decodeToken(context.meta.consistencyToken!)).toEqual([
      ['comment', 'article', '1', '2'],
      ['comment', 'article', '10', '1'],
    ]);
    expect(producer.nudges).toHaveLength(1);
  });

  it('undoes all where a nested call was not awaited', async () => {
    const ended = Promise.withResolvers<void>();
    let inner: Promise<unknown> | undefined;
    const outer = producer.outbox.transaction(async (tx) => {
      await comment(tx, '1');
      inner = producer.outbox.transaction(() => ended.promise);
    });
    await expect(outer).rejects.toMatchObject({ code: 'TRANSACTION_NOT_AWAITED' });
    ended.resolve();
    await inner;
    await expectNothing();
  });

  it('starts a transaction of its own where the outer one is over', async () => {
    let later: Promise<unknown> | undefined;
    const signal = Promise.withResolvers<void>();
    await producer.outbox.transaction(() => {
      later = signal.promise.then(() => producer.outbox.transaction((tx) => comment(tx, '9')));
    });
    signal.resolve();
    await later;
    expect(await producer.events()).toHaveLength(1);
  });

  it('keeps apart what runs at the same time', async () => {
    await Promise.all(['1', '2', '3'].map((id) => producer.outbox.transaction((tx) => comment(tx, id))));
    expect((await producer.events()).map((row) => row.aggregateId).sort()).toEqual(['1', '2', '3']);
  });

  it('runs tasks after the commit only, and a failing one undoes nothing', async () => {
    const ran: string[] = [];
    await producer.outbox.transaction(async (tx) => {
      tx.afterCommit(async () => ran.push(`first ${await producer.comments()}`));
      tx.afterCommit(() => {
        throw new Thrown();
      });
      tx.afterCommit(() => ran.push('last'));
      await comment(tx, '1');
      expect(ran).toEqual([]);
    });
    expect(ran).toEqual(['first 1', 'last']);
    const undone = producer.outbox.transaction((tx) => {
      tx.afterCommit(() => ran.push('never'));
      throw new Thrown();
    });
    await expect(undone).rejects.toBeInstanceOf(Thrown);
    expect(ran).toHaveLength(2);
  });

  it('nudges after the commit, when another connection sees the rows', async () => {
    let seen: Promise<number> | undefined;
    const other = await openProducer({
      nudge: () => {
        seen = other.pending().then((rows) => rows.length);
      },
    });
    try {
      await other.outbox.transaction(async (tx) => {
        tx.publish('CommentCreated', '1', async () => {
          expect(seen).toBeUndefined();
          return commentCreated({ id: '1', articleId: '1' }, 1);
        });
      });
      expect(await seen).toBe(1);
    } finally {
      await other.close();
    }
  });

  it('carries the trace of the request', async () => {
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    await producer.outbox.transaction((tx) => comment(tx, '1'), { meta: { traceparent } });
    const [event] = await producer.events();
    expect(event!.headers).toEqual({ traceparent });
  });
});

describe('concurrent writers', () => {
  const counted = (tx: OutboxTransaction, articleId: string) => {
    const { transaction } = tx;
    return producer.Comment.create({ articleId, content: 'x' }, { transaction }).then((row) => {
      tx.publish('CommentCreated', articleId, async () =>
        commentCreated(row, await producer.Comment.count({ where: { articleId }, transaction })),
      );
    });
  };

  it('get versions without a gap, in the order of ids, and true counts', async () => {
    await Promise.all(
      Array.from({ length: 12 }, async () => {
        for (let i = 0; i < 10; i++) await producer.outbox.transaction((tx) => counted(tx, '77'));
      }),
    );
    const events = await producer.events();
    const upTo120 = Array.from({ length: 120 }, (_, index) => index + 1);
    expect(events.map((event) => event.version)).toEqual(upTo120);
    expect(events.map((event) => event.payload.articleCommentCount)).toEqual(upTo120);
  });

  it('of several aggregates in opposite order do not deadlock', async () => {
    const both = (ids: string[]) =>
      producer.outbox.transaction(async (tx) => {
        for (const id of ids) tx.publish('CommentCreated', id, () => commentCreated({ id: '1', articleId: id }, 1));
      });
    await Promise.all(Array.from({ length: 40 }, (_, index) => both(index % 2 ? ['1', '2', '3'] : ['3', '2', '1'])));
    expect(producer.retries).toEqual([]);
    const events = await producer.events();
    for (const id of ['1', '2', '3']) {
      const versions = events.filter((event) => event.aggregateId === id).map((event) => event.version);
      expect(versions).toEqual(Array.from({ length: 40 }, (_, index) => index + 1));
    }
  });

  it('of many events in one transaction keep order and ids', async () => {
    await producer.outbox.transaction((tx) => {
      for (let i = 0; i < 450; i++) {
        const id = String((i % 7) + 1);
        tx.publish('CommentCreated', id, () => commentCreated({ id: String(i + 1), articleId: id }, i));
      }
    });
    const events = await producer.events();
    expect(events.map((event) => event.payload.articleCommentCount)).toEqual(Array.from({ length: 450 }, (_, i) => i));
    const pending = await producer.pending();
    expect(pending.map(({ id, day, version }) => ({ id, day, version }))).toEqual(
      events.map(({ id, day, version }) => ({ id, day, version })),
    );
  });

  it('keep their ids where the server hands out every third one', async () => {
    const step = async (connection: unknown) => {
      await new Promise((resolve) =>
        (connection as { query(sql: string, done: (error: unknown) => void): void }).query(
          'SET SESSION auto_increment_increment = 3',
          resolve,
        ),
      );
    };
    const other = await openProducer();
    other.sequelize.addHook('afterConnect', step);
    try {
      await other.outbox.transaction((tx) => {
        for (let i = 1; i <= 5; i++) {
          tx.publish('CommentCreated', '1', () => commentCreated({ id: String(i), articleId: '1' }, i));
        }
      });
      const events = await other.events();
      expect(events.map((event) => event.version)).toEqual([1, 2, 3, 4, 5]);
      expect(events[4]!.id - events[0]!.id).toBe(12n);
      expect((await other.pending()).map((row) => [row.id, row.version])).toEqual(
        events.map((event) => [event.id, event.version]),
      );
    } finally {
      await other.close();
    }
  });
});

describe('publish in a transaction of somebody else', () => {
  it('keeps or undoes the event with it, and nudges after its commit', async () => {
    const { sequelize, outbox, Comment } = producer;
    const write = async (fail: boolean) => {
      await sequelize.transaction(async (transaction) => {
        const row = await Comment.create({ articleId: '3', content: 'x' }, { transaction });
        const payload = async () =>
          commentCreated(row, await Comment.count({ where: { articleId: '3' }, transaction }));
        await outbox.publish({ type: 'CommentCreated', aggregateId: '3', payload }, { transaction });
        expect(producer.nudges).toEqual([]);
        if (fail) throw new Thrown();
      });
    };
    await expect(write(true)).rejects.toBeInstanceOf(Thrown);
    await expectNothing();
    await write(false);
    expect((await producer.events()).map((event) => [event.version, event.payload.articleCommentCount])).toEqual([
      [1, 1],
    ]);
    expect(producer.nudges).toEqual([[bucketOf('3', 8)]]);
    const ended = await sequelize.transaction(async (transaction) => transaction);
    await expect(
      outbox.publish({ type: 'CommentCreated', aggregateId: '3', payload: {} }, { transaction: ended }),
    ).rejects.toMatchObject({ code: 'TRANSACTION_ENDED' });
  });

  it('cannot be committed after a publish that failed, even where the error is caught', async () => {
    const attempt = producer.sequelize.transaction(async (transaction) => {
      await producer.Comment.create({ articleId: '3', content: 'x' }, { transaction });
      const event = { type: 'CommentCreated', aggregateId: '3', payload: { wrong: true } };
      await producer.outbox.publish(event, { transaction }).catch(() => undefined);
    });
    await expect(attempt).rejects.toThrow('finished with state: rollback');
    await expectNothing();
    expect(await producer.direct.query('SELECT * FROM outbox_stream', { plain: true })).toBeNull();
  });

  it('is like tx.publish in one of our own', async () => {
    await producer.outbox.transaction(async (tx) => {
      const payload = commentCreated({ id: '1', articleId: '4' }, 1);
      await producer.outbox.publish(
        { type: 'CommentCreated', aggregateId: '4', payload },
        { transaction: tx.transaction },
      );
      await producer.outbox.publish({ type: 'CommentCreated', aggregateId: '4', payload });
      expect(await producer.direct.query('SELECT * FROM outbox_stream', { plain: true })).toBeNull();
    });
    expect((await producer.events()).map((event) => event.version)).toEqual([1, 2]);
  });
});
