import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { ServiceBroker } from 'moleculer';
import {
  boardClient,
  type HttpAnswer,
  type PreparedBoard,
  prepareBoard,
  serviceOf,
} from '../../board/testing/board.ts';
import type { OutboxService } from '../../mixins/outbox.ts';
import { MysqlProxy } from '../../outbox/testing/mysql-proxy.ts';
import articleService from '../article/article.service.ts';
import commentService from '../comment/comment.service.ts';
import { gatewayService } from './gateway.ts';

let proxy: MysqlProxy;
let board: PreparedBoard;
let node: ServiceBroker;
let request: ReturnType<typeof boardClient>['request'];
const mysqlUrl = process.env.HOTBOARD_MYSQL_URL!;

beforeAll(async () => {
  board = await prepareBoard(['article', 'comment'], { HOTBOARD_REQUEST_TIMEOUT_MS: '3000' });
  proxy = await MysqlProxy.start(mysqlUrl);
  const through = new URL(mysqlUrl);
  through.port = String(proxy.port);
  process.env.HOTBOARD_MYSQL_URL = through.href;
  node = await board.node([articleService, commentService, gatewayService(board.config)]);
  process.env.HOTBOARD_MYSQL_URL = mysqlUrl;
  ({ request } = boardClient(node, board.config));
  jest.spyOn(console, 'warn').mockImplementation(() => undefined); // Sequelize's own words about a broken COMMIT
});
afterAll(async () => {
  await board.stop();
  await proxy.stop();
  jest.restoreAllMocks();
});
afterEach(async () => {
  for (const table of ['article', 'outbox', 'outbox_pending', 'idempotency_key']) {
    await board.query('article', `DELETE FROM ${table}`);
  }
});

const someArticle = { boardId: '1', title: 'a', content: 'b' };
const post = (key: string, body: object = someArticle, as = '7', path = '/v1/articles') =>
  request('POST', path, { as, body, headers: { 'idempotency-key': key } });

/** What a client can tell two answers apart by. */
const seen = ({ status, headers, body }: HttpAnswer) => ({
  status,
  body,
  token: headers.get('hotboard-token'),
  location: headers.get('location'),
});
const articles = () => board.query('article', 'SELECT id FROM article');

/** As a client does that is told to wait. */
async function answered(attempt: () => Promise<HttpAnswer>): Promise<HttpAnswer> {
  for (;;) {
    const answer = await attempt();
    if (answer.status !== 409) return answer;
    expect(answer.body.error.code).toBe('IDEMPOTENCY_KEY_IN_USE');
    expect(answer.headers.get('retry-after')).toBe('1');
  }
}

describe('a POST with an Idempotency-Key', () => {
  it('has one effect and one answer, with status, body, token and address', async () => {
    const first = await post('"k-1"');
    expect(first.status).toBe(201);
    expect(first.headers.get('idempotency-replayed')).toBeNull();
    const again = await post('k-1', { content: 'b', title: 'a', boardId: '1' });
    expect(seen(again)).toEqual(seen(first));
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect(await articles()).toHaveLength(1);
    expect(await board.events('article')).toHaveLength(1);
  });

  it('is refused with another body, and is another one of another user', async () => {
    await post('"k-2"');
    expect(await post('"k-2"', { ...someArticle, title: 'other' })).toMatchObject({
      status: 422,
      body: { error: { code: 'IDEMPOTENCY_KEY_REUSED' } },
    });
    expect(await post('"k-2"', someArticle, '8')).toMatchObject({ status: 201, body: { writerId: '8' } });
    expect(await articles()).toHaveLength(2);
  });

  it.each(['""', 'a b', '"a", "b"', 'x'.repeat(256)])('is refused where the key is %s', async (key) => {
    expect(await post(key)).toMatchObject({
      status: 400,
      body: { error: { code: 'IDEMPOTENCY_KEY_INVALID', message: expect.stringContaining('allowed: ') } },
    });
    expect(await articles()).toHaveLength(0);
  });

  it('is an ordinary one where it fails: nothing is remembered', async () => {
    expect(await post('"k-3"', { ...someArticle, title: '' })).toMatchObject({ status: 400 });
    expect(await post('"k-3"')).toMatchObject({ status: 201 });
  });

  it('can be sent again after an unknown outcome, whether or not the change was made', async () => {
    for (const when of ['before', 'after'] as const) {
      proxy.cutAt('COMMIT;', when);
      const key = `"cut-${when}"`;
      expect(await post(key)).toMatchObject({ status: 503, body: { error: { code: 'OUTCOME_UNKNOWN' } } });
      const second = await answered(() => post(key));
      expect(second.status).toBe(201);
      expect(second.headers.get('idempotency-replayed')).toBe(when === 'after' ? 'true' : null);
      expect(seen(await answered(() => post(key)))).toEqual(seen(second));
    }
    expect(await articles()).toHaveLength(2);
    expect(await board.events('article')).toHaveLength(2);
  });

  it('can be sent again after a time-out: 409 while it is at work, then its answer', async () => {
    await post('"warm"');
    const { sequelize } = serviceOf<OutboxService>(node, 'article');
    const holder = await sequelize.transaction();
    await sequelize.query('SELECT * FROM board_article_count WHERE board_id = 1 FOR UPDATE', { transaction: holder });
    const late = await post('"late"');
    expect(late).toMatchObject({ status: 503, body: { error: { code: 'REQUEST_TIMEOUT' } } });
    const meanwhile = await post('"late"');
    expect(meanwhile).toMatchObject({ status: 409, body: { error: { code: 'IDEMPOTENCY_KEY_IN_USE' } } });
    expect(meanwhile.headers.get('retry-after')).toBe('1');
    await holder.rollback();
    expect(await answered(() => post('"late"'))).toMatchObject({ status: 201 });
    expect(await articles()).toHaveLength(2);
  });

  it('on a comment answers the same after the article is gone', async () => {
    const { id } = (await post('"a"')).body;
    const comment = () => post('"c"', { content: 'hello' }, '7', `/v1/articles/${id}/comments`);
    const first = await comment();
    expect(first.status).toBe(201);
    const elsewhere = (await post('"b"')).body.id;
    expect(await post('"c"', { content: 'hello' }, '7', `/v1/articles/${elsewhere}/comments`)).toMatchObject({
      status: 422,
    });
    await request('DELETE', `/v1/articles/${id}`, { as: '7' });
    expect(seen(await comment())).toEqual(seen(first));
    expect(await post('"d"', { content: 'hello' }, '7', `/v1/articles/${id}/comments`)).toMatchObject({ status: 404 });
    expect(await board.events('comment')).toHaveLength(1);
  });
});
