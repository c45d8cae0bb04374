import type { MigrationSet } from '../migration.ts';
import { inboxTables } from './0001-inbox-tables.ts';

/** The tables of an inbox (docs/adr/0007-inbox.md): for each database whose service applies events. */
export const inboxMigrations: MigrationSet = [inboxTables];
