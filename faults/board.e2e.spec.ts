import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { loadConfig } from '../config/load.ts';
import { startTemporaryBoard, type TemporaryBoard } from '../testing/temporary-board.ts';
import { Traffic, type TrafficReport } from '../testing/traffic.ts';
import { until } from '../testing/until.ts';
import { recountHotList } from './recount.ts';

interface HotList {
  items: { articleId: string; score: number; likes: number; comments: number; views: number }[];
  syncing: boolean;
  lagMs: number | null;
}

const articlesCount = 15;
const users = 4;
/** Several times what a busy machine takes. */
const settledMs = 120_000;
const runsAgainMs = 120_000;

describe('a whole board on real servers', () => {
  let board: TemporaryBoard;
  let client: TemporaryBoard['client'];
  const articles: string[] = [];

  beforeAll(async () => {
    mkdirSync('.hotboard', { recursive: true });
    const logFile = '.hotboard/board.e2e.log';
    writeFileSync(logFile, '');
    board = await startTemporaryBoard({}, (from, text) =>
      appendFileSync(logFile, `${new Date().toISOString()} ${from} | ${text}\n`),
    );
    client = board.client;
    for (let i = 0; i < articlesCount; i++) {
      const { id } = await answered<{ id: string }>(201, 'POST', '/v1/articles', {
        userId: '1',
        body: { boardId: '7', title: `Article ${i}`, content: 'Hot or not' },
        headers: { 'idempotency-key': `article-${i}` },
      });
      articles.push(id);
    }
  }, 420_000);

  afterAll(async () => {
    await board?.stop();
  }, 180_000);

  /** Asks again after a 503, as one may of a board that has only just started. */
  async function answered<Body>(expected: number, ...request: Parameters<typeof client.request>): Promise<Body> {
    const { status, body } = await until('an answer', runsAgainMs, async () => {
      const answer = await client.request<Body>(...request);
      return answer.status !== 503 && answer;
    });
    expect(status).toBe(expected);
    return body;
  }

  /** The hot list of every gateway equals a recount from the producers' own tables, and nothing waits any more. */
  async function settled(): Promise<void> {
    await until(
      'the hot list equals a recount',
      settledMs,
      async () => {
        const expected = await recountHotList(loadConfig(board.env), 100);
        for (const gateway of board.gateways) {
          const { body } = await client.request<HotList>('GET', '/v1/hot-articles?limit=100', { gateway });
          expect(body.items).toEqual(expected);
          expect(body.syncing).toBe(false);
        }
        return true;
      },
      200,
    );
  }

  function expectOnlySuccess(report: TrafficReport): void {
    expect({
      failures: report.failures,
      answers: Object.keys(report.answers).filter((status) => Number(status) >= 300),
    }).toEqual({
      failures: [],
      answers: [],
    });
  }

  it('carries writes from HTTP to the hot list of every edge', async () => {
    for (const userId of ['11', '12', '13']) {
      expect((await client.request('PUT', `/v1/articles/${articles[3]}/like`, { userId })).body).toMatchObject({
        liked: true,
      });
    }
    const comment = { userId: '11', body: { content: 'Yes' }, headers: { 'idempotency-key': 'comment-1' } };
    await answered(201, 'POST', `/v1/articles/${articles[3]}/comments`, comment);
    await answered(202, 'POST', `/v1/articles/${articles[4]}/views`, { userId: '11' });
    // A view is gathered before it is written, so a recount can be right without it.
    await until('likes, the comment and the view show', settledMs, async () => {
      const { body } = await client.request<HotList>('GET', '/v1/hot-articles?limit=2');
      expect(body.items).toEqual([
        { rank: 1, articleId: articles[3], title: 'Article 3', score: 11, likes: 3, comments: 1, views: 0 },
        { rank: 2, articleId: articles[4], title: 'Article 4', score: 1, likes: 0, comments: 0, views: 1 },
      ]);
      return true;
    });
    await settled();
  }, 300_000);

  it('shows a writer what it wrote, on either edge, where it passes the token on', async () => {
    for (const [turn, gateway] of [...board.gateways, ...board.gateways].entries()) {
      const userId = String(500 + turn);
      const path = `/v1/articles/${articles[5]}/like`;
      const { headers, body } = await client.request<{ count: number }>('PUT', path, { userId });
      const read = { gateway, headers: { 'hotboard-token': headers.get('hotboard-token')!, prefer: 'wait=3' } };
      // `syncing` is an honest answer on a busy machine; the first one without it has what was written.
      const { items } = await until('an answer is not syncing', settledMs, async () => {
        const answer = await client.request<HotList>('GET', '/v1/hot-articles?limit=100', read);
        return !answer.body.syncing && answer.body;
      });
      expect(items.find(({ articleId }) => articleId === articles[5])!.likes).toBe(body.count);
    }
  }, 600_000);

  it('has the right lists soon after Redis was flushed under traffic', async () => {
    const traffic = new Traffic(client, articles);
    traffic.start(users);
    const redis = new Redis(board.stack.environment.HOTBOARD_REDIS_URL);
    for (let flush = 0; flush < 3; flush++) {
      await pause(700);
      await redis.flushall();
    }
    redis.disconnect();
    expectOnlySuccess(await traffic.stop());
    await settled();
  }, 240_000);

  it('refuses writes with 503 alone, serves the list and loses nothing while MySQL is away for 30 s under traffic', async () => {
    const traffic = new Traffic(client, articles);
    traffic.start(users);
    await pause(1000);
    const mysql = board.stack.server('mysql');
    await mysql.kill();
    const backMs = performance.now() + 30_000;
    while (performance.now() < backMs) {
      for (const gateway of board.gateways) {
        expect((await client.request<HotList>('GET', '/v1/hot-articles', { gateway })).status).toBe(200);
      }
      await pause(1000);
    }
    await mysql.start();
    await until('writes are taken again', runsAgainMs, async () => {
      const { status } = await client.request('PUT', `/v1/articles/${articles[1]}/like`, { userId: '999998' });
      return status === 200;
    });
    const { broken, answers } = await traffic.stop();
    expect(broken).toEqual({});
    expect(answers['503']).toBeGreaterThan(0);
    expect(Object.keys(answers).filter((status) => Number(status) >= 300)).toEqual(['503']);
    await settled();
  }, 360_000);

  it.each(['edge-1', 'edge-2', 'relay-1', 'relay-2', 'hot-article-1', 'hot-article-2'])(
    'loses nothing when %s is killed with SIGKILL under traffic',
    async (nodeId) => {
      const traffic = new Traffic(client, articles);
      traffic.start(users);
      await pause(1000); // traffic before, during and after
      const { pid } = board.supervisor.running.find((node) => node.nodeId === nodeId)!;
      process.kill(pid, 'SIGKILL');
      await until(`${nodeId} runs again`, runsAgainMs, () =>
        board.supervisor.running.some((node) => node.nodeId === nodeId && node.pid !== pid),
      );
      await pause(1000);
      expectOnlySuccess(await traffic.stop());
      await settled();
    },
    360_000,
  );

  it('answers everything while Kafka is away for 60 s, also from an edge that starts meanwhile, and catches up after it', async () => {
    const outageMs = 60_000;
    const traffic = new Traffic(client, articles);
    traffic.start(users);
    await pause(1000);
    const kafka = board.stack.server('kafka');
    await kafka.kill();
    const killedMs = performance.now();

    const edge = board.supervisor.running.find((node) => node.nodeId === 'edge-1')!;
    process.kill(edge.pid, 'SIGKILL');
    await until('edge-1 runs again without Kafka', runsAgainMs, () =>
      board.supervisor.running.some((node) => node.nodeId === 'edge-1' && node.pid !== edge.pid),
    );
    const gateway = board.gateways.find((address) => address.endsWith(`:${edge.httpPort}`))!;
    const written = await client.request('PUT', `/v1/articles/${articles[0]}/like`, { userId: '999999', gateway });
    expect(written).toMatchObject({ status: 200, body: { liked: true } });
    expect((await client.request<HotList>('GET', '/v1/hot-articles', { gateway })).status).toBe(200);

    await pause(Math.max(0, outageMs - (performance.now() - killedMs)));
    expectOnlySuccess(await traffic.stop());
    await kafka.start();
    await settled();
  }, 420_000);
});
