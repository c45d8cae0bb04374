import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ServiceBroker } from 'moleculer';
import { boardClient, type PreparedBoard, prepareBoard } from '../../board/testing/board.ts';
import { decodeToken } from '../../outbox/token.ts';
import { gatewayService } from '../api/gateway.ts';
import articleService from '../article/article.service.ts';
import likeService from './like.service.ts';

let board: PreparedBoard;
let request: ReturnType<typeof boardClient>['request'];
let nodes: ServiceBroker[];

beforeAll(async () => {
  board = await prepareBoard(['article', 'like']);
  const schemas = [articleService, likeService, gatewayService(board.config)];
  nodes = [await board.node(schemas), await board.node(schemas)];
  ({ request } = boardClient(nodes[0]!, board.config));
});
afterAll(() => board.stop());

async function newArticle(): Promise<string> {
  return (await request('POST', '/v1/articles', { as: '1', body: { boardId: '1', title: 'a', content: 'b' } })).body.id;
}
const like = (articleId: string, as?: string) => request('PUT', `/v1/articles/${articleId}/like`, { as });
const unlike = (articleId: string, as?: string) => request('DELETE', `/v1/articles/${articleId}/like`, { as });
const status = (articleId: string, as?: string) => request('GET', `/v1/articles/${articleId}/like`, { as });
const eventsOf = async (articleId: string) =>
  (await board.events('like')).filter((event) => event.aggregateId === articleId);

describe('a like', () => {
  it('counts once for each user, and is taken back once', async () => {
    const id = await newArticle();
    expect(await status(id)).toMatchObject({ status: 200, body: { articleId: id, count: 0, liked: false } });
    const first = await like(id, '9223372036854775807');
    expect(first).toMatchObject({ status: 200, body: { articleId: id, count: 1, liked: true } });
    expect(decodeToken(first.headers.get('hotboard-token')!)).toEqual([['like', 'article', id, '1']]);
    expect((await like(id, '6')).body).toEqual({ articleId: id, count: 2, liked: true });
    expect((await status(id, '6')).body).toEqual({ articleId: id, count: 2, liked: true });
    expect((await status(id, '7')).body).toEqual({ articleId: id, count: 2, liked: false });
    expect((await status(id)).body).toEqual({ articleId: id, count: 2, liked: false });
    expect((await unlike(id, '6')).body).toEqual({ articleId: id, count: 1, liked: false });
    expect((await eventsOf(id)).map(({ type, version, payload }) => [type, version, payload])).toEqual([
      [
        'ArticleLiked',
        1,
        { articleId: id, userId: '9223372036854775807', likedAt: expect.any(String), articleLikeCount: 1 },
      ],
      ['ArticleLiked', 2, { articleId: id, userId: '6', likedAt: expect.any(String), articleLikeCount: 2 }],
      ['ArticleUnliked', 3, { articleId: id, userId: '6', unlikedAt: expect.any(String), articleLikeCount: 1 }],
    ]);
  });

  it('changes nothing and publishes nothing the second time, nor does an unlike of what was not liked', async () => {
    const id = await newArticle();
    const nothing = await unlike(id, '5');
    expect(nothing).toMatchObject({ status: 200, body: { articleId: id, count: 0, liked: false } });
    expect(nothing.headers.get('hotboard-token')).toBeNull();
    await like(id, '5');
    const again = await like(id, '5');
    expect(again).toMatchObject({ status: 200, body: { articleId: id, count: 1, liked: true } });
    expect(decodeToken(again.headers.get('hotboard-token')!)).toEqual([['like', 'article', id, '1']]);
    await unlike(id, '5');
    expect((await unlike(id, '5')).body).toEqual({ articleId: id, count: 0, liked: false });
    expect(await eventsOf(id)).toHaveLength(2);
  });

  it('needs a user, and an article that is there', async () => {
    const id = await newArticle();
    expect(await like(id)).toMatchObject({ status: 401, body: { error: { code: 'TOKEN_MISSING' } } });
    expect(await request('GET', `/v1/articles/${id}/like`, { headers: { authorization: 'Bearer x' } })).toMatchObject({
      status: 401,
      body: { error: { code: 'TOKEN_INVALID' } },
    });
    await request('DELETE', `/v1/articles/${id}`, { as: '1' });
    for (const missing of [id, '5']) {
      for (const answer of [await like(missing, '5'), await unlike(missing, '5'), await status(missing)]) {
        expect(answer).toMatchObject({ status: 404, body: { error: { code: 'ARTICLE_NOT_FOUND' } } });
      }
    }
    expect(await eventsOf(id)).toEqual([]);
  });

  it('counts exactly for 300 users at once over two nodes, the last event carries the true count', async () => {
    const id = await newArticle();
    const clients = nodes.map((node) => boardClient(node, board.config));
    const users = Array.from({ length: 300 }, (_, index) => String(index + 1));
    const answers = await Promise.all(
      users.map((as, index) => clients[index % 2]!.request('PUT', `/v1/articles/${id}/like`, { as })),
    );
    expect(answers.filter((answer) => answer.status !== 200)).toEqual([]);
    expect(new Set(answers.map((answer) => answer.body.count)).size).toBe(300);
    expect((await status(id)).body.count).toBe(300);
    const counts = (await eventsOf(id))
      .sort((a, b) => a.version - b.version)
      .map((event) => event.payload.articleLikeCount);
    expect(counts).toEqual(users.map(Number));
  });

  it('of one user, liked and unliked many times at once, ends in one of both states with the right count', async () => {
    const id = await newArticle();
    await like(id, '77');
    await Promise.all(Array.from({ length: 40 }, (_, index) => (index % 2 ? like(id, '5') : unlike(id, '5'))));
    const { count, liked } = (await status(id, '5')).body;
    expect(count).toBe(liked ? 2 : 1);
    const events = (await eventsOf(id)).sort((a, b) => a.version - b.version);
    events.slice(1).forEach((event, index) => {
      expect(event.type).toBe(index % 2 === 0 ? 'ArticleLiked' : 'ArticleUnliked');
      expect(event.payload.articleLikeCount).toBe(index % 2 === 0 ? 2 : 1);
    });
  });
});
