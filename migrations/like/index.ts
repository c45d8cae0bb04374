import type { MigrationSet } from '../migration.ts';
import { likeTables } from './0001-like-tables.ts';

/** The like service's own tables. */
export const likeMigrations: MigrationSet = [likeTables];
