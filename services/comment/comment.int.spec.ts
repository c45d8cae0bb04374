import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { maxCommentLength } from '../../board/limits.ts';
import { boardClient, type PreparedBoard, prepareBoard } from '../../board/testing/board.ts';
import { decodeToken } from '../../outbox/token.ts';
import { gatewayService } from '../api/gateway.ts';
import articleService from '../article/article.service.ts';
import commentService from './comment.service.ts';

let board: PreparedBoard;
let request: ReturnType<typeof boardClient>['request'];

beforeAll(async () => {
  board = await prepareBoard(['article', 'comment']);
  const node = await board.node([articleService, commentService, gatewayService(board.config)]);
  ({ request } = boardClient(node, board.config));
});
afterAll(() => board.stop());

async function newArticle(): Promise<string> {
  return (await request('POST', '/v1/articles', { as: '1', body: { boardId: '1', title: 'a', content: 'b' } })).body.id;
}
const comment = (articleId: string, body: object = { content: 'a comment' }, as = '7') =>
  request('POST', `/v1/articles/${articleId}/comments`, { as, body });
const list = async (articleId: string, query = '') =>
  (await request('GET', `/v1/articles/${articleId}/comments${query}`)).body;
const count = async (articleId: string) =>
  (await request('GET', `/v1/articles/${articleId}/comments/count`)).body.count;
const eventsOf = async (articleId: string) =>
  (await board.events('comment')).filter((event) => event.aggregateId === articleId);

describe('a comment', () => {
  it('is written with its event under the article', async () => {
    const articleId = await newArticle();
    const answer = await comment(articleId, { content: 'nice 😀', parentId: null });
    expect(answer.status).toBe(201);
    const { id, createdAt } = answer.body;
    expect(BigInt(id)).toBeGreaterThan(2n ** 53n);
    expect(answer.body).toEqual({ id, articleId, writerId: '7', parentId: null, content: 'nice 😀', createdAt });
    expect(decodeToken(answer.headers.get('hotboard-token')!)).toEqual([['comment', 'article', articleId, '1']]);
    expect(await list(articleId)).toEqual({ items: [answer.body], lastCommentId: null });
    expect(await eventsOf(articleId)).toMatchObject([
      {
        type: 'CommentCreated',
        version: 1,
        payload: {
          commentId: id,
          articleId,
          writerId: '7',
          parentId: null,
          content: 'nice 😀',
          createdAt,
          articleCommentCount: 1,
        },
      },
    ]);
  });

  it('is deleted by its writer or an admin, once', async () => {
    const articleId = await newArticle();
    const [first, second] = [(await comment(articleId)).body.id, (await comment(articleId)).body.id];
    const remove = (id: string, as?: string, roles?: string[]) =>
      request('DELETE', `/v1/comments/${id}`, { as, roles });
    expect(await remove(first)).toMatchObject({ status: 401 });
    expect(await remove(first, '1')).toMatchObject({ status: 403, body: { error: { code: 'NOT_ALLOWED' } } });
    expect(await remove(first, '7')).toMatchObject({ status: 204, body: null });
    expect(await remove(first, '7')).toMatchObject({ status: 404, body: { error: { code: 'COMMENT_NOT_FOUND' } } });
    expect(await count(articleId)).toBe(1);
    expect(await remove(second, '1', ['admin'])).toMatchObject({ status: 204 });
    expect(await count(articleId)).toBe(0);
    expect((await eventsOf(articleId)).slice(2)).toMatchObject([
      { type: 'CommentDeleted', version: 3, payload: { commentId: first, writerId: '7', articleCommentCount: 1 } },
      { type: 'CommentDeleted', version: 4, payload: { commentId: second, writerId: '7', articleCommentCount: 0 } },
    ]);
  });

  it('needs a user, text and an article that is there', async () => {
    const articleId = await newArticle();
    expect(await request('POST', `/v1/articles/${articleId}/comments`, { body: { content: 'x' } })).toMatchObject({
      status: 401,
    });
    for (const body of [{}, { content: ' ' }, { content: 'x'.repeat(maxCommentLength + 1) }, { content: 5 }]) {
      expect(await comment(articleId, body)).toMatchObject({
        status: 400,
        body: { error: { details: [{ field: 'content' }] } },
      });
    }
    expect(await comment(articleId, { content: '한'.repeat(maxCommentLength) })).toMatchObject({ status: 201 });
    await request('DELETE', `/v1/articles/${articleId}`, { as: '1' });
    const notFound = { status: 404, body: { error: { code: 'ARTICLE_NOT_FOUND' } } };
    expect(await comment(articleId)).toMatchObject(notFound);
    expect(await request('GET', `/v1/articles/${articleId}/comments`)).toMatchObject(notFound);
    expect(await request('GET', `/v1/articles/${articleId}/comments/count`)).toMatchObject(notFound);
  });

  it('can not answer another one yet', async () => {
    const articleId = await newArticle();
    expect(await comment(articleId, { content: 'x', parentId: '5' })).toMatchObject({
      status: 400,
      body: { error: { code: 'REPLIES_NOT_SUPPORTED', message: expect.stringContaining('parentId') } },
    });
    expect(await comment(articleId, { content: 'x', parentId: 'x' })).toMatchObject({
      status: 400,
      body: { error: { code: 'VALIDATION_ERROR' } },
    });
  });
});

describe('the comments of an article', () => {
  it('come oldest first, a part at a time', async () => {
    const articleId = await newArticle();
    const ids: string[] = [];
    for (let number = 0; number < 12; number++) ids.push((await comment(articleId)).body.id);
    const first = await list(articleId);
    expect(first.items.map((item: { id: string }) => item.id)).toEqual(ids.slice(0, 10));
    expect(first.lastCommentId).toBe(ids[9]);
    const second = await list(articleId, `?lastCommentId=${first.lastCommentId}&limit=5`);
    expect(second.items.map((item: { id: string }) => item.id)).toEqual(ids.slice(10));
    expect(second.lastCommentId).toBeNull();
    expect(await list(articleId, '?limit=101')).toMatchObject({ error: { details: [{ field: 'limit' }] } });
    expect(await list(articleId, '?page=1')).toMatchObject({ error: { details: [{ field: 'page' }] } });
  });

  it('are counted right when many come and go at once; the last event carries the true count', async () => {
    const articleId = await newArticle();
    const written = await Promise.all(Array.from({ length: 40 }, () => comment(articleId)));
    expect(written.every(({ status }) => status === 201)).toBe(true);
    await Promise.all([
      ...written.slice(0, 10).map(({ body }) => request('DELETE', `/v1/comments/${body.id}`, { as: '7' })),
      ...Array.from({ length: 5 }, () => comment(articleId)),
    ]);
    expect(await count(articleId)).toBe(35);
    const events = (await eventsOf(articleId)).sort((a, b) => a.version - b.version);
    let expected = 0;
    for (const { type, payload } of events) {
      expected += type === 'CommentCreated' ? 1 : -1;
      expect(payload.articleCommentCount).toBe(expected);
    }
    expect(expected).toBe(35);
  });
});
