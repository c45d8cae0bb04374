import { type BoardSource, boardSources } from '../events/board.ts';
import { articleMigrations } from './article/index.ts';
import { commentMigrations } from './comment/index.ts';
import { hotArticleMigrations } from './hot-article/index.ts';
import { idempotencyMigrations } from './idempotency/index.ts';
import { inboxMigrations } from './inbox/index.ts';
import { likeMigrations } from './like/index.ts';
import type { MigrationSet } from './migration.ts';
import { outboxMigrations } from './outbox/index.ts';
import { viewMigrations } from './view/index.ts';

/** A database of the board, by the name of its service (see `databaseName` for the name on the server). */
export interface BoardDatabase {
  name: string;
  /** What has to have run in it, in this order. Give it to `DatabaseMixin` as `migrations`. */
  sets: readonly MigrationSet[];
}

/** Articles and comments are made by POST: their clients send keys. */
const producers: Record<BoardSource, readonly MigrationSet[]> = {
  article: [idempotencyMigrations, articleMigrations],
  comment: [idempotencyMigrations, commentMigrations],
  like: [likeMigrations],
  view: [viewMigrations],
};

/** Every database of the board and its sets: the one place that says so. */
export const boardDatabases: readonly BoardDatabase[] = [
  ...boardSources.map((name) => ({ name, sets: [outboxMigrations, ...producers[name]] })),
  { name: 'hot-article', sets: [inboxMigrations, hotArticleMigrations] },
];

/** The sets of one database. Throws for a name that is none. */
export function setsOf(database: string): readonly MigrationSet[] {
  const found = boardDatabases.find(({ name }) => name === database);
  if (!found) {
    throw new Error(
      `There is no database ${database}; there are: ${boardDatabases.map(({ name }) => name).join(', ')}.`,
    );
  }
  return found.sets;
}
