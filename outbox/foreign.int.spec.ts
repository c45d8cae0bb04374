import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { bucketOf } from './keys.ts';
import { commentCreated, nothing, openProducer, type Producer } from './testing/fixture.ts';

let producer: Producer;
beforeAll(async () => {
  producer = await openProducer();
});
afterAll(() => producer.close());
afterEach(() => producer.clear());

class Thrown extends Error {}

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
    expect(await producer.left()).toEqual(nothing);
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
    expect(await producer.left()).toEqual(nothing);
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
