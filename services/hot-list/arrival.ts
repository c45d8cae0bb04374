import { type BoardSource, boardSources } from '../../events/board.ts';
import { decodeToken, type TokenEntry } from '../../outbox/token.ts';
import { validationError } from '../../validation/validator.ts';
import type { Sql } from '../hot-article/sql.ts';

/** What a writer wants to see: an event of a source about an article, or a later one. */
export interface Write {
  source: BoardSource;
  articleId: string;
  version: bigint;
}

/** The newest applied version of each source. */
export type Versions = Readonly<Record<BoardSource, bigint>>;

/** A token of one request names a few; more in one read is nobody's wish. */
const maxWrites = 50;
const selectVersions = `
SELECT article_id, article_version, comment_version, like_version, view_version FROM hot_article WHERE article_id IN (?)`;

/** One `Hotboard-Token` or several, with commas between them. Throws `VALIDATION_ERROR` for what the board never gave out. */
export function writesOf(tokens: string): Write[] {
  const entries = tokens.split(',').flatMap((token) => entriesOf(token.trim()));
  if (entries.length > maxWrites) throw refused(`names ${entries.length} writes`, `at most ${maxWrites}`);
  return entries.map(([source, aggregateType, articleId, version]) => {
    const known = (boardSources as readonly string[]).includes(source);
    if (!known || aggregateType !== 'article' || !/^[1-9][0-9]{0,19}$/.test(articleId)) {
      throw refused('names a write that the hot list is not made of', `writes of ${boardSources.join(', ')}`);
    }
    return { source: source as BoardSource, articleId, version: BigInt(version) };
  });
}

/** The applied versions of these articles; those that no event ever named are left out. */
export async function readVersions(sql: Sql, articleIds: readonly string[]): Promise<Map<string, Versions>> {
  const rows = await sql.query<Record<string, string>>(selectVersions, [articleIds]);
  return new Map(
    rows.map((row) => [
      String(row.article_id),
      Object.fromEntries(boardSources.map((source) => [source, BigInt(row[`${source}_version`]!)])) as Versions,
    ]),
  );
}

function entriesOf(token: string): TokenEntry[] {
  try {
    return decodeToken(token);
  } catch {
    throw refused('is no token', 'what a write answered in this header, or several with commas between them');
  }
}

function refused(problem: string, allowed: string): Error {
  return validationError([{ field: 'Hotboard-Token', problem, allowed }]);
}

export interface ArrivalsOptions {
  readVersions(articleIds: readonly string[]): Promise<Map<string, Versions>>;
  /** Least time between two looks at the database, however many wait. */
  everyMs: number;
  /** So many may wait; further ones are told at once that it is not there. */
  waiters: number;
  monotonicMs(): number;
  pause(ms: number): Promise<unknown>;
}

/** Tells whether writes have arrived in the projection. All who wait share one query after the other. */
export class Arrivals {
  readonly #options: ArrivalsOptions;
  #waiters = 0;
  readonly #wanted = new Set<string>();
  #looking: Promise<unknown> = Promise.resolve();
  #next: Promise<Map<string, Versions>> | null = null;

  constructor(options: ArrivalsOptions) {
    this.#options = options;
  }

  /** Whether all of them are there, now or within `waitMs`. False as well where the database can't say it in that time. */
  async arrived(writes: readonly Write[], waitMs: number): Promise<boolean> {
    const { waiters, everyMs, monotonicMs } = this.#options;
    if (writes.length === 0) return true;
    if (this.#waiters >= waiters) return false;
    const untilMs = monotonicMs() + waitMs;
    this.#waiters++;
    try {
      let missing = writes;
      for (;;) {
        missing = await this.#missing(missing);
        if (missing.length === 0) return true;
        if (monotonicMs() + everyMs > untilMs) return false;
      }
    } finally {
      this.#waiters--;
    }
  }

  async #missing(writes: readonly Write[]): Promise<readonly Write[]> {
    try {
      const versions = await this.#look(writes.map(({ articleId }) => articleId));
      return writes.filter(({ source, articleId, version }) => (versions.get(articleId)?.[source] ?? 0n) < version);
    } catch {
      return writes; // the database is away: not known to be there
    }
  }

  #look(articleIds: readonly string[]): Promise<Map<string, Versions>> {
    for (const articleId of articleIds) this.#wanted.add(articleId);
    this.#next ??= this.#looking.then(() => {
      const ids = [...this.#wanted];
      this.#wanted.clear();
      this.#next = null;
      const look = this.#options.readVersions(ids);
      this.#looking = look.catch(() => {}).then(() => this.#options.pause(this.#options.everyMs));
      return look;
    });
    return this.#next;
  }
}
