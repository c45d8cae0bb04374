import { sqlTime } from '../../database/sql-time.ts';
import type { Database } from '../database/database.ts';
import * as sql from './sql.ts';

/** Where old rows of one consumer are removed. Errors are the driver's. */
export interface RetentionTable {
  /** Whether `owner` may remove rows for so long from now: one may at a time, on the database's clock. */
  lease(owner: string, forMs: number): Promise<boolean>;
  /** Ms since 1970 by the database's clock. */
  nowMs(): Promise<number>;
  /**
   * Removes ids that were made before `beforeMs`, at most about `limit` of them, beginning after `after` (null: at the first).
   * Answers how many, and where the next step begins; null where nothing is left.
   */
  purgeIds(after: Buffer | null, beforeMs: number, limit: number): Promise<{ removed: number; upTo: Buffer | null }>;
  /** Removes settled dead letters, or audit entries, from before `beforeMs`, at most `limit`; answers how many. */
  purge(table: 'dead_letter' | 'dead_letter_audit', beforeMs: number, limit: number): Promise<number>;
}

/** `consumer` answers the consumer's number. */
export function retentionTable(database: Database, consumer: () => Promise<number>): RetentionTable {
  const write = async (statement: string, values: readonly unknown[]): Promise<number> => {
    const result: unknown = await database.query(statement, values);
    return (result as { affectedRows: number }).affectedRows;
  };
  return {
    async lease(owner, forMs) {
      const id = await consumer();
      await database.query(sql.lease, [id, owner, forMs * 1000]);
      const [row] = await database.query<{ owner: Buffer }>(sql.leaseOwner, [id]);
      return String(row?.owner) === owner;
    },
    async nowMs() {
      const [row] = await database.query<{ now_ms: number | string }>(sql.nowMs);
      return Number(row!.now_ms);
    },
    async purgeIds(after, beforeMs, limit) {
      const id = await consumer();
      const from = after ?? Buffer.alloc(0);
      const before = firstIdOf(beforeMs);
      const [end] = await database.query<{ event_id: Buffer }>(sql.stepEnd, [id, from, before, limit - 1]);
      const removed = await write(sql.purgeIds, [id, from, end?.event_id ?? before]);
      return { removed, upTo: end?.event_id ?? null };
    },
    async purge(table, beforeMs, limit) {
      const statement = table === 'dead_letter' ? sql.purgeLetters : sql.purgeAudit;
      return write(statement, [await consumer(), sqlTime(beforeMs), limit]);
    },
  };
}

/** No UUIDv7 of that millisecond or later is below it, none of an earlier one above it. */
function firstIdOf(ms: number): Buffer {
  const id = Buffer.alloc(16);
  id.writeUIntBE(ms, 0, 6);
  return id;
}
