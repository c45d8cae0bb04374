import { QueryTypes, type Sequelize } from 'sequelize';
import { headersOf } from '../events/envelope.ts';
import { isSkipped } from '../events/skipped.ts';
import { eventIdText } from './event-id.ts';
import { readVersion } from './statements.ts';

/** A version of an aggregate that a consumer misses. */
export interface MissingVersion {
  aggregateType: string;
  aggregateId: string;
  version: bigint;
  /** Of the database that the consumer knows; another one by now: what it misses is gone. */
  incarnation: string;
}

/**
 * What a producer says about it, as JSON. `event`: as it would have come from Kafka, bytes in base64. `pending`: it will be sent. `dead`: its
 * key waits for an operator. `skipped`: it was dropped on purpose. `gone`: the outbox does not have it (any more).
 */
export type OutboxGapAnswer =
  | { answer: 'event'; message: { key: string; value: string; headers: Record<string, string> } }
  | { answer: 'pending' | 'dead' | 'skipped' | 'gone' };

interface VersionRow {
  event_id: Buffer;
  event_type: Buffer;
  schema_version: number;
  payload: Buffer;
  headers: Buffer | null;
  created: string;
  state: number | null;
}

/** Looks for a version in a producer's own outbox. */
export async function answerGap(
  sequelize: Sequelize,
  outbox: { source: string; incarnation: string },
  missing: MissingVersion,
): Promise<OutboxGapAnswer> {
  const { aggregateType, aggregateId, version, incarnation } = missing;
  if (incarnation !== outbox.incarnation) return { answer: 'gone' };
  const [row] = await sequelize.query<VersionRow>(readVersion, {
    type: QueryTypes.SELECT,
    replacements: [aggregateType, aggregateId, String(version)],
  });
  if (!row) return { answer: 'gone' };
  if (row.state !== null) return { answer: row.state === 2 ? 'dead' : 'pending' };
  const type = row.event_type.toString('utf8');
  if (isSkipped(type)) return { answer: 'skipped' };
  const headers = headersOf({
    eventId: eventIdText(row.event_id),
    source: outbox.source,
    type,
    schemaVersion: row.schema_version,
    ...{ aggregateType, aggregateId, version, incarnation },
    occurredAt: new Date(`${row.created.slice(0, 10)}T${row.created.slice(11, 23)}Z`),
    traceparent: row.headers && (JSON.parse(row.headers.toString('utf8')).traceparent ?? null),
  });
  return {
    answer: 'event',
    message: { key: base64(aggregateId), value: base64(row.payload), headers: mapped(headers, base64) },
  };
}

function base64(value: string | Buffer): string {
  return (typeof value === 'string' ? Buffer.from(value, 'utf8') : value).toString('base64');
}

function mapped<From, To>(record: Readonly<Record<string, From>>, by: (value: From) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, by(value)]));
}

/** The bytes of an answer that has travelled as JSON, as `askProducer` of an inbox answers them. */
export function decodedGapAnswer(answer: OutboxGapAnswer) {
  if (answer.answer !== 'event') return { answer: answer.answer };
  const bytes = (text: string) => Buffer.from(text, 'base64');
  const { key, value, headers } = answer.message;
  return {
    answer: 'event' as const,
    message: { key: bytes(key), value: bytes(value), headers: mapped(headers, bytes) },
  };
}
