import { type SkippedPayload, SkippedV1 } from '../../events/skipped.ts';
import { eventIdText, newEventId } from '../../outbox/event-id.ts';
import type { Connections, SourceTransaction } from '../sources/connections.ts';
import { digits } from '../sources/digits.ts';
import { SourceError } from '../sources/errors.ts';
import * as sql from './statements.ts';
import {
  type BlockedKey,
  type BlockedState,
  type BlockedStore,
  type Fence,
  keyStateOfRows,
  type OperatorRequest,
  rowStates,
} from './store.ts';

const stateNumbers = { blocked: 1, dead: 2, unblocking: 3 } as const satisfies Record<BlockedState, number>;
export const stateNames = { 1: 'blocked', 2: 'dead', 3: 'unblocking' } as const;
/** Widths of the columns. */
const textLimit = 2_000;
const codeLimit = 64;

/** Blocked keys in MySQL 8.4 or MariaDB, with the tables of `migrations/outbox`. */
export function createMysqlBlocked(connections: Connections): BlockedStore {
  /** One transaction of the bucket's owner. */
  const fenced = <T>(doing: string, fence: Fence, work: (tx: SourceTransaction) => Promise<T>): Promise<T> =>
    connections.transaction(doing, async (tx) => {
      const mine = await tx.rows(sql.checkFence, [fence.bucket, fence.owner, fence.epoch]);
      if (mine.length === 0) {
        const term = `bucket ${fence.bucket} is not ${fence.owner}'s in term ${fence.epoch} any more`;
        throw new SourceError('SOURCE_NOT_OWNER', `${doing}: ${term}`);
      }
      return work(tx);
    });

  return {
    async readBlocked(bucket) {
      return (await connections.rows<BlockedRow>('reading blocked keys', sql.readBlocked, [bucket])).map(blockedKey);
    },
    async listBlocked(limit) {
      const rows = await connections.rows<[...BlockedRow, number, string]>('listing blocked keys', sql.listBlocked, [
        limit,
      ]);
      return rows.map((row) => ({ ...blockedKey(row), bucket: row[8], blockedForMs: Number(row[9] ?? 0) / 1000 }));
    },
    async saveBlocked(fence, keys) {
      if (keys.length === 0) return;
      await fenced('blocking keys', fence, (tx) =>
        tx.change(
          sql.saveBlocked(keys.length),
          keys.flatMap((key) => [
            fence.bucket,
            digits(key.keyHash),
            Buffer.from(key.aggregateId, 'utf8'),
            key.attempts,
            Math.round(Math.max(0, key.dueInMs) * 1000),
            stateNumbers[key.state],
            key.rowId,
            key.errorCode?.slice(0, codeLimit) ?? null,
            key.lastError?.slice(0, textLimit) ?? null,
          ]),
        ),
      );
    },
    async moveRows(fence, keyHashes, to, limit) {
      if (keyHashes.length === 0) return 0;
      const from = Object.values(rowStates).filter((state) => state !== rowStates[to]);
      return fenced('moving rows of blocked keys', fence, async (tx) => {
        const asked = sql.keysInState(keyHashes.map(digits));
        const keys = await tx.rows<[string]>(asked, [fence.bucket, stateNumbers[keyStateOfRows[to]]]);
        if (keys.length === 0) return 0;
        const elsewhere = sql.rowsElsewhere(
          keys.map(([keyHash]) => digits(String(keyHash))),
          from,
        );
        const found = await tx.rows<[string]>(elsewhere, [fence.bucket, limit]);
        if (found.length === 0) return 0;
        await tx.change(
          sql.setState(
            found.map(([id]) => digits(String(id))),
            from,
          ),
          [rowStates[to], fence.bucket],
        );
        return found.length;
      });
    },
    async firstBlockedRows(bucket, keyHashes) {
      if (keyHashes.length === 0) return [];
      const rows = await connections.rows<[string, string, string]>(
        'reading the first rows of blocked keys',
        sql.firstBlockedRows(keyHashes.map(digits)),
        [bucket],
      );
      return rows.map(([id, day, keyHash]) => ({ id: String(id), day, keyHash: String(keyHash) }));
    },
    async forgetBlocked(fence, keyHashes) {
      if (keyHashes.length === 0) return [];
      return fenced('unblocking keys', fence, async (tx) => {
        await tx.change(sql.forgetBlocked(keyHashes.map(digits)), [fence.bucket]);
        const staying = await tx.rows<[string]>(sql.blockedAmong(keyHashes.map(digits)), [fence.bucket]);
        return staying.map(([keyHash]) => String(keyHash));
      });
    },
    async readRequests(bucket) {
      const rows = await connections.rows<[string, string, OperatorRequest['action'], string | null, string | null]>(
        'reading requests of operators',
        sql.readRequests,
        [bucket],
      );
      return rows.map(([id, keyHash, action, rowId, reason]) => ({
        id: String(id),
        keyHash,
        action,
        rowId: rowId === null ? null : String(rowId),
        reason,
      }));
    },
    carryOut: (fence, request) =>
      fenced(`carrying out a ${request.action}`, fence, (tx) => carryOut(tx, fence, request)),
    skipEvent(fence, { keyHash, rowId, who, reason }) {
      return fenced('skipping an event', fence, async (tx) => {
        const event = await eventOf(tx, fence.bucket, keyHash, rowId);
        const written = event && (await putSkipped(tx, keyHash, rowId, event, reason));
        if (!written) return false;
        // A repetition after an answer that was lost finds the work done.
        if (event.stored?.type !== SkippedV1.type) {
          const values = [
            fence.bucket,
            written.aggregateId,
            who,
            reason.slice(0, textLimit),
            written.before,
            written.after,
          ];
          await tx.change(sql.insertSkipAudit(digits(keyHash), digits(rowId)), values);
        }
        await tx.change(sql.beginAnew(digits(keyHash)), [fence.bucket]);
        return true;
      });
    },
  };
}

async function carryOut(tx: SourceTransaction, fence: Fence, request: OperatorRequest): Promise<BlockedKey | null> {
  const { bucket } = fence;
  const [id, keyHash] = [digits(request.id), digits(request.keyHash)];
  const [key] = (await tx.rows<BlockedRow>(sql.readBlockedKey(keyHash), [bucket])).map(blockedKey);
  const [audit] = await tx.rows<[string, Buffer | null]>(sql.lockAudit(id));
  await tx.change(sql.clearRequest(keyHash), [bucket]);
  if (!key || audit?.[0] !== 'requested') return key ?? null;
  const refuse = async (why: string) => {
    await tx.change(sql.finishAudit(id), ['refused', why, null, null]);
    return key;
  };
  if (key.state === 'unblocking') return refuse('Its key is no longer blocked: the event was sent meanwhile.');
  let [before, after]: (string | null)[] = [null, null];
  if (request.action !== 'retry') {
    const event = request.rowId === null ? null : await eventOf(tx, bucket, keyHash, request.rowId);
    if (!event) return refuse('The event does not wait any more: it was sent meanwhile.');
    const written =
      request.action === 'drop'
        ? await putSkipped(tx, keyHash, request.rowId!, event, request.reason ?? '')
        : await putPayload(tx, request.rowId!, event, audit[1]);
    if (!written) return refuse('The event is missing in the outbox, and what it belonged to cannot be found out.');
    ({ before, after } = written);
  }
  await tx.change(sql.beginAnew(keyHash), [bucket]);
  await tx.change(sql.finishAudit(id), ['done', null, before, after]);
  return { ...key, state: 'blocked', attempts: 0, dueInMs: 0 };
}

interface WaitingEvent {
  day: string;
  version: string;
  /** Null where the outbox does not have it. */
  stored: { eventId: string; aggregateId: Buffer; type: string; schemaVersion: number; payload: Buffer } | null;
}

async function eventOf(
  tx: SourceTransaction,
  bucket: number,
  keyHash: string,
  rowId: string,
): Promise<WaitingEvent | null> {
  const [row] = await tx.rows<[string, string]>(sql.pendingRow(digits(rowId), digits(keyHash)), [bucket]);
  if (!row) return null;
  const [event] = await tx.rows<[Buffer, Buffer, Buffer, number, Buffer]>(sql.lockEvent(digits(rowId)), [row[0]]);
  return {
    day: row[0],
    version: String(row[1]),
    stored: event
      ? {
          eventId: eventIdText(event[0]),
          aggregateId: event[1],
          type: event[2].toString('utf8'),
          schemaVersion: event[3],
          payload: event[4],
        }
      : null,
  };
}

interface Rewritten {
  aggregateId: Buffer;
  before: string | null;
  after: string;
}

/**
 * The place, the version and the id of an event stay: where a copy of it is in the topic after all, readers take one of the
 * two, whichever they meet first, and the other as its repetition.
 */
async function putSkipped(
  tx: SourceTransaction,
  keyHash: string,
  rowId: string,
  event: WaitingEvent,
  reason: string,
): Promise<Rewritten | null> {
  const { stored, day } = event;
  const payload: SkippedPayload = {
    skippedEventId: stored?.eventId ?? null,
    skippedType: stored?.type ?? null,
    reason,
  };
  const skipped = { type: SkippedV1.type, schemaVersion: SkippedV1.schemaVersion, payload: JSON.stringify(payload) };
  if (stored) {
    if (stored.type !== SkippedV1.type) {
      await tx.change(sql.rewriteEvent(digits(rowId)), [skipped.type, skipped.schemaVersion, skipped.payload, day]);
    }
    return { aggregateId: stored.aggregateId, before: textOf(stored), after: JSON.stringify(skipped) };
  }
  const lines = await tx.rows<[Buffer, Buffer]>(sql.linesOfKey(digits(keyHash)), [event.version]);
  if (lines.length !== 1) return null;
  const [aggregateType, aggregateId] = lines[0]!;
  const id = newEventId().toString('hex');
  const values = [day, id, aggregateType, aggregateId, event.version, skipped.type, skipped.payload];
  await tx.change(sql.insertEvent(digits(rowId)), values);
  return { aggregateId, before: null, after: JSON.stringify(skipped) };
}

async function putPayload(
  tx: SourceTransaction,
  rowId: string,
  { stored, day }: WaitingEvent,
  after: Buffer | null,
): Promise<Rewritten | null> {
  if (!stored || !after) return null;
  const text = after.toString('utf8');
  const { type, schemaVersion, payload } = JSON.parse(text) as { type: string; schemaVersion: number; payload: string };
  await tx.change(sql.rewriteEvent(digits(rowId)), [type, schemaVersion, payload, day]);
  return { aggregateId: stored.aggregateId, before: textOf(stored), after: text };
}

function textOf({ type, schemaVersion, payload }: NonNullable<WaitingEvent['stored']>): string {
  return JSON.stringify({ type, schemaVersion, payload: payload.toString('utf8') });
}

type BlockedRow = [
  keyHash: string,
  aggregateId: Buffer,
  state: 1 | 2 | 3,
  attempts: number,
  dueInMicros: string | number,
  rowId: string | null,
  errorCode: string | null,
  lastError: string | null,
];

function blockedKey(row: BlockedRow | [...BlockedRow, ...unknown[]]): BlockedKey {
  return {
    keyHash: String(row[0]),
    aggregateId: row[1].toString('utf8'),
    state: stateNames[row[2]],
    attempts: Number(row[3]),
    dueInMs: Number(row[4]) / 1000,
    rowId: row[5] === null ? null : String(row[5]),
    errorCode: row[6],
    lastError: row[7],
  };
}
