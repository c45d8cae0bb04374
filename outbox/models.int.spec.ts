import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { publishModels } from './models.ts';
import { commentCreated, openProducer, type Producer } from './testing/fixture.ts';

let producer: Producer;
type Comment = { id: string; articleId: string; content: string };

beforeAll(async () => {
  producer = await openProducer();
  const aggregateId = (row: Comment) => row.articleId;
  publishModels(
    producer.outbox,
    { Comment: producer.Comment },
    {
      Comment: {
        create: {
          type: 'CommentCreated',
          aggregateId,
          payload: async (row: Comment, { transaction }) =>
            commentCreated(row, await producer.Comment.count({ where: { articleId: row.articleId }, transaction })),
        },
        update: { type: 'CommentCreated', aggregateId, payload: (row: Comment) => commentCreated(row, 99) },
        destroy: {
          type: 'CommentDeleted',
          aggregateId,
          payload: (row: Comment) => ({
            commentId: row.id,
            articleId: row.articleId,
            writerId: '7',
            deletedAt: new Date(),
            articleCommentCount: 0,
          }),
        },
      },
    },
  );
});
afterAll(() => producer.close());
afterEach(() => producer.clear());

const events = async () =>
  (await producer.events()).map((row) => [row.type, row.aggregateId, row.version, row.payload.articleCommentCount]);

/** A row of its own, without an event, past the model. */
async function givenRow(id: string): Promise<void> {
  await producer.direct.query(`INSERT INTO comment (id, article_id, content) VALUES (${id}, 1, 'a')`);
}

describe('a model that publishes', () => {
  it('leaves exactly one event for each change, with versions 1..n', async () => {
    await producer.outbox.transaction(async ({ transaction }) => {
      const row = await producer.Comment.create({ articleId: '1', content: 'a' }, { transaction });
      await row.update({ content: 'b' }, { transaction });
      await row.update({ content: 'b' }, { transaction }); // changes nothing
      await producer.Comment.bulkCreate(
        [
          { articleId: '1', content: 'c' },
          { articleId: '2', content: 'd' },
        ],
        { transaction, individualHooks: true },
      );
      await row.destroy({ transaction });
    });
    expect(await events()).toEqual([
      ['CommentCreated', '1', 1, 1],
      ['CommentCreated', '1', 2, 99],
      ['CommentCreated', '1', 3, 1],
      ['CommentCreated', '2', 1, 1],
      ['CommentDeleted', '1', 4, 0],
    ]);
  });

  it('leaves nothing where the transaction throws', async () => {
    const attempt = producer.outbox.transaction(async ({ transaction }) => {
      const row = await producer.Comment.create({ articleId: '1', content: 'a' }, { transaction });
      await row.destroy({ transaction });
      throw new Error('no');
    });
    await expect(attempt).rejects.toThrow('no');
    expect(await events()).toEqual([]);
    expect(await producer.comments()).toBe(0);
  });

  it('publishes in a transaction of somebody else', async () => {
    await producer.sequelize.transaction((transaction) =>
      producer.Comment.create({ articleId: '1', content: 'a' }, { transaction }),
    );
    expect(await events()).toEqual([['CommentCreated', '1', 1, 1]]);
  });

  it('refuses what would skip its hooks, saying what to write, and changes nothing', async () => {
    await givenRow('1');
    const { Comment } = producer;
    const where = { id: '1' };
    const row = (await Comment.findByPk('1'))!;
    const refused: [string, (transaction: never) => Promise<unknown>, RegExp][] = [
      [
        'create without a transaction',
        () => Comment.create({ articleId: '1', content: 'x' }),
        /inside "await this.transaction/,
      ],
      ['update without a transaction', () => row.update({ content: 'x' }), /give it { transaction: tx.transaction }/],
      ['destroy without a transaction', () => row.destroy(), /give it { transaction/],
      ['bulk update', (transaction) => Comment.update({ content: 'x' }, { where, transaction }), /row\.update\(values/],
      [
        'the same, individually',
        (transaction) => Comment.update({ content: 'x' }, { where, transaction, individualHooks: true }),
        /row\.update/,
      ],
      ['bulk destroy', (transaction) => Comment.destroy({ where, transaction }), /row\.destroy\(\{ transaction \}\)/],
      ['truncate', (transaction) => Comment.truncate({ transaction }), /row\.destroy/],
      ['increment', (transaction) => Comment.increment('articleId', { where, transaction }), /lock: true/],
      ['decrement', (transaction) => Comment.decrement('articleId', { where, transaction }), /lock: true/],
      ['increment of a row', (transaction) => row.increment('articleId', { transaction }), /lock: true/],
      ['decrement of a row', (transaction) => row.decrement('articleId', { transaction }), /lock: true/],
      [
        'upsert',
        (transaction) => Comment.upsert({ id: '1', content: 'x' }, { transaction }),
        /find the row with a lock/,
      ],
      [
        'bulkCreate',
        (transaction) => Comment.bulkCreate([{ articleId: '1', content: 'x' }], { transaction }),
        /individualHooks: true/,
      ],
      [
        'bulkCreate that ignores',
        (transaction) =>
          Comment.bulkCreate([{ articleId: '1', content: 'x' }], {
            transaction,
            individualHooks: true,
            ignoreDuplicates: true,
          }),
        /without ignoreDuplicates/,
      ],
      [
        'create without hooks',
        (transaction) => Comment.create({ articleId: '1', content: 'x' }, { transaction, hooks: false }),
        /leave the hooks on/,
      ],
      [
        'update without hooks',
        (transaction) => row.update({ content: 'y' }, { transaction, hooks: false }),
        /leave the hooks on/,
      ],
      ['destroy without hooks', (transaction) => row.destroy({ transaction, hooks: false }), /leave the hooks on/],
    ];
    for (const [name, call, instead] of refused) {
      const outcome = await producer.sequelize
        .transaction((transaction) => call(transaction as never))
        .catch(({ code, message }) => ({ code, message }));
      expect({ name, outcome }).toEqual({
        name,
        outcome: { code: 'WRITE_WITHOUT_EVENT', message: expect.stringMatching(instead) },
      });
    }
    expect(await producer.direct.query('SELECT article_id, content FROM comment', { plain: true })).toEqual({
      article_id: '1',
      content: 'a',
    });
    expect(await events()).toEqual([]);
  });

  it('does not publish the deletion or update of a row that somebody else has deleted', async () => {
    for (const change of ['destroy', 'update'] as const) {
      await givenRow('5');
      const row = (await producer.Comment.findByPk('5'))!;
      await producer.direct.query('DELETE FROM comment WHERE id = 5');
      const attempt = producer.outbox.transaction(async ({ transaction }) => {
        if (change === 'destroy') await row.destroy({ transaction });
        else await row.update({ content: 'z' }, { transaction });
      });
      await expect(attempt).rejects.toMatchObject({ code: 'ROW_GONE' });
    }
    expect(await events()).toEqual([]);
  });

  it('is refused at the start where its event or the model itself is unknown', () => {
    const { outbox, Comment } = producer;
    expect(() => publishModels(outbox, { Comment }, { Coment: {} })).toThrow(
      'names the model "Coment"; there are: Comment.',
    );
    expect(() => publishModels(outbox, { Comment }, { Comment: { create: 'CommentMade' } })).toThrow(
      '"CommentMade" is no event of the source comment',
    );
  });
});
