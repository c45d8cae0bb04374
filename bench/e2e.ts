import { setTimeout as pause } from 'node:timers/promises';
import type { BoardClient } from '../testing/board-client.ts';
import { startTemporaryBoard } from '../testing/temporary-board.ts';
import { type Bench, type BenchResult, percentile } from './bench.ts';

/** `--rate=50`: another one, where the machine can't do so many. */
const defaultWritesPerSecond = 200;
const warmUpMs = 15_000;
const measuredMs = 20_000;
const articlesCount = 60;
/** How often the list is asked for: part of what is measured, so not seldom; a load of its own, so not often. */
const lookEveryMs = 10;

/** A write that was answered and is not yet seen in the hot list. */
interface Waiting {
  articleId: string;
  column: 'likes' | 'comments';
  count: number;
  answeredMs: number;
}

interface HotItem {
  articleId: string;
  likes: number;
  comments: number;
}

/** From a committed write (its answer) to its place in the hot list, at 200 writes/s against a whole cluster. */
const bench: Bench = {
  title: 'A committed write shows in the hot list: two edges, two relays, two projectors',
  async run(options) {
    const rate = options.find((option) => option.startsWith('--rate='))?.slice('--rate='.length);
    const writesPerSecond = rate === undefined ? defaultWritesPerSecond : Number(rate);
    if (!(writesPerSecond > 0)) throw new Error(`--rate is ${rate}; allowed: writes per second above 0.`);
    const board = await startTemporaryBoard({ HOTBOARD_LOG_LEVEL: 'warn' }, (from, text) =>
      console.error(`${from} | ${text}`),
    );
    try {
      return await measure(board.client, writesPerSecond);
    } finally {
      await board.stop();
    }
  },
};

export default bench;

async function measure(client: BoardClient, writesPerSecond: number): Promise<BenchResult> {
  const articles: string[] = [];
  for (let i = 0; i < articlesCount; i++) {
    const { status, body } = await client.request<{ id: string }>('POST', '/v1/articles', {
      userId: '1',
      body: { boardId: '1', title: `Article ${i}`, content: 'Measured' },
    });
    if (status !== 201) throw new Error(`POST /v1/articles answered ${status}: ${JSON.stringify(body)}`);
    articles.push(body.id);
  }

  const waiting = new Set<Waiting>();
  const shownMs: number[] = [];
  const answerMs: number[] = [];
  const comments = new Map<string, number>();
  let failed = 0;
  let nextUser = 2;
  let measuring = false;
  let done = false;

  const write = async () => {
    const articleId = articles[Math.floor(Math.random() * articles.length)]!;
    const userId = String(nextUser++);
    const startedMs = performance.now();
    const like = Math.random() < 0.75;
    const { status, body } = like
      ? await client.request<{ count: number }>('PUT', `/v1/articles/${articleId}/like`, { userId })
      : await client.request('POST', `/v1/articles/${articleId}/comments`, { userId, body: { content: 'Measured' } });
    const answeredMs = performance.now();
    if (status >= 300) {
      failed++;
      return;
    }
    if (!like) comments.set(articleId, (comments.get(articleId) ?? 0) + 1);
    if (!measuring) return;
    answerMs.push(answeredMs - startedMs);
    const count = like ? (body as { count: number }).count : comments.get(articleId)!;
    waiting.add({ articleId, column: like ? 'likes' : 'comments', count, answeredMs });
  };

  const look = async () => {
    while (!done) {
      const { body } = await client.request<{ items: HotItem[] }>('GET', '/v1/hot-articles?limit=100');
      const seenMs = performance.now();
      const items = new Map(body.items.map((item) => [item.articleId, item]));
      for (const entry of waiting) {
        if ((items.get(entry.articleId)?.[entry.column] ?? 0) < entry.count) continue;
        waiting.delete(entry);
        shownMs.push(Math.max(0, seenMs - entry.answeredMs));
      }
      await pause(lookEveryMs);
    }
  };

  const looking = look();
  const writeAtRate = async (durationMs: number) => {
    const startedMs = performance.now();
    const inFlight = new Set<Promise<void>>();
    for (let i = 0; i < (durationMs / 1000) * writesPerSecond; i++) {
      const dueMs = startedMs + (i * 1000) / writesPerSecond;
      if (dueMs > performance.now()) await pause(dueMs - performance.now());
      const one: Promise<void> = write().catch(() => {
        failed++;
      });
      inFlight.add(one);
      one.finally(() => inFlight.delete(one));
    }
    await Promise.all(inFlight);
  };
  await writeAtRate(warmUpMs);
  measuring = true;
  const measuredFromMs = performance.now();
  await writeAtRate(measuredMs);
  const rate = answerMs.length / ((performance.now() - measuredFromMs) / 1000);
  const deadline = performance.now() + 20_000;
  while (waiting.size > 0 && performance.now() < deadline) await pause(20);
  done = true;
  await looking;

  const figures = {
    writesPerS: Math.round(rate),
    shownP50Ms: Math.round(percentile(shownMs, 0.5)),
    shownP99Ms: Math.round(percentile(shownMs, 0.99)),
    shownMaxMs: Math.round(Math.max(...shownMs)),
    answerP50Ms: Math.round(percentile(answerMs, 0.5)),
    answerP99Ms: Math.round(percentile(answerMs, 0.99)),
    writes: answerMs.length,
    failedWrites: failed,
    neverShown: waiting.size,
  };
  return {
    rows: [
      { figure: 'shown in the hot list, p50', ms: figures.shownP50Ms, goal: '60' },
      { figure: 'shown in the hot list, p99', ms: figures.shownP99Ms, goal: '250' },
      { figure: 'answer to the write, p50', ms: figures.answerP50Ms, goal: '' },
      { figure: 'answer to the write, p99', ms: figures.answerP99Ms, goal: '' },
    ],
    figures,
    notes: [
      `${writesPerSecond} writes/s wanted: ${figures.writes} writes at ${figures.writesPerS}/s, ${failed} failed, ${waiting.size} never shown.`,
    ],
  };
}
