import type { MigrationSet } from '../migration.ts';
import { outboxTables } from './0001-outbox-tables.ts';
import { blockedKeys } from './0002-blocked-keys.ts';

/** The tables of an outbox (docs/adr/0005-outbox-tables.md): for each database whose service publishes events. */
export const outboxMigrations: MigrationSet = [outboxTables, blockedKeys];
