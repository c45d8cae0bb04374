import type { MigrationSet } from '../migration.ts';
import { articleTables } from './0001-article-tables.ts';

/** The article service's own tables. */
export const articleMigrations: MigrationSet = [articleTables];
