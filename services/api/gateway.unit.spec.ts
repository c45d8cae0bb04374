import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import moleculer, { type ServiceBroker } from 'moleculer';
import { createTokens } from '../../identity/tokens.ts';
import { soon } from '../../testing/until.ts';
import { gatewayService } from './gateway.ts';
import { maxBodyBytes } from './request.ts';
import { config, startGateway } from './testing/gateway.ts';

describe('the gateway', () => {
  let broker: ServiceBroker;
  let base: string;
  let asked: () => number;
  let token: string;

  beforeAll(async () => {
    ({ broker, base, asked } = await startGateway());
    token = await createTokens(config).issue!({ id: '42', roles: ['admin'] });
  });
  afterAll(() => broker.stop());

  async function request(method: string, path: string, init: { body?: string; headers?: Record<string, string> } = {}) {
    const response = await fetch(base + path, { method, ...init });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === '' ? null : JSON.parse(text) };
  }
  const post = (body: string, headers: Record<string, string> = {}) =>
    request('POST', '/v1/articles', {
      body,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, ...headers },
    });
  const article = { boardId: '1', title: 'a', content: 'b' };

  it('passes the fields, the caller, the request id and the trace on, and gives back status, token and address', async () => {
    const traceId = 'ab'.repeat(16);
    const answer = await post(JSON.stringify(article), {
      'x-request-id': 'my-request',
      traceparent: `00-${traceId}-${'cd'.repeat(8)}-01`,
    });
    expect(answer.status).toBe(201);
    expect(answer.body).toMatchObject({ user: { id: '42', roles: ['admin'] }, requestID: 'my-request' });
    expect(answer.body.traceparent).toMatch(new RegExp(`^00-${traceId}-(?!cdcd)[0-9a-f]{16}-01$`));
    expect(answer.headers.get('hotboard-token')).toBe('the-token');
    expect(answer.headers.get('location')).toBe('/v1/articles/9007199254740993');
    expect(answer.headers.get('x-request-id')).toBe('my-request');
  });

  it('makes a request id and a trace where none or odd ones are sent', async () => {
    const { body } = await post(JSON.stringify(article), { 'x-request-id': 'a b', traceparent: 'nonsense' });
    expect(body.requestID).toMatch(/^[0-9a-f-]{36}$/);
    expect(body.traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  });

  it('reads after what Hotboard-Token names, and waits as Prefer or the query says', async () => {
    const read = async (query: string, headers: Record<string, string> = {}) =>
      (await request('GET', `/v1/hot-articles${query}`, { headers })).body;
    expect(await read('?limit=3&explain=1')).toEqual({ limit: 3, explain: true });
    expect(await read('?explain=false')).toEqual({ explain: false });
    expect(await read('?explain=maybe')).toEqual({ explain: 'maybe' });
    expect(await read('', { 'hotboard-token': 'abc', prefer: 'respond-async, wait=2' })).toEqual({
      after: 'abc',
      waitMs: 2000,
    });
    expect(await read('?waitMs=150', { 'hotboard-token': 'abc', prefer: 'wait=2' })).toEqual({
      after: 'abc',
      waitMs: 150,
    });
    const twice = new Headers([
      ['hotboard-token', 'abc'],
      ['hotboard-token', 'def'],
    ]);
    expect(await read('', Object.fromEntries(twice))).toEqual({ after: 'abc, def' });
    expect(await read('?after=x', { prefer: 'wait=soon' })).toEqual({ after: 'x' });
  });

  it('gives the hot list again for some milliseconds, but never to a writer who waits for what it wrote', async () => {
    const list = async (headers: Record<string, string> = {}) => {
      const { body, headers: answered } = await request('GET', '/v1/hot-articles?board=1', { headers });
      expect(answered.get('x-request-id')).toBe('r-1');
      return body.read as number;
    };
    const id = { 'x-request-id': 'r-1' };
    // on a busy machine each may come later than it is given again
    const before = await soon('one answer for several', async () => {
      const many = await Promise.all(Array.from({ length: 200 }, () => list(id)));
      return new Set(many).size < many.length && Math.max(...many);
    });
    expect(await list({ ...id, 'hotboard-token': 'abc' })).toBe(before + 1);
    expect(await list({ ...id, 'hotboard-token': 'abc' })).toBe(before + 2);
    await new Promise((resolve) => setTimeout(resolve, 30)); // past what is given again
    expect(await list(id)).toBe(before + 3);
  });

  it('needs a token for writing, and says what is wrong with one', async () => {
    const cases: [Record<string, string>, string][] = [
      [{}, 'TOKEN_MISSING'],
      [{ authorization: 'Bearer nonsense' }, 'TOKEN_INVALID'],
      [{ authorization: 'Basic abc' }, 'TOKEN_INVALID'],
    ];
    for (const [headers, code] of cases) {
      const answer = await request('POST', '/v1/articles', {
        body: JSON.stringify(article),
        headers: { 'content-type': 'application/json', ...headers },
      });
      expect(answer).toMatchObject({
        status: 401,
        body: { error: { code, message: expect.any(String), details: null } },
      });
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    }
  });

  it('does not look at a token where anybody may read', async () => {
    const answer = await request('GET', '/v1/articles/1', { headers: { authorization: 'Bearer nonsense' } });
    expect(answer).toMatchObject({ status: 200, body: { id: '1' } });
  });

  it('names unknown fields, fields given twice and wrong ids', async () => {
    expect(await post(JSON.stringify({ ...article, colour: 1 }))).toMatchObject({
      status: 400,
      body: { error: { code: 'VALIDATION_ERROR', details: [{ field: 'colour', problem: 'is no known field' }] } },
    });
    expect(await request('GET', '/v1/articles/1?id=2')).toMatchObject({
      status: 400,
      body: { error: { details: [{ field: 'id', problem: 'is given twice' }] } },
    });
    for (const id of ['9223372036854775808', 'abc', '0', '1e3']) {
      expect(await request('GET', `/v1/articles/${id}`)).toMatchObject({
        status: 400,
        body: { error: { details: [{ field: 'id' }] } },
      });
    }
  });

  it('refuses a body that is no JSON, no object, compressed, of another type or too large', async () => {
    const code = async (answer: Promise<{ status: number; body: { error: { code: string } } }>) =>
      answer.then(({ status, body }) => `${status} ${body.error.code}`);
    expect(await code(post('{"boardId": '))).toBe('400 INVALID_JSON');
    expect(await code(post('"text"'))).toBe('400 INVALID_JSON');
    expect(await code(post('[]'))).toBe('400 VALIDATION_ERROR');
    expect(await code(post('boardId=1', { 'content-type': 'text/plain' }))).toBe('415 UNSUPPORTED_MEDIA_TYPE');
    expect(await code(post('{}', { 'content-encoding': 'gzip' }))).toBe('415 UNSUPPORTED_MEDIA_TYPE');
    const tooLong = JSON.stringify({ ...article, content: 'x'.repeat(maxBodyBytes) });
    expect(await code(post(tooLong))).toBe('413 PAYLOAD_TOO_LARGE');
  });

  it('refuses a body that is too large and does not say so before', async () => {
    const chunk = new TextEncoder().encode('x'.repeat(100_000));
    let sent = 0;
    const body = new ReadableStream({
      pull: (controller) => (sent++ < 15 ? controller.enqueue(chunk) : controller.close()),
    });
    const response = await fetch(`${base}/v1/articles`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      duplex: 'half',
    } as RequestInit);
    expect(response.status).toBe(413);
  });

  it('answers unknown addresses with 404 and unknown methods with 405', async () => {
    for (const path of ['/v1', '/v1/', '/v1/nothing', '/v2/articles', '/v1/api/rest', '/~node/services', '/a/../b']) {
      expect(await request('GET', path)).toMatchObject({ status: 404, body: { error: { code: 'NOT_FOUND' } } });
    }
    const answer = await request('PATCH', '/v1/articles/1');
    expect(answer).toMatchObject({ status: 405, body: { error: { code: 'METHOD_NOT_ALLOWED' } } });
    expect(answer.headers.get('allow')?.split(', ').sort()).toEqual(['DELETE', 'GET', 'PUT']);
    expect(await request('GET', '/v1/articles/%ff')).toMatchObject({
      status: 400,
      body: { error: { code: 'INVALID_PATH' } },
    });
  });

  it('answers HEAD like GET without a body, and OPTIONS with what is allowed, doing nothing', async () => {
    const head = await request('HEAD', '/v1/articles/1');
    expect(head).toMatchObject({ status: 200, body: null });
    expect(head.headers.get('content-length')).toBe(String(JSON.stringify({ id: '1' }).length));
    expect((await fetch(`${base}/`, { method: 'HEAD' })).status).toBe(200);
    const headers = { 'access-control-request-method': 'POST', origin: 'http://elsewhere.example' };
    const options = await request('OPTIONS', '/v1/articles', {
      headers: { ...headers, authorization: `Bearer ${token}` },
    });
    expect(options).toMatchObject({ status: 204, body: null });
    expect(options.headers.get('allow')).toBe('POST');
    expect(options.headers.get('access-control-allow-origin')).toBeNull();
    expect(await request('OPTIONS', '/v1/nothing')).toMatchObject({ status: 404 });
  });

  it('hides what went wrong inside behind the request id', async () => {
    const answer = await request('GET', '/v1/articles/2', { headers: { 'x-request-id': 'r-2' } });
    expect(answer).toMatchObject({ status: 500, body: { error: { code: 'INTERNAL', details: { requestId: 'r-2' } } } });
    expect(JSON.stringify(answer.body)).not.toMatch(/Duplicate|SELECT|at /);
  });

  it('tells apart what does not exist, what can not be reached and what takes too long', async () => {
    expect(await request('GET', '/v1/articles/5')).toMatchObject({
      status: 404,
      body: { error: { code: 'ARTICLE_NOT_FOUND', message: 'There is no such article.', details: { id: '5' } } },
    });
    const away = await request('GET', '/v1/articles/3');
    expect(away).toMatchObject({ status: 503, body: { error: { code: 'TEMPORARILY_UNAVAILABLE' } } });
    expect(away.headers.get('retry-after')).toBe('1');
    expect(JSON.stringify(away.body)).not.toContain('ECONNREFUSED');
    expect(asked()).toBe(3);
    const hasty = await startGateway({ requestTimeoutMs: 300 });
    const late = await fetch(`${hasty.base}/v1/articles/4`);
    const lateBody = await late.json();
    await hasty.broker.stop();
    expect(late.status).toBe(503);
    expect(lateBody).toMatchObject({ error: { code: 'REQUEST_TIMEOUT' } });
    expect(await request('GET', '/v1/articles/1/like')).toMatchObject({
      status: 503,
      body: { error: { code: expect.any(String) } },
    });
  });

  it('has a development login', async () => {
    const login = (body: object) =>
      request('POST', '/v1/dev/tokens', {
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json' },
      });
    const answer = await login({ userId: '77', roles: ['admin'] });
    expect(answer.status).toBe(200);
    expect(await createTokens(config).verify(answer.body.token)).toEqual({ id: '77', roles: ['admin'] });
    expect(await login({ userId: 77 })).toMatchObject({ status: 400 });
  });

  it('says that it lives and whether it is ready', async () => {
    expect(await request('GET', '/health/live')).toMatchObject({ status: 200, body: { status: 'live' } });
    expect(await request('GET', '/health/ready')).toMatchObject({ status: 200, body: { status: 'ready' } });
  });

  it('serves the page with a strict policy, and nothing else of the folder', async () => {
    const response = await fetch(`${base}/`);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toMatch(/^text\/html/);
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'; script-src 'self'");
    expect(await response.text()).toContain('<title>');
    for (const path of [
      '/..%2fpackage.json',
      '/%2e%2e/package.json',
      '/.git/config',
      '/nothing.js',
      '/v1/index.html',
    ]) {
      expect(await request('GET', path)).toMatchObject({ status: 404, body: { error: { code: 'NOT_FOUND' } } });
    }
  });

  it('sends no CORS headers', async () => {
    const response = await fetch(`${base}/v1/articles/1`, { headers: { origin: 'http://elsewhere.example' } });
    expect(response.headers.get('access-control-allow-origin')).toBeNull();
  });
});

describe('a gateway without development login', () => {
  it('has no such address', async () => {
    const broker = new moleculer.ServiceBroker({ logger: false });
    broker.createService(gatewayService({ ...config, devLogin: false }));
    await broker.start();
    const response = await fetch(`http://127.0.0.1:${broker.metadata.httpPort}/v1/dev/tokens`, {
      method: 'POST',
      body: '{"userId":"1"}',
      headers: { 'content-type': 'application/json' },
    });
    expect(response.status).toBe(404);
    await broker.stop();
  });
});
