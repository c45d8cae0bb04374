import type { Database } from '../database/database.ts';
import type { Poison, PoisonReason } from '../read.ts';
import { eventColumns, headersFromText, headersToText, uuidFromBytes } from '../store/messages.ts';
import type { InboxTransaction } from '../types.ts';
import type { AuditEntry, Letter, LetterState, LetterSummary, ReadableMessage } from './letter.ts';
import type { LetterFilter } from './requests.ts';
import * as sql from './sql.ts';

/** The dead letters of one consumer, as their operations need them. Errors are the driver's. */
export interface DeadLetterTable {
  list(filter: LetterFilter, after: string, limit: number): Promise<LetterSummary[]>;
  find(id: string): Promise<Letter | null>;
  /** The newest entries first. */
  audit(id: string, limit: number): Promise<AuditEntry[]>;
  /** What follows is part of the given transaction. */
  on(tx: InboxTransaction): DeadLetterWriter;
}

export interface DeadLetterWriter {
  find(id: string): Promise<Letter | null>;
  /** Locks the letter; null where it is gone. */
  lock(id: string): Promise<{ state: LetterState; revision: number } | null>;
  settle(id: string, state: LetterState): Promise<void>;
  /** It was tried again in vain. */
  failAgain(id: string, poison: Pick<Poison, 'reason' | 'detail'>): Promise<void>;
  /** The message becomes this one; `event` is what can be read of it. */
  rewrite(id: string, read: Pick<Poison, 'message' | 'event'>): Promise<void>;
  writeAudit(letter: string, entry: NewAuditEntry): Promise<void>;
}

export type NewAuditEntry = Pick<AuditEntry, 'action' | 'by' | 'why'> & {
  outcome?: string;
  before?: ReadableMessage;
  after?: ReadableMessage;
};

const columns: Record<keyof LetterFilter, string> = {
  state: 'state',
  reason: 'reason',
  topic: 'topic',
  partition: 'kafka_partition',
  eventType: 'event_type',
  source: 'source',
  aggregateType: 'aggregate_type',
  aggregateId: 'aggregate_id',
};

/** `consumer` answers the consumer's number. */
export function deadLetterTable(database: Database, consumer: () => Promise<number>): DeadLetterTable {
  return {
    async list(filter, after, limit) {
      const given = Object.entries(filter).filter(([, value]) => value !== undefined);
      const conditions = given.map(([name]) => ` AND ${columns[name as keyof LetterFilter]} = ?`).join('');
      const values = given.map(([, value]) => value);
      const rows = await database.query<Row>(sql.list(conditions), [await consumer(), BigInt(after), ...values, limit]);
      return rows.map(summaryOf);
    },
    async find(id) {
      const [row] = await database.query<Row & MessageRow>(sql.find, [await consumer(), BigInt(id)]);
      return row ? letterOf(row) : null;
    },
    async audit(id, limit) {
      return (await database.query<AuditRow>(sql.audit, [await consumer(), BigInt(id), limit])).map(entryOf);
    },
    on: (tx) => writerOn(tx, consumer),
  };
}

function writerOn(tx: InboxTransaction, consumer: () => Promise<number>): DeadLetterWriter {
  return {
    async find(id) {
      const [row] = await tx.query<Row & MessageRow>(sql.find, [await consumer(), BigInt(id)]);
      return row ? letterOf(row) : null;
    },
    async lock(id) {
      const [row] = await tx.query<{ state: LetterState; revision: number }>(sql.lock, [await consumer(), BigInt(id)]);
      return row ? { state: row.state, revision: Number(row.revision) } : null;
    },
    async settle(id, state) {
      await tx.write(sql.settle, [state, await consumer(), BigInt(id)]);
    },
    async failAgain(id, { reason, detail }) {
      await tx.write(sql.failAgain, [reason, detail.slice(0, 10_000), await consumer(), BigInt(id)]);
    },
    async rewrite(id, { message, event }) {
      const { key, value, headers } = message;
      const values = [key, value, headersToText(headers), ...eventColumns(event), await consumer(), BigInt(id)];
      await tx.write(sql.rewrite, values);
    },
    async writeAudit(letter, { action, outcome = null, by, why, before, after }) {
      const messages = [before, after].map((message) => (message ? JSON.stringify(message) : null));
      await tx.write(sql.writeAudit, [await consumer(), BigInt(letter), action, outcome, by, why, ...messages]);
    },
  };
}

interface Row {
  id: string;
  state: LetterState;
  revision: number;
  topic: Buffer;
  kafka_partition: number;
  kafka_offset: string;
  reason: PoisonReason;
  detail: string;
  attempts: number;
  event_id: Buffer | null;
  event_type: Buffer;
  source: Buffer;
  aggregate_type: Buffer;
  aggregate_id: Buffer;
  version: string;
  created_ms: number | string;
  last_seen_ms: number | string;
  settled_ms: number | string | null;
}

interface MessageRow {
  timestamp_ms: number | string;
  message_key: Buffer | null;
  message_value: Buffer | null;
  headers: Buffer;
}

interface AuditRow {
  id: string;
  action: AuditEntry['action'];
  outcome: string | null;
  done_by: string;
  why: string;
  message_before: Buffer | null;
  message_after: Buffer | null;
  done_ms: number | string;
}

function summaryOf(row: Row): LetterSummary {
  return {
    id: row.id,
    state: row.state,
    revision: Number(row.revision),
    topic: String(row.topic),
    partition: row.kafka_partition,
    offset: row.kafka_offset,
    reason: row.reason,
    detail: row.detail,
    attempts: row.attempts,
    event:
      row.event_id === null
        ? null
        : {
            eventId: uuidFromBytes(row.event_id),
            type: String(row.event_type),
            source: String(row.source),
            aggregateType: String(row.aggregate_type),
            aggregateId: String(row.aggregate_id),
            version: row.version,
          },
    createdAt: isoOf(row.created_ms),
    lastSeenAt: isoOf(row.last_seen_ms),
    settledAt: row.settled_ms === null ? null : isoOf(row.settled_ms),
  };
}

function letterOf(row: Row & MessageRow): Letter {
  const summary = summaryOf(row);
  return {
    ...summary,
    message: {
      topic: summary.topic,
      partition: summary.partition,
      offset: BigInt(summary.offset),
      timestampMs: Number(row.timestamp_ms),
      key: row.message_key,
      value: row.message_value,
      headers: headersFromText(row.headers.toString()),
    },
  };
}

function entryOf(row: AuditRow): AuditEntry {
  const message = (bytes: Buffer | null) => (bytes === null ? null : (JSON.parse(String(bytes)) as ReadableMessage));
  return {
    id: row.id,
    action: row.action,
    outcome: row.outcome,
    by: row.done_by,
    why: row.why,
    before: message(row.message_before),
    after: message(row.message_after),
    at: isoOf(row.done_ms),
  };
}

function isoOf(ms: number | string): string {
  return new Date(Number(ms)).toISOString();
}
