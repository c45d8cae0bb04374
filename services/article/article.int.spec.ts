import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ServiceBroker } from 'moleculer';
import { maxContentLength, maxTitleLength } from '../../board/limits.ts';
import { boardClient, type PreparedBoard, prepareBoard } from '../../board/testing/board.ts';
import { decodeToken } from '../../outbox/token.ts';
import { gatewayService } from '../api/gateway.ts';
import articleService from './article.service.ts';

let board: PreparedBoard;
let node: ServiceBroker;
let request: ReturnType<typeof boardClient>['request'];

beforeAll(async () => {
  board = await prepareBoard(['article']);
  node = await board.node([articleService, gatewayService(board.config)]);
  ({ request } = boardClient(node, board.config));
});
afterAll(() => board.stop());

const write = async (boardId: string, title = 'a title', content = 'some content', as = '7') =>
  (await request('POST', '/v1/articles', { as, body: { boardId, title, content } })).body;
const eventsOf = async (articleId: string) =>
  (await board.events('article')).filter((event) => event.aggregateId === articleId);

describe('an article', () => {
  it('is written with its event, and read as it was written', async () => {
    const answer = await request('POST', '/v1/articles', {
      as: '7',
      body: { boardId: '1', title: 'Grüße 😀', content: 'line 1\nline 2' },
      headers: { traceparent: `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01` },
    });
    expect(answer.status).toBe(201);
    const { id } = answer.body;
    expect(BigInt(id)).toBeGreaterThan(2n ** 53n);
    expect(answer.body).toEqual({
      id,
      boardId: '1',
      writerId: '7',
      title: 'Grüße 😀',
      content: 'line 1\nline 2',
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      modifiedAt: answer.body.createdAt,
    });
    expect(Math.abs(Date.parse(answer.body.createdAt) - Date.now())).toBeLessThan(60_000);
    expect(answer.headers.get('location')).toBe(`/v1/articles/${id}`);
    expect(decodeToken(answer.headers.get('hotboard-token')!)).toEqual([['article', 'article', id, '1']]);
    expect((await request('GET', `/v1/articles/${id}`)).body).toEqual(answer.body);

    const { id: articleId, ...state } = answer.body;
    expect(await eventsOf(id)).toEqual([
      {
        type: 'ArticleCreated',
        aggregateId: id,
        version: 1,
        payload: { articleId, ...state, boardArticleCount: 1 },
        headers: { traceparent: expect.stringContaining('ab'.repeat(16)) },
      },
    ]);
  });

  it('is edited by its writer and by an admin, by nobody else', async () => {
    const { id, createdAt } = await write('2');
    const edit = (given: object) =>
      request('PUT', `/v1/articles/${id}`, { body: { title: 'new', content: 'newer' }, ...given });
    expect(await edit({ as: '8' })).toMatchObject({ status: 403, body: { error: { code: 'NOT_ALLOWED' } } });
    expect(await edit({})).toMatchObject({ status: 401, body: { error: { code: 'TOKEN_MISSING' } } });
    const answer = await edit({ as: '7' });
    expect(answer).toMatchObject({
      status: 200,
      body: { id, title: 'new', content: 'newer', writerId: '7', createdAt },
    });
    expect(await edit({ as: '8', roles: ['admin'], body: { title: 'by admin', content: 'x' } })).toMatchObject({
      status: 200,
    });
    expect((await eventsOf(id)).map(({ type, version, payload }) => [type, version, payload.title])).toEqual([
      ['ArticleCreated', 1, 'a title'],
      ['ArticleUpdated', 2, 'new'],
      ['ArticleUpdated', 3, 'by admin'],
    ]);
  });

  it('does not change, and publishes nothing, when it is edited to what it is', async () => {
    const { id, modifiedAt } = await write('2', 'same', 'same');
    const answer = await request('PUT', `/v1/articles/${id}`, { as: '7', body: { title: 'same', content: 'same' } });
    expect(answer).toMatchObject({ status: 200, body: { id, modifiedAt } });
    expect(decodeToken(answer.headers.get('hotboard-token')!)).toEqual([['article', 'article', id, '1']]);
    expect(await eventsOf(id)).toHaveLength(1);
    expect(
      (await request('PUT', `/v1/articles/${id}`, { as: '7', body: { title: 'Same', content: 'same' } })).body.title,
    ).toBe('Same');
  });

  it('is deleted once: 204, then 404, and nothing finds it any more', async () => {
    const { id, boardId } = await write('3');
    expect(await request('DELETE', `/v1/articles/${id}`, { as: '8' })).toMatchObject({ status: 403 });
    const answer = await request('DELETE', `/v1/articles/${id}`, { as: '7' });
    expect(answer).toMatchObject({ status: 204, body: null });
    expect(answer.headers.get('hotboard-token')).toBeTruthy();
    for (const method of ['DELETE', 'GET', 'PUT']) {
      const body = method === 'PUT' ? { title: 'a', content: 'b' } : undefined;
      expect(await request(method, `/v1/articles/${id}`, { as: '7', body })).toMatchObject({
        status: 404,
        body: { error: { code: 'ARTICLE_NOT_FOUND', details: { id } } },
      });
    }
    expect((await request('GET', `/v1/boards/${boardId}/articles`)).body).toMatchObject({ items: [], count: 0 });
    expect((await eventsOf(id)).at(-1)).toMatchObject({
      type: 'ArticleDeleted',
      version: 2,
      payload: { articleId: id, boardId, writerId: '7', boardArticleCount: 0, deletedAt: expect.any(String) },
    });
  });

  it('may be as long as allowed, whatever its characters, and its event fits', async () => {
    // A control character takes 1 byte in the database, 6 in JSON; an emoji 4 bytes, and 12 when it is escaped.
    for (const character of ['\u0001', '😀', '한']) {
      const body = {
        boardId: '4',
        title: character.repeat(maxTitleLength),
        content: character.repeat(maxContentLength),
      };
      if (character === '\u0001') body.title = `x${body.title.slice(1)}`;
      const { status, body: article } = await request('POST', '/v1/articles', { as: '7', body });
      expect(status).toBe(201);
      expect((await request('GET', `/v1/articles/${article.id}`)).body.content).toBe(body.content);
      expect((await eventsOf(article.id))[0]!.payload.content).toBe(body.content);
    }
    const escaped = `{"boardId":"4","title":"t","content":"${'\\ud83d\\ude00'.repeat(maxContentLength)}"}`;
    expect((await node.call('$node.list')) as unknown[]).toHaveLength(1);
    const response = await fetch(`${boardClient(node, board.config).base}/v1/articles`, {
      method: 'POST',
      body: escaped,
      headers: { 'content-type': 'application/json' },
    });
    expect(response.status).toBe(401); // read to its end: not 413
  });

  it('is refused when it is too long, and nothing of it is saved', async () => {
    const { body: before } = await request('GET', '/v1/boards/5/articles/count');
    const answer = await request('POST', '/v1/articles', {
      as: '7',
      body: { boardId: '5', title: 'x', content: 'x'.repeat(maxContentLength + 1) },
    });
    expect(answer).toMatchObject({ status: 400, body: { error: { details: [{ field: 'content' }] } } });
    expect((await request('GET', '/v1/boards/5/articles/count')).body).toEqual(before);
  });

  it('may have the greatest ids there are', async () => {
    const greatest = '9223372036854775807';
    const article = await write(greatest, 'x', 'y', greatest);
    expect(article).toMatchObject({ boardId: greatest, writerId: greatest });
    expect((await request('GET', `/v1/boards/${greatest}/articles`)).body.items).toMatchObject([{ id: article.id }]);
    expect(await request('GET', `/v1/articles/${greatest}`)).toMatchObject({ status: 404 });
    expect(await request('GET', '/v1/articles/9223372036854775808')).toMatchObject({ status: 400 });
  });
});

describe('the articles of a board', () => {
  const ids: string[] = [];
  beforeAll(async () => {
    for (let number = 1; number <= 25; number++) ids.unshift((await write('10', `article ${number}`)).id);
    await write('11');
  });
  const list = async (query: string) => (await request('GET', `/v1/boards/10/articles${query}`)).body;
  const idsOf = (answer: { items: { id: string }[] }) => answer.items.map((item) => item.id);

  it('come newest first in pages, without contents', async () => {
    const first = await list('');
    expect(first).toMatchObject({ page: 1, pageSize: 10, count: 25 });
    expect(idsOf(first)).toEqual(ids.slice(0, 10));
    expect(Object.keys(first.items[0]).sort()).toEqual([
      'boardId',
      'createdAt',
      'id',
      'modifiedAt',
      'title',
      'writerId',
    ]);
    expect(idsOf(await list('?page=3&pageSize=10'))).toEqual(ids.slice(20));
    expect(await list('?page=4&pageSize=10')).toMatchObject({ items: [] });
    expect(await list('?page=2&pageSize=7')).toMatchObject({ page: 2, pageSize: 7, items: { length: 7 } });
  });

  it('are counted only as far as the links around the page need', async () => {
    expect(await list('?pageSize=1')).toMatchObject({ count: 11 });
    expect(await list('?page=11&pageSize=1')).toMatchObject({ count: 21 });
    expect(await list('?page=21&pageSize=1')).toMatchObject({ count: 25 });
    expect((await request('GET', '/v1/boards/10/articles/count')).body).toEqual({ boardId: '10', count: 25 });
    expect((await request('GET', '/v1/boards/999/articles/count')).body).toEqual({ boardId: '999', count: 0 });
  });

  it('are scrolled by the last id, until there are no more', async () => {
    const second = await list(`?lastArticleId=${ids[9]}&pageSize=10`);
    expect(idsOf(second)).toEqual(ids.slice(10, 20));
    expect(second.lastArticleId).toBe(ids[19]);
    const third = await list(`?lastArticleId=${second.lastArticleId}&pageSize=10`);
    expect(idsOf(third)).toEqual(ids.slice(20));
    expect(third.lastArticleId).toBeNull();
  });

  it('are found through an index that covers the lookup', async () => {
    const rows = await board.query<{ key: string; Extra: string }>(
      'article',
      'EXPLAIN SELECT id FROM article WHERE board_id = 10 ORDER BY id DESC LIMIT 10 OFFSET 10',
    );
    expect(rows[0]).toMatchObject({ key: 'article_page', Extra: expect.stringContaining('Using index') });
    expect(rows[0]!.Extra).not.toContain('filesort');
  });

  it('are asked for with numbers in their bounds', async () => {
    const wrong = [
      'page=0',
      'page=10001',
      'page=x',
      'page=1.5',
      'pageSize=0',
      'pageSize=101',
      'page=1&page=2',
      'sort=id',
    ];
    for (const query of [...wrong, 'lastArticleId=x', `page=1&lastArticleId=${ids[0]}`]) {
      expect(await list(`?${query}`)).toMatchObject({
        error: { code: 'VALIDATION_ERROR', details: [{ field: query.split('=')[0] }] },
      });
    }
  });

  it('stay counted right when many are written and deleted at once', async () => {
    const written = await Promise.all(Array.from({ length: 40 }, () => write('12')));
    await Promise.all(written.slice(0, 15).map(({ id }) => request('DELETE', `/v1/articles/${id}`, { as: '7' })));
    expect((await request('GET', '/v1/boards/12/articles/count')).body.count).toBe(25);
  });
});
