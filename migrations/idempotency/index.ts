import type { MigrationSet } from '../migration.ts';
import { idempotencyTable } from './0001-idempotency-table.ts';

/** What `OutboxMixin({ idempotency: … })` needs beside the outbox (docs/adr/0015-idempotency-key.md). */
export const idempotencyMigrations: MigrationSet = [idempotencyTable];
