import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { OutboxTransaction } from './scope.ts';
import { commentCreated, openProducer, type Producer } from './testing/fixture.ts';

let producer: Producer;
beforeAll(async () => {
  producer = await openProducer({ retryForMs: 60_000 }); // where the last of a queue waits too long for the line
});
afterAll(() => producer.close());
afterEach(() => producer.clear());

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
    expect(producer.retries).not.toContain('deadlock');
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
