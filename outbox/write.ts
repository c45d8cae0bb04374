import type { Transaction } from 'sequelize';
import type { EventDefinition } from '../events/definition.ts';
import { aggregateIdOf, definitionOf, type EventRules, payloadText } from './event.ts';
import { newEventId } from './event-id.ts';
import { bucketOf, keyHashOf } from './keys.ts';
import * as statements from './statements.ts';

/** An event that is to be written. */
export interface PlannedEvent {
  definition: EventDefinition;
  aggregateId: string;
  /** JSON text of further headers, or null. */
  headers: string | null;
  /** Gives the payload. Runs when the aggregate's version line is locked: what it reads now is current. */
  build(): unknown;
}

export interface WrittenEvent {
  type: string;
  aggregateType: string;
  aggregateId: string;
  version: bigint;
  bucket: number;
}

/** Checks what can be checked before the payload is there. Throws `EVENT_UNKNOWN_TYPE` or `EVENT_INVALID`. */
export function planEvent(
  rules: EventRules,
  type: string,
  aggregateId: unknown,
  traceparent: string | null,
  build: () => unknown,
): PlannedEvent {
  const definition = definitionOf(rules, type);
  return {
    definition,
    aggregateId: aggregateIdOf(type, aggregateId),
    headers: traceparent === null ? null : JSON.stringify({ traceparent }),
    build,
  };
}

/** Rows of one statement at most, and bytes of payload after which it ends. */
const maxRows = 200;
const maxBytes = 2 * 1024 * 1024;

/**
 * Writes events in the given transaction: locks the version lines in sorted order, builds the payloads, writes both rows
 * of each. For one aggregate id order = version order = commit order, because the line stays locked until the commit; so this
 * has to be the last thing before it. Any error must end the transaction.
 */
export async function writeEvents(
  transaction: Transaction,
  rules: EventRules,
  buckets: number,
  events: readonly PlannedEvent[],
): Promise<WrittenEvent[]> {
  const next = await lockLines(transaction, events);
  const rows: Row[] = [];
  for (const event of events) {
    const { definition, aggregateId } = event;
    const payload = payloadText(rules, definition, aggregateId, event.headers, await event.build());
    const line = lineOf(event);
    const version = next.get(line)!;
    next.set(line, version + 1n);
    rows.push({ event, payload, version, bucket: bucketOf(aggregateId, buckets) });
  }
  await insertRows(transaction, rows);
  return rows.map(({ event, version, bucket }) => ({
    type: event.definition.type,
    aggregateType: event.definition.aggregateType,
    aggregateId: event.aggregateId,
    version,
    bucket,
  }));
}

interface Row {
  event: PlannedEvent;
  payload: string;
  version: bigint;
  bucket: number;
}

/** The first version of each line that the events may use. */
async function lockLines(transaction: Transaction, events: readonly PlannedEvent[]): Promise<Map<string, bigint>> {
  const wanted = new Map<string, { event: PlannedEvent; count: number }>();
  for (const event of events) {
    const entry = wanted.get(lineOf(event));
    if (entry) entry.count++;
    else wanted.set(lineOf(event), { event, count: 1 });
  }
  const next = new Map<string, bigint>();
  for (const line of [...wanted.keys()].sort()) {
    const { event, count } = wanted.get(line)!;
    const values = [event.definition.aggregateType, event.aggregateId, count, count];
    const { insertId } = await statements.runStatement(transaction, statements.takeVersions, values);
    next.set(line, BigInt(insertId) - BigInt(count) + 1n);
  }
  return next;
}

async function insertRows(transaction: Transaction, rows: readonly Row[]): Promise<void> {
  const severalAtOnce = rows.length > 1 && (await idsAreOneApart(transaction));
  for (let from = 0; from < rows.length; ) {
    const chunk = severalAtOnce ? chunkOf(rows, from) : rows.slice(from, from + 1);
    from += chunk.length;
    const single = chunk.length === 1;
    const { insertId } = await statements.runStatement(
      transaction,
      single ? statements.insertPending : statements.insertPendingRows(chunk.length),
      chunk.flatMap((row) => [row.bucket, keyHashOf(row.event.aggregateId), String(row.version)]),
      single,
    );
    await statements.runStatement(
      transaction,
      single ? statements.insertOutboxRow : statements.insertOutbox(chunk.length),
      chunk.flatMap((row, index) => outboxValues(row, BigInt(insertId) + BigInt(index))),
      single,
    );
  }
}

function outboxValues({ event, version, payload }: Row, id: bigint): unknown[] {
  const { type, aggregateType, schemaVersion } = event.definition;
  const values = [aggregateType, event.aggregateId, String(version), type, schemaVersion, payload, event.headers];
  return [String(id), String(id), newEventId().toString('hex'), ...values];
}

function chunkOf(rows: readonly Row[], from: number): Row[] {
  let bytes = 0;
  let to = from;
  while (to < rows.length && to - from < maxRows && bytes < maxBytes) bytes += rows[to++]!.payload.length;
  return rows.slice(from, to);
}

async function idsAreOneApart(transaction: Transaction): Promise<boolean> {
  const [row] = await statements.runStatement<{ step: unknown }[]>(transaction, statements.readIncrement, [], false);
  return Number(row!.step) === 1;
}

function lineOf(event: PlannedEvent): string {
  return `${event.definition.aggregateType}\u0000${event.aggregateId}`;
}
