import { setTimeout as pause } from 'node:timers/promises';
import { decodeToken } from '../../outbox/token.ts';
import type { Random } from '../../sim/random.ts';
import { type BoardClient, codeOf } from '../../testing/board-client.ts';
import { type Call, type CallKind, type CallRecord, hasFailed, isChange, outcomeOf, requestOf } from './calls.ts';

/** Shares of a hundred calls. */
const mix: readonly (readonly [CallKind, number])[] = [
  ['like', 60],
  ['comment', 19],
  ['unlike', 10],
  ['view', 4],
  ['read', 2],
  ['write', 3],
  ['edit', 1.5],
  ['delete', 0.5],
];

const mostInFlight = 150;
const prepareLimitMs = 120_000;
/** A pause between good answers that shows in the figures of the throughput (`figures/series.ts`). */
const pauseMs = 900;
/** An article is deleted at the earliest so long after it was written. */
const restMs = 10_000;

export interface LoadOptions {
  client: BoardClient;
  gateways: readonly string[];
  callsPerSecond: number;
  random: Random;
  onRecord(record: CallRecord): void;
}

/**
 * Clients at a steady rate, whatever the board does. Each call is made once; only where a connection is refused (nothing can
 * have been done) the other gateway is tried.
 */
export class Load {
  readonly records: CallRecord[] = [];
  /** Calls that were not made since too many were without an answer. */
  skipped = 0;
  /** Changes that were answered well. */
  changes = 0;
  /** When a call last failed, or was answered well after none had been for about a second; wall clock, ms. */
  lastTroubleMs = Number.NEGATIVE_INFINITY;
  #lastOkMs = Number.POSITIVE_INFINITY;
  readonly #options: LoadOptions;
  readonly #articles: string[] = [];
  readonly #written: { articleId: string; userId: string; sinceMs: number }[] = [];
  readonly #liked: { articleId: string; userId: string }[] = [];
  readonly #inFlight = new Set<Promise<void>>();
  #next = 1;
  #running: Promise<void> = Promise.resolve();
  #stopping = false;

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** Makes the articles that all others are about. They are calls like any other. */
  async prepare(articles: number): Promise<void> {
    const atOnce = 4;
    const startedMs = performance.now();
    for (let left = articles; left > 0; left = articles - this.#articles.length) {
      // some may be refused by a board that has only just started
      if (performance.now() - startedMs > prepareLimitMs) {
        throw new Error(`only ${this.#articles.length} of ${articles} articles could be written`);
      }
      const calls = Array.from({ length: Math.min(atOnce, left) }, () =>
        this.#call({ number: this.#next++, kind: 'write', articleId: null, userId: '1' }),
      );
      await Promise.all(calls);
    }
    this.#written.length = 0;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#running;
    await Promise.all(this.#inFlight);
  }

  async #run(): Promise<void> {
    const everyMs = 1000 / this.#options.callsPerSecond;
    let dueMs = performance.now();
    while (!this.#stopping) {
      dueMs += everyMs;
      const waitMs = dueMs - performance.now();
      if (waitMs > 0) await pause(waitMs);
      else if (waitMs < -2000) dueMs = performance.now(); // this process stood still: no burst after it
      if (this.#inFlight.size >= mostInFlight) {
        this.skipped++;
        continue;
      }
      const one: Promise<void> = this.#call(this.#choose()).finally(() => this.#inFlight.delete(one));
      this.#inFlight.add(one);
    }
  }

  #choose(): Call {
    const { random } = this.#options;
    const number = this.#next++;
    const userId = String(1_000_000 + number);
    let at = random.next() * 100;
    let kind: CallKind = 'like';
    for (const [each, share] of mix) {
      kind = each;
      at -= share;
      if (at < 0) break;
    }
    const articleId = this.#articles[Math.floor(random.next() ** 2 * this.#articles.length)]!;
    if (kind === 'unlike') {
      const liked = this.#liked.splice(Math.floor(random.next() * this.#liked.length), 1)[0];
      if (liked) return { number, kind, ...liked };
      kind = 'like';
    }
    if (kind === 'edit' || kind === 'delete') {
      const place = Math.floor(random.next() * this.#written.length);
      const mine = this.#written[place];
      const rested = mine !== undefined && Date.now() - mine.sinceMs > restMs;
      if (rested) {
        if (kind === 'delete') {
          this.#written.splice(place, 1);
          this.#articles.splice(this.#articles.indexOf(mine.articleId), 1);
        }
        return { number, kind, articleId: mine.articleId, userId: mine.userId };
      }
      kind = 'like';
    }
    return { number, kind, articleId: kind === 'write' || kind === 'read' ? null : articleId, userId };
  }

  async #call(call: Call): Promise<void> {
    const { client, gateways, onRecord } = this.#options;
    const { method, path, body } = requestOf(call);
    const invokedMs = Date.now();
    const first = call.number % gateways.length;
    const order = [...gateways.slice(first), ...gateways.slice(0, first)];
    let seen: Pick<CallRecord, 'outcome' | 'answer' | 'token' | 'gateway'> | null = null;
    let id: string | undefined;
    for (const gateway of order) {
      try {
        const options = { userId: call.kind === 'read' ? undefined : call.userId, body, gateway };
        const answer = await client.request<{ id?: string; error?: { code?: string } }>(method, path, options);
        const code = answer.body.error?.code;
        const outcome = outcomeOf(answer.status, code);
        if (outcome === 'ok') id = answer.body.id;
        const answered = code === undefined ? String(answer.status) : `${answer.status} ${code}`;
        seen = { outcome, answer: answered, token: tokenOf(answer.headers), gateway };
        break;
      } catch (error) {
        const code = codeOf(error) ?? (error as Error).name;
        const refused = code === 'ECONNREFUSED';
        seen = { outcome: refused ? 'fail' : 'info', answer: code, token: [], gateway };
        if (!refused) break;
      }
    }
    const record: CallRecord = { ...call, invokedMs, answeredMs: Date.now(), ...seen! };
    if (record.outcome === 'ok') this.#remember(record, id);
    if (isChange(record) && record.outcome === 'ok') this.changes++;
    const { answeredMs } = record;
    if (hasFailed(record) || answeredMs - this.#lastOkMs > pauseMs) this.lastTroubleMs = answeredMs;
    if (record.outcome === 'ok') this.#lastOkMs = answeredMs;
    this.records.push(record);
    onRecord(record);
  }

  #remember({ kind, userId, articleId, answeredMs }: CallRecord, id: string | undefined): void {
    if (kind === 'like') this.#liked.push({ articleId: articleId!, userId });
    if (kind !== 'write' || id === undefined) return;
    this.#articles.push(id);
    this.#written.push({ articleId: id, userId, sinceMs: answeredMs });
  }
}

function tokenOf(headers: Headers): CallRecord['token'] {
  const token = headers.get('hotboard-token');
  if (token === null) return [];
  return decodeToken(token).map(([source, , aggregateId, version]) => [source, aggregateId, Number(version)] as const);
}
