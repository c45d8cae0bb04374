import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import type { ServiceBroker } from 'moleculer';
import { boardClient, type PreparedBoard, prepareBoard, serviceOf } from '../../board/testing/board.ts';
import { testServers } from '../../testing/servers.ts';
import { soon } from '../../testing/until.ts';
import { gatewayService } from '../api/gateway.ts';
import articleService from '../article/article.service.ts';
import { createViewService, type ViewService } from './create.ts';

const flushMs = 400;
const claimTimeoutMs = 600;

let board: PreparedBoard;
let nodes: ServiceBroker[];
let services: ViewService[];
let request: ReturnType<typeof boardClient>['request'];
let redis: Redis;

beforeAll(async () => {
  board = await prepareBoard(['article', 'view'], {
    HOTBOARD_VIEW_FLUSH_MS: String(flushMs),
    HOTBOARD_VIEW_FLUSH_COUNT: '20',
  });
  const schemas = [articleService, createViewService({ claimTimeoutMs }), gatewayService(board.config)];
  nodes = [await board.node(schemas), await board.node(schemas)];
  services = nodes.map((node) => serviceOf<ViewService>(node, 'view'));
  ({ request } = boardClient(nodes[0]!, board.config));
  redis = new Redis(testServers().redisUrl);
});
afterAll(async () => {
  const keys = await redis.keys(`${board.config.namespace}:*`);
  if (keys.length > 0) await redis.del(keys);
  redis.disconnect();
  await board.stop();
});

async function newArticle(): Promise<string> {
  return (await request('POST', '/v1/articles', { as: '1', body: { boardId: '1', title: 'a', content: 'b' } })).body.id;
}
/** Once more where Redis took too long to say so, as clients may. */
const look = (articleId: string, as?: string, by = request) =>
  soon('another answer than 503', async () => {
    const answer = await by('POST', `/v1/articles/${articleId}/views`, { as });
    return answer.status !== 503 && answer;
  });
const countOf = async (articleId: string) => (await request('GET', `/v1/articles/${articleId}/views`)).body.count;
const counted = (articleId: string, count: number) =>
  soon(`${count} views`, async () => (await countOf(articleId)) === count);
const eventsOf = async (articleId: string) =>
  (await board.events('view')).filter((event) => event.aggregateId === articleId);
const users = (count: number) => Array.from({ length: count }, (_, index) => String(index + 1));
const waitingKey = () => `${board.config.namespace}:{view}:waiting`;
const claimedKey = () => `${board.config.namespace}:{view}:claimed`;
/** Takes a batch as a node would that dies before it writes it. */
const takeAndDie = (articleId: string) =>
  services[1]!.store.take({ batchAgeMs: 3_600_000, claimAgeMs: 3_600_000, limit: 1, articleIds: [articleId] });
/** An article whose views a dead node has. Where the living ones were faster, as on a busy machine, it is another one. */
const leftByTheDead = (views: number) =>
  soon('a batch of a dead node', async () => {
    const id = await newArticle();
    await Promise.all(users(views).map((as) => services[0]!.store.record(id, as)));
    const taken = await takeAndDie(id);
    return taken[0]?.views === views && { id, taken };
  });
const isClaimed = async (flushId: string) => (await redis.hexists(claimedKey(), flushId)) === 1;

describe('a view', () => {
  it('counts once for a user within the window, and again after it', async () => {
    const id = await newArticle();
    expect(await look(id, '5')).toMatchObject({ status: 202, body: { articleId: id, counted: true } });
    expect(await look(id, '5')).toMatchObject({ status: 202, body: { articleId: id, counted: false } });
    expect((await look(id, '6')).body.counted).toBe(true);
    const seenKey = `${board.config.namespace}:{view}:seen:${id}:5`;
    const restMs = await redis.pttl(seenKey);
    expect(restMs).toBeGreaterThan(board.config.viewWindowMs - 60_000);
    expect(restMs).toBeLessThanOrEqual(board.config.viewWindowMs);
    await redis.pexpire(seenKey, 1);
    await soon('the window to end', async () => !(await redis.exists(seenKey)));
    expect((await look(id, '5')).body.counted).toBe(true);
    await counted(id, 3);
  });

  it('needs a user and an article that is there', async () => {
    const id = await newArticle();
    expect(await look(id)).toMatchObject({ status: 401, body: { error: { code: 'TOKEN_MISSING' } } });
    expect(await request('POST', `/v1/articles/${id}/views`, { as: '1', body: { x: 1 } })).toMatchObject({
      status: 400,
    });
    await request('DELETE', `/v1/articles/${id}`, { as: '1' });
    expect(await look(id, '5')).toMatchObject({ status: 404, body: { error: { code: 'ARTICLE_NOT_FOUND' } } });
  });
});

describe('views', () => {
  it('are written by time also where they are fewer than the count', async () => {
    const id = await newArticle();
    await Promise.all(users(19).map((as) => look(id, as)));
    await counted(id, 19);
    expect((await eventsOf(id)).at(-1)).toMatchObject({
      type: 'ArticleViewed',
      payload: { articleId: id, articleViewCount: 19, viewedAt: expect.any(String) },
    });
  });

  it('are written at once by count, gathered into few events with absolute counts', async () => {
    const id = await newArticle();
    await Promise.all(
      users(200).map((as, index) => look(id, as, boardClient(nodes[index % 2]!, board.config).request)),
    );
    await counted(id, 200);
    const counts = (await eventsOf(id))
      .sort((a, b) => a.version - b.version)
      .map(({ payload }) => payload.articleViewCount);
    expect(counts.length).toBeLessThanOrEqual(100);
    expect(counts).toEqual([...counts].sort((a, b) => Number(a) - Number(b)));
    expect(counts.at(-1)).toBe(200);
  });

  it('count once when a node dies before it has written them: another one takes over', async () => {
    const { id, taken } = await leftByTheDead(3);
    await counted(id, 3);
    await soon('the claim to be gone', async () => !(await isClaimed(taken[0]!.flushId)));
  });

  it('count once when a node dies after it has written them and before it said so', async () => {
    const { id, taken } = await leftByTheDead(3);
    await services[1]!.views.write(taken);
    await services[1]!.views.write(taken);
    expect(await countOf(id)).toBe(3);
    await soon('the claim to be taken over', async () => !(await isClaimed(taken[0]!.flushId)));
    expect(await countOf(id)).toBe(3);
    expect(await eventsOf(id)).toHaveLength(1);
  });

  it('count once when several nodes write the same ones at the same time', async () => {
    const left = await Promise.all(users(5).map(() => leftByTheDead(2)));
    const taken = left.flatMap((each) => each.taken);
    const orders = [taken, taken.toReversed(), [...taken.slice(2), ...taken.slice(0, 2)], taken];
    await Promise.all(orders.map((order, index) => services[index % 2]!.views.write(order)));
    for (const { id } of left) {
      expect(await countOf(id)).toBe(2);
      expect(await eventsOf(id)).toHaveLength(1);
    }
  });

  it('do not count again when Redis comes back with old data', async () => {
    const { id, batchKey, old, since } = await soon('a batch that is not written yet', async () => {
      const id = await newArticle();
      await services[0]!.store.record(id, '1');
      const batchKey = `${board.config.namespace}:{view}:batch:${id}`;
      const [old, since] = [await redis.hgetall(batchKey), await redis.zscore(waitingKey(), id)];
      return old.views === '1' && since !== null && { id, batchKey, old, since };
    });
    await counted(id, 1);
    await redis.multi().hset(batchKey, old).zadd(waitingKey(), since, id).exec();
    await soon('the old batch to be gone', async () => !(await redis.exists(batchKey)));
    await soon('its claim to be done', async () => !(await isClaimed(old.id!)));
    expect(await countOf(id)).toBe(1);
  });

  it('that were written stay when Redis loses everything', async () => {
    const id = await newArticle();
    await look(id, '1');
    await counted(id, 1);
    await redis.del(await redis.keys(`${board.config.namespace}:*`));
    expect((await look(id, '2')).body.counted).toBe(true);
    await counted(id, 2);
  });

  it('are remembered as written for a week, not for ever', async () => {
    const id = await newArticle();
    await look(id, '1');
    await counted(id, 1);
    await board.query(
      'view',
      `UPDATE view_flush SET flushed_at = flushed_at - INTERVAL 8 DAY WHERE article_id = ${id}`,
    );
    expect(await services[0]!.views.purge()).toBe(1);
    expect(await services[0]!.views.purge()).toBe(0);
  });
});

describe('without Redis', () => {
  it('views are refused quickly with 503, and all else works', async () => {
    const redisUrl = process.env.HOTBOARD_REDIS_URL;
    process.env.HOTBOARD_REDIS_URL = 'redis://127.0.0.1:1';
    const node = await board.node([articleService, createViewService(), gatewayService(board.config)]);
    process.env.HOTBOARD_REDIS_URL = redisUrl;
    const client = boardClient(node, board.config);
    const id = await newArticle();
    const started = performance.now();
    const answer = await client.request('POST', `/v1/articles/${id}/views`, { as: '1' });
    expect(performance.now() - started).toBeLessThan(15_000); // a request has 20 s
    expect(answer).toMatchObject({ status: 503, body: { error: { code: 'VIEWS_UNAVAILABLE' } } });
    expect(answer.headers.get('retry-after')).toBe('1');
    expect(JSON.stringify(answer.body)).not.toMatch(/ECONN|offline/);
    expect(await client.request('GET', `/v1/articles/${id}`)).toMatchObject({ status: 200 });
    expect(await client.request('GET', `/v1/articles/${id}/views`)).toMatchObject({ status: 200, body: { count: 0 } });
    expect(await client.request('GET', '/health/ready')).toMatchObject({ status: 200 });
  });
});
