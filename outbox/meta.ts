import { QueryTypes, type Sequelize } from 'sequelize';
import { OutboxError } from './errors.ts';
import { readMeta } from './statements.ts';

/** What the whole outbox of a database agrees on, since its first migration. */
export interface OutboxMeta {
  /** UUID of this database: another one after it was made anew. */
  incarnation: string;
  buckets: number;
}

/** Throws `OUTBOX_MISMATCH` where there is no outbox, or one with another number of buckets than expected. */
export async function readOutboxMeta(sequelize: Sequelize, expectedBuckets?: number): Promise<OutboxMeta> {
  const [meta] = await sequelize.query<OutboxMeta>(readMeta, { type: QueryTypes.SELECT });
  const database = sequelize.config.database;
  if (!meta) {
    throw new OutboxError('OUTBOX_MISMATCH', `The database ${database} has an empty outbox_meta: migrate it anew.`);
  }
  if (expectedBuckets !== undefined && expectedBuckets !== meta.buckets) {
    throw new OutboxError(
      'OUTBOX_MISMATCH',
      `HOTBOARD_BUCKETS is "${expectedBuckets}"; allowed: ${meta.buckets}, which the database ${database} was made with.`,
    );
  }
  return meta;
}
