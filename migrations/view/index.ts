import type { MigrationSet } from '../migration.ts';
import { viewTables } from './0001-view-tables.ts';

/** The view service's own tables. */
export const viewMigrations: MigrationSet = [viewTables];
