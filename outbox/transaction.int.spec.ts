import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { bucketOf, keyHashOf } from './keys.ts';
import type { OutboxTransaction } from './scope.ts';
import { commentCreated, nothing, openProducer, type Producer } from './testing/fixture.ts';
import { decodeToken } from './token.ts';

let producer: Producer;
beforeAll(async () => {
  producer = await openProducer();
});
afterAll(() => producer.close());
afterEach(() => producer.clear());

/** Writes a comment and publishes it with the count that is true at its commit. */
async function comment(tx: OutboxTransaction, articleId: string, count = 1) {
  const { transaction } = tx;
  const row = await producer.Comment.create({ articleId, content: 'hello' }, { transaction });
  tx.publish('CommentCreated', articleId, () => commentCreated(row, count));
  return row;
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
      expect(await producer.left()).toEqual(nothing);
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
    expect(await producer.left()).toEqual(nothing);
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
    expect(await producer.left()).toEqual(nothing);
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
    expect(await producer.left()).toEqual(nothing);
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
    expect(await producer.left()).toEqual(nothing);
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
