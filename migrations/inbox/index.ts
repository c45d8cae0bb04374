import type { MigrationSet } from '../migration.ts';
import { inboxTables } from './0001-inbox-tables.ts';
import { deadLetterAudit } from './0002-dead-letter-audit.ts';
import { deadLetterRevision } from './0003-dead-letter-revision.ts';
import { inboxPurge } from './0004-inbox-purge.ts';

/** The tables of an inbox (docs/adr/0007-inbox.md): for each database whose service applies events. */
export const inboxMigrations: MigrationSet = [inboxTables, deadLetterAudit, deadLetterRevision, inboxPurge];
