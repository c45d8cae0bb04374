import { beforeAll, describe, expect, it } from '@jest/globals';
import type { ServiceBroker } from 'moleculer';
import { encodeToken } from '../../outbox/token.ts';
import { soon } from '../../testing/until.ts';
import * as make from '../hot-article/testing/events.ts';
import { commitOnly, feed } from '../hot-article/testing/harness.ts';
import { pastTheCache, top, useEdges } from './testing/edge.ts';

const hot = useEdges();

describe('a read after a write', () => {
  const board = '31';
  const articleId = '9007199254750000';
  const tokenOf = (...writes: [source: string, version: number][]) =>
    encodeToken(writes.map(([source, version]) => [source, 'article', articleId, String(version)] as const));
  const ofBoard = (broker: ServiceBroker, params: object) => top(broker, { board, ...params });
  let broker: ServiceBroker;

  beforeAll(async () => {
    broker = await hot.edge();
    await feed(hot.harness, hot.projector, [hot.created(articleId, { boardId: board })]);
  });

  it('has what was written, though Redis does not have it yet', async () => {
    await commitOnly(hot.harness, hot.projector, [make.liked(articleId, 1, 1)]);
    // `syncing` without it is honest where MySQL takes long to answer
    await soon('the like', async () => {
      const { items, syncing } = await ofBoard(broker, { after: tokenOf(['like', 1]) });
      expect(syncing || items[0]?.likes === 1).toBe(true);
      return items[0]?.likes === 1;
    });
    for (const params of [
      { after: tokenOf(['like', 1]) },
      { after: tokenOf(['article', 1], ['like', 1]), waitMs: 0 },
    ]) {
      await hot.answers(() => ofBoard(broker, params), { items: [{ articleId, likes: 1 }], syncing: false });
    }
  });

  it('waits until it arrives', async () => {
    const patient = await hot.edge({ config: { hotWaitMs: 60_000, requestTimeoutMs: 90_000 } });
    const params = { after: tokenOf(['like', 2]), waitMs: 60_000 };
    const answer = ofBoard(patient, params);
    expect(await Promise.race([answer, pastTheCache().then(() => null)])).toBeNull();
    await feed(hot.harness, hot.projector, [make.liked(articleId, 2, 2)]);
    expect((await answer).items).toMatchObject([{ articleId, likes: 2 }]);
    await hot.answers(() => ofBoard(patient, params), { items: [{ articleId, likes: 2 }], syncing: false });
  });

  it('is syncing where it does not arrive in time', async () => {
    const startedMs = performance.now();
    expect(await ofBoard(broker, { after: tokenOf(['like', 99]), waitMs: 200 })).toMatchObject({ syncing: true });
    expect(performance.now() - startedMs).toBeGreaterThan(150);
    expect(await ofBoard(broker, { after: tokenOf(['like', 99]), waitMs: 0 })).toMatchObject({ syncing: true });
    await hot.answers(() => ofBoard(broker, {}), { syncing: false });
  });

  it('waits no longer than the setting allows', async () => {
    const hasty = await hot.edge({ config: { hotWaitMs: 100, requestTimeoutMs: 90_000 } });
    const startedMs = performance.now();
    expect(await ofBoard(hasty, { after: tokenOf(['like', 99]), waitMs: 60_000 })).toMatchObject({ syncing: true });
    expect(performance.now() - startedMs).toBeLessThan(30_000);
  });

  it('waits for all of several tokens', async () => {
    await feed(hot.harness, hot.projector, [make.commented(articleId, 1, 1)]);
    const there = tokenOf(['comment', 1]);
    const missing = tokenOf(['view', 1]);
    const both = `${there},${tokenOf(['like', 1])}`;
    await hot.answers(() => ofBoard(broker, { after: both }), { syncing: false });
    expect((await ofBoard(broker, { after: `${there}, ${missing}`, waitMs: 50 })).syncing).toBe(true);
  });

  it('is syncing, and waits no longer than it may, where the database does not say', async () => {
    const mysql = await hot.proxyTo(hot.harness.config.mysqlUrl!);
    const other = await hot.edge({ config: { mysqlUrl: mysql.url } });
    await soon('an answer to remember', () => ofBoard(other, {}));
    mysql.proxy.set({ mode: 'half-open' });
    const answer = await ofBoard(other, { after: tokenOf(['like', 1]), waitMs: 100 });
    expect(answer).toMatchObject({ items: [{ articleId }], syncing: true });
  });

  it('refuses what is no token of the board, and says what is one', async () => {
    const foreign = encodeToken([['order', 'order', '1', '1']]);
    const many = Array.from({ length: 51 }, (_, index) => ['like', 'article', String(index + 1), '1'] as const);
    for (const after of ['nonsense', '!', `${tokenOf(['like', 1])},`, foreign, encodeToken(many)]) {
      await expect(ofBoard(broker, { after })).rejects.toMatchObject({
        code: 400,
        type: 'VALIDATION_ERROR',
        data: [expect.objectContaining({ field: 'Hotboard-Token' })],
      });
    }
  });
});
