import { eventIdText } from '../../outbox/event-id.ts';
import { bucketOf, keyHashOf } from '../../outbox/keys.ts';
import { stateNames } from '../blocked/mysql-blocked.ts';
import { type RowState, rowStates } from '../blocked/store.ts';
import { Connections } from '../sources/connections.ts';
import { digits } from '../sources/digits.ts';
import { SourceError } from '../sources/errors.ts';
import { OperatorError } from './errors.ts';
import * as sql from './statements.ts';
import type { AuditNote, KeyNote, ListedEvent, OperatorStore, ShownEvent } from './store.ts';

/** The outbox tables of one source as operators see them. Connects when it is first used. */
export function createMysqlOperatorStore(options: { url: string; statementTimeoutMs?: number }): OperatorStore {
  const connections = new Connections({
    url: options.url,
    limit: 2,
    statementTimeoutMs: options.statementTimeoutMs ?? 10_000,
  });
  const rows = <Row extends unknown[]>(doing: string, statement: string, values: readonly unknown[] = []) =>
    connections.rows<Row>(doing, statement, values);

  const buckets = async () => {
    const [meta] = await rows<[number]>('reading the outbox', sql.readMeta);
    if (!meta) throw new SourceError('SOURCE_NOT_MIGRATED', 'outbox_meta is empty: the migrations have not run');
    return meta[0];
  };
  const auditOf = async (bucket: number, keyHash: string, limit: number): Promise<AuditNote[]> => {
    const found = await rows<AuditRow>('reading the audit', sql.auditsOfKey(digits(keyHash)), [bucket, limit]);
    return found.map(([id, action, who, reason, rowId, state, result, requestedAt, finishedAt]) => ({
      ...{ id: String(id), action, who, reason, state, result },
      eventRow: rowId === null ? null : String(rowId),
      requestedAt: isoTime(requestedAt)!,
      finishedAt: isoTime(finishedAt),
    }));
  };

  return {
    buckets,
    async list({ state, key, bucket, keyHash, type, page, pageSize }) {
      const statement = sql.listUnsent({
        state: state !== null,
        keyHash: keyHash === null ? null : digits(keyHash),
        type: type !== null,
      });
      const values = [
        ...(state === null ? [] : [rowStates[state]]),
        ...(key === null ? [] : [bucket]),
        ...(type === null ? [] : [type]),
      ];
      const found = await rows<UnsentRow>('listing events', statement, [
        ...values,
        pageSize + 1,
        (page - 1) * pageSize,
      ]);
      return found.map(listed);
    },
    async show(id, audits) {
      const [unsent] = await rows<[...UnsentRow, ...BodyColumns]>('reading an event', sql.showUnsent(digits(id)));
      if (unsent) {
        const event = listed(unsent);
        const audit = await auditOf(event.bucket, event.keyHash, audits);
        return { ...event, ...body(unsent[18], unsent[19]), audit };
      }
      const [sent] = await rows<[string, string, ...EventColumns, ...BodyColumns]>(
        'reading an event',
        sql.showSent(digits(id)),
      );
      if (!sent) return null;
      const [rowId, version, eventId, aggregateType, aggregateId, type, schemaVersion, createdAt, payload, headers] =
        sent;
      const key = aggregateId!.toString('utf8');
      const [bucket, keyHash] = [bucketOf(key, await buckets()), keyHashOf(key)];
      const columns: EventColumns = [eventId, aggregateType, aggregateId, type, schemaVersion, createdAt];
      return {
        ...{ id: String(rowId), bucket, state: 'sent', version: String(version), keyHash, ...named(columns) },
        ...{ blockedBy: null, ...body(payload, headers), audit: await auditOf(bucket, keyHash, audits) },
      };
    },
    async keysToRetry(limit) {
      const found = await rows<[number, string]>('reading blocked keys', sql.keysToRetry, [limit]);
      return found.map(([bucket, keyHash]) => ({ bucket, keyHash }));
    },
    request({ bucket, keyHash, action, rowId, who, reason, after }) {
      return connections.transaction(`asking for a ${action}`, async (tx) => {
        const hash = digits(keyHash);
        const [key] = await tx.rows<[Buffer, number, string | null]>(sql.lockKey(hash), [bucket]);
        if (!key || key[1] === 3) {
          throw new OperatorError(
            'OUTBOX_KEY_NOT_BLOCKED',
            'The key is not blocked: its events are sent as they come.',
          );
        }
        if (key[2] !== null) {
          throw new OperatorError('OUTBOX_REQUEST_PENDING', `Request ${key[2]} for this key is not carried out yet.`);
        }
        await tx.change(sql.insertRequest(hash), [bucket, key[0], rowId, action, who, reason, after]);
        const [[id]] = (await tx.rows<[string]>(sql.lastInsertId)) as [[string]];
        await tx.change(sql.setRequest(hash), [id, bucket]);
        return id;
      });
    },
    async requestStates(ids) {
      if (ids.length === 0) return [];
      const found = await rows<[string, string, string | null]>('reading requests', sql.requestStates(ids.map(digits)));
      return found.map(([id, state, result]) => ({ id, state, result }));
    },
    close: () => connections.close(),
  };
}

type EventColumns = [
  eventId: Buffer | null,
  aggregateType: Buffer | null,
  aggregateId: Buffer | null,
  type: Buffer | null,
  schemaVersion: number | null,
  createdAt: string | null,
];

type BodyColumns = [payload: Buffer | null, headers: Buffer | null];

type UnsentRow = [
  id: string,
  bucket: number,
  state: number,
  version: string,
  keyHash: string,
  ...EventColumns,
  keyState: 1 | 2 | 3 | null,
  attempts: number,
  dueInMicros: string,
  failingId: string | null,
  errorCode: string | null,
  lastError: string | null,
  request: string | null,
];

type AuditRow = [
  id: string,
  action: string,
  who: string,
  reason: string | null,
  rowId: string | null,
  state: string,
  result: string | null,
  requestedAt: string,
  finishedAt: string | null,
];

const nameOfState = new Map(Object.entries(rowStates).map(([name, state]) => [state as number, name as RowState]));

function listed(row: UnsentRow | [...UnsentRow, ...BodyColumns]): ListedEvent {
  return {
    id: String(row[0]),
    bucket: row[1],
    state: nameOfState.get(row[2])!,
    version: String(row[3]),
    keyHash: row[4],
    ...named([row[5], row[6], row[7], row[8], row[9], row[10]]),
    blockedBy: keyNote(row),
  };
}

function named([eventId, aggregateType, aggregateId, type, schemaVersion, createdAt]: EventColumns) {
  return {
    eventId: eventId && eventIdText(eventId),
    aggregateType: aggregateType?.toString('utf8') ?? null,
    key: aggregateId?.toString('utf8') ?? null,
    type: type?.toString('utf8') ?? null,
    schemaVersion,
    createdAt: isoTime(createdAt),
  };
}

function keyNote(row: UnsentRow | [...UnsentRow, ...BodyColumns]): KeyNote | null {
  const state = row[11];
  if (state === null) return null;
  return {
    state: stateNames[state],
    attempts: Number(row[12]),
    nextAttemptInMs: state === 1 ? Math.max(0, Math.round(Number(row[13]) / 1000)) : null,
    failingId: row[14] === null ? null : String(row[14]),
    errorCode: row[15],
    lastError: row[16],
    request: row[17],
  };
}

function body(payload: Buffer | null, headers: Buffer | null): Pick<ShownEvent, 'payload' | 'headers'> {
  return {
    payload: payload?.toString('utf8') ?? null,
    headers: headers && (JSON.parse(headers.toString('utf8')) as Record<string, unknown>),
  };
}

/** DATETIME(6) in UTC. */
function isoTime(time: string | null): string | null {
  return time && `${time.slice(0, 10)}T${time.slice(11, 23)}Z`;
}
