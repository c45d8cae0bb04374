import { afterEach, describe, expect, it } from '@jest/globals';
import { boardClient, type PreparedBoard, prepareBoard } from '../../board/testing/board.ts';
import articleService from '../article/article.service.ts';
import commentService from '../comment/comment.service.ts';
import likeService from '../like/like.service.ts';
import viewService from '../view/view.service.ts';
import { gatewayService } from './gateway.ts';

let board: PreparedBoard | undefined;
afterEach(async () => {
  await board?.stop();
  board = undefined;
});

const producers = [articleService, commentService, likeService, viewService];
const someArticle = { boardId: '1', title: 'a', content: 'b' };
const anyRequest = [
  ['POST', '/v1/articles', someArticle],
  ['GET', '/v1/articles/5'],
  ['PUT', '/v1/articles/5', { title: 'a', content: 'b' }],
  ['DELETE', '/v1/articles/5'],
  ['GET', '/v1/boards/1/articles'],
  ['GET', '/v1/boards/1/articles?lastArticleId=5'],
  ['GET', '/v1/boards/1/articles/count'],
  ['POST', '/v1/articles/5/comments', { content: 'a' }],
  ['GET', '/v1/articles/5/comments'],
  ['GET', '/v1/articles/5/comments/count'],
  ['DELETE', '/v1/comments/5'],
  ['PUT', '/v1/articles/5/like'],
  ['DELETE', '/v1/articles/5/like'],
  ['GET', '/v1/articles/5/like'],
  ['POST', '/v1/articles/5/views'],
  ['GET', '/v1/articles/5/views'],
] as const;
/** Nothing of a driver, of SQL, of a stack or of where servers are. */
const inside = /ECONN|127\.0\.0\.1|sequelize|mysql|SELECT|INSERT|Table '|\bat .*:\d+/i;

describe('a whole edge', () => {
  it('has each address of the contract, and an error in one shape for what is missing', async () => {
    board = await prepareBoard();
    const { request } = boardClient(await board.node([...producers, gatewayService(board.config)]), board.config);
    for (const [method, path, body] of anyRequest) {
      const answer = await request(method, path, { as: '7', body });
      if (answer.status < 300) continue;
      expect([method, path, answer.status, answer.body]).toEqual([
        method,
        path,
        404,
        {
          error: {
            code: expect.stringMatching(/^(ARTICLE|COMMENT)_NOT_FOUND$/),
            message: expect.any(String),
            details: { id: '5' },
          },
        },
      ]);
    }
    const { id } = (await request('POST', '/v1/articles', { as: '7', body: someArticle })).body;
    expect(await request('GET', `/v1/articles/${id}`)).toMatchObject({ status: 200, body: { id, ...someArticle } });
    expect(await request('PUT', `/v1/articles/${id}/like`, { as: '7' })).toMatchObject({
      body: { count: 1, liked: true },
    });
    expect(await request('POST', `/v1/articles/${id}/comments`, { as: '7', body: { content: 'c' } })).toMatchObject({
      status: 201,
    });
    expect(await request('POST', `/v1/articles/${id}/views`, { as: '7' })).toMatchObject({ status: 202 });
    expect(await request('GET', '/health/ready')).toMatchObject({ status: 200 });
  });

  it('starts without MySQL, is not ready and answers 503, with nothing of what is inside', async () => {
    board = await prepareBoard([]);
    const url = process.env.HOTBOARD_MYSQL_URL;
    process.env.HOTBOARD_MYSQL_URL = 'mysql://root@127.0.0.1:1';
    const node = await board.node([...producers, gatewayService(board.config)]);
    process.env.HOTBOARD_MYSQL_URL = url;
    const { request } = boardClient(node, board.config);
    expect(await request('GET', '/health/live')).toMatchObject({ status: 200 });
    const ready = await request('GET', '/health/ready');
    expect(ready).toMatchObject({ status: 503, body: { status: 'not ready' } });
    expect(JSON.stringify(ready.body)).not.toMatch(inside);
    for (const [method, path, body] of anyRequest) {
      const answer = await request(method, path, { as: '7', body });
      expect([method, path, answer.status]).toEqual([method, path, 503]);
      expect(answer.headers.get('retry-after')).toBe('1');
      expect(JSON.stringify(answer.body)).not.toMatch(inside);
    }
  });

  it('answers 500 with nothing but the request id where a statement fails', async () => {
    board = await prepareBoard(['article', 'comment', 'like']);
    const node = await board.node([articleService, commentService, likeService, gatewayService(board.config)]);
    const { request } = boardClient(node, board.config);
    await board.query('article', 'DROP TABLE article');
    for (const [method, path, body] of anyRequest.filter(([, path]) => !path.endsWith('/views'))) {
      if (path.endsWith('/count') && path.includes('boards')) continue;
      if (path.startsWith('/v1/comments')) continue;
      const answer = await request(method, path, { as: '7', body, headers: { 'x-request-id': 'the-id' } });
      expect([method, path, answer.status, answer.body]).toEqual([
        method,
        path,
        500,
        { error: { code: 'INTERNAL', message: expect.any(String), details: { requestId: 'the-id' } } },
      ]);
      expect(JSON.stringify(answer.body)).not.toMatch(inside);
    }
  });
});
