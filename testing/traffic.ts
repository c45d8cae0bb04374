import { setTimeout as pause } from 'node:timers/promises';
import type { BoardClient } from './board-client.ts';

export interface TrafficReport {
  /** Answers by status. */
  answers: Record<number, number>;
  /** Requests without an answer (a connection that broke), by error code. */
  broken: Record<string, number>;
  /** Bodies of answers that are not 2xx, a few of them. */
  failures: unknown[];
}

/** A pause after each answer: the load follows what the machine can do, so that no queue grows on a slow one. */
const thinkMs = 20;

/** Users who write and read the hot list, each waiting for the answer before the next request, until they are stopped. */
export class Traffic {
  readonly #client: BoardClient;
  readonly #articles: string[];
  readonly #report: TrafficReport = { answers: {}, broken: {}, failures: [] };
  #users: Promise<void>[] = [];
  #stopping = false;
  #nextUser = 1;

  constructor(client: BoardClient, articles: readonly string[]) {
    this.#client = client;
    this.#articles = [...articles];
  }

  start(users: number): void {
    this.#users = Array.from({ length: users }, async () => {
      while (!this.#stopping) {
        await this.#request();
        await pause(thinkMs);
      }
    });
  }

  /** Ends the traffic when all requests have been answered or broken. */
  async stop(): Promise<TrafficReport> {
    this.#stopping = true;
    await Promise.all(this.#users);
    return this.#report;
  }

  async #request(): Promise<void> {
    const articleId = this.#articles[Math.floor(Math.random() ** 2 * this.#articles.length)]!;
    const userId = String(this.#nextUser++);
    const chance = Math.random();
    try {
      const { status, body } =
        chance < 0.45
          ? await this.#client.request('PUT', `/v1/articles/${articleId}/like`, { userId })
          : chance < 0.6
            ? await this.#client.request('POST', `/v1/articles/${articleId}/comments`, {
                userId,
                body: { content: 'So true' },
              })
            : chance < 0.75
              ? await this.#client.request('POST', `/v1/articles/${articleId}/views`, { userId })
              : chance < 0.8
                ? await this.#write(userId)
                : await this.#client.request('GET', '/v1/hot-articles');
      this.#report.answers[status] = (this.#report.answers[status] ?? 0) + 1;
      if (status >= 300 && this.#report.failures.length < 5) this.#report.failures.push(body);
    } catch (error) {
      const reason = String((error as { cause?: { code?: string } }).cause?.code ?? error);
      this.#report.broken[reason] = (this.#report.broken[reason] ?? 0) + 1;
    }
  }

  async #write(userId: string) {
    const answer = await this.#client.request<{ id: string }>('POST', '/v1/articles', {
      userId,
      body: { boardId: '7', title: 'Written under fire', content: 'Nothing is lost' },
    });
    if (answer.status === 201) this.#articles.push(answer.body.id);
    return answer;
  }
}
