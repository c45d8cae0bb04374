import type { MigrationSet } from '../migration.ts';
import { commentTables } from './0001-comment-tables.ts';

/** The comment service's own tables. */
export const commentMigrations: MigrationSet = [commentTables];
