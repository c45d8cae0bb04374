import { randomRemark, randomTitle } from './texts.ts';
import { zipfIndex } from './zipf.ts';

/**
 * Users who write, comment, like and look, through the gateways like anybody else: `traffic.ts <gateway address>…`. Runs
 * until SIGTERM. A gateway that does not answer is left alone for that request; the next one goes to the other.
 */
const gateways = process.argv.slice(2);
if (gateways.length === 0) {
  console.error('usage: traffic.ts http://host:port [http://host:port …]');
  process.exit(64);
}

const usersCount = 500;
const requestsPerSecond = 25;
const newestArticles = 200;
const boards = ['1', '2', '3'];
/** What a visit does: chances add up to 1. */
const habits = { look: 0.6, like: 0.22, unlike: 0.03, comment: 0.12, write: 0.03 };

const tokens = new Map<string, string>();
const articles: string[] = [];
let answered = 0;
let failed = 0;
let turn = 0;
let stopping = false;

process.on('SIGTERM', stop);
process.on('SIGINT', stop);
process.on('disconnect', stop);

function stop(): void {
  stopping = true;
}

async function request(method: string, path: string, userId: string, body?: unknown): Promise<Response> {
  const base = gateways[turn++ % gateways.length]!;
  const token = path === '/v1/dev/tokens' ? undefined : await tokenOf(userId);
  return fetch(base + path, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(5000),
  });
}

async function tokenOf(userId: string): Promise<string> {
  const known = tokens.get(userId);
  if (known !== undefined) return known;
  const response = await request('POST', '/v1/dev/tokens', userId, { userId });
  if (!response.ok) throw new Error(`POST /v1/dev/tokens answered ${response.status}`);
  const { token } = (await response.json()) as { token: string };
  tokens.set(userId, token);
  // tokens expire; a fresh one now and then costs nothing
  setTimeout(() => tokens.delete(userId), 10 * 60_000).unref();
  return token;
}

async function visit(): Promise<void> {
  const userId = String(1 + Math.floor(Math.random() * usersCount));
  let chance = Math.random();
  const is = (share: number) => {
    chance -= share;
    return chance < 0;
  };
  if (articles.length === 0 || is(habits.write)) return write(userId);
  const articleId = articles[articles.length - 1 - zipfIndex(articles.length, Math.random)]!;
  const response = is(habits.look)
    ? await request('POST', `/v1/articles/${articleId}/views`, userId)
    : is(habits.like)
      ? await request('PUT', `/v1/articles/${articleId}/like`, userId)
      : is(habits.unlike)
        ? await request('DELETE', `/v1/articles/${articleId}/like`, userId)
        : await request('POST', `/v1/articles/${articleId}/comments`, userId, { content: randomRemark(Math.random) });
  await counted(response);
}

async function write(userId: string): Promise<void> {
  const boardId = boards[zipfIndex(boards.length, Math.random)]!;
  const response = await request('POST', '/v1/articles', userId, {
    boardId,
    title: randomTitle(Math.random),
    content: randomRemark(Math.random),
  });
  const body = await counted(response);
  if (response.status === 201) articles.push((body as { id: string }).id);
  if (articles.length > newestArticles) articles.shift();
}

async function counted(response: Response): Promise<unknown> {
  const text = await response.text();
  if (response.ok) answered++;
  else failed++;
  return text === '' ? null : JSON.parse(text);
}

async function loadArticles(): Promise<void> {
  for (const boardId of boards) {
    const response = await request('GET', `/v1/boards/${boardId}/articles?pageSize=50`, '1');
    if (!response.ok) continue;
    const { items } = (await response.json()) as { items: { id: string }[] };
    articles.push(...items.map((item) => item.id));
  }
  articles.sort((a, b) => Number(BigInt(a) - BigInt(b)));
}

await loadArticles().catch(() => {});
const report = setInterval(() => {
  console.log(`${answered} requests answered, ${failed} failed in the last 10 s`);
  answered = 0;
  failed = 0;
}, 10_000);
while (!stopping) {
  visit().catch(() => failed++);
  // arrivals of independent users: exponential pauses
  await new Promise((resolve) => setTimeout(resolve, (-Math.log(1 - Math.random()) * 1000) / requestsPerSecond));
}
clearInterval(report);
process.disconnect?.();
