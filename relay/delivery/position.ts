import type { IncomingMessage, OutgoingMessage, TopicPartition } from '../../kafka/port.ts';
import type { PendingRow, StoredEvent } from '../sources/store.ts';

/** A row that is in the topic. */
export interface SentRow extends Pick<PendingRow, 'id' | 'day'> {
  /** The end of its event's id: a database that was restored gives an id out again, to another event. */
  check: string;
}

export function sentRow(
  { id, day }: Pick<PendingRow, 'id' | 'day'>,
  { eventId }: Pick<StoredEvent, 'eventId'>,
): SentRow {
  return { id, day, check: eventId.slice(-checkLength) };
}

/** Of the random part of a UUID, in hexadecimal digits. */
const checkLength = 8;

/**
 * What each Kafka transaction of a bucket leaves beside its events: whose it was, and exactly which rows are in the topic
 * although they may still be unsent rows of the database.
 */
export interface Position {
  /** Of the database whose ids these are. */
  incarnation: string;
  /** The term in which it was written, and who had it. */
  epoch: number;
  owner: string;
  /** Of this batch, and of each earlier one whose delete was not confirmed; by day, then by id. */
  rows: readonly SentRow[];
}

export type Whose = Omit<Position, 'rows'>;

/** The compacted topic with the positions of a source: the partition's number is the bucket's. */
export function positionsTopic(topicPrefix: string, source: string): string {
  return `${topicPrefix}.${source}.positions`;
}

/** One name for a lease everywhere in Kafka: who fences it there must be who competes for it in the database. */
export function transactionalIdOf(topicPrefix: string, source: string, bucket: number): string {
  return `${topicPrefix}.${source}.${bucket}`;
}

/** What a position that was read means to the term that read it. */
export type Judgement =
  /** Its rows are in the topic: they are to be deleted. */
  | 'sent'
  /** Another database's: its ids say nothing about the rows of this one. */
  | 'foreign'
  /**
   * Somebody wrote it in a later term than mine, or as another owner of mine. Either I have lost the bucket since I asked, or
   * the database forgot terms that it had given out: it was restored from a backup.
   */
  | 'later';

export function judge(position: Position, mine: Whose): Judgement {
  if (position.incarnation !== mine.incarnation) return 'foreign';
  if (position.epoch > mine.epoch) return 'later';
  return position.epoch === mine.epoch && position.owner !== mine.owner ? 'later' : 'sent';
}

/** A row takes about ten bytes: ids are the distances from the one before, checks stand one after the other. */
export function positionMessage(place: TopicPartition, transactionalId: string, position: Position): OutgoingMessage {
  const { rows, ...whose } = position;
  const days = [...Map.groupBy(rows, ({ day }) => day)].map(([day, ofDay]) => {
    const sorted = ofDay.toSorted((a, b) => (BigInt(a.id) < BigInt(b.id) ? -1 : 1));
    const steps = sorted.map(({ id }, at) => BigInt(id) - BigInt(sorted[at - 1]?.id ?? 0));
    return { day, steps: steps.join(','), checks: sorted.map(({ check }) => check).join('') };
  });
  const value = Buffer.from(JSON.stringify({ ...whose, days }));
  return { topic: place.topic, partition: place.partition, key: Buffer.from(transactionalId), value };
}

/** A record in the positions topic that no relay of this kind wrote: nothing may be sent behind it unread. */
export class PositionError extends Error {
  override readonly name = 'PositionError';
  readonly code = 'RELAY_POSITION_UNREADABLE';
  readonly retryable = false;
}

export function positionIn({ topic, partition, offset, value }: IncomingMessage): Position {
  try {
    const { incarnation, epoch, owner, days } = JSON.parse(String(value)) as Record<string, unknown>;
    if (typeof incarnation !== 'string' || typeof owner !== 'string') throw new Error();
    if (!Number.isSafeInteger(epoch)) throw new Error();
    return { incarnation, epoch: epoch as number, owner, rows: (days as Day[]).flatMap(rowsOf) };
  } catch (cause) {
    throw new PositionError(`${topic}[${partition}] at ${offset} holds no position of a relay.`, { cause });
  }
}

interface Day {
  day: string;
  steps: string;
  checks: string;
}

function rowsOf({ day, steps, checks }: Day): SentRow[] {
  let id = 0n;
  return steps.split(',').map((step, at) => {
    id += BigInt(step);
    return { id: String(id), day, check: checks.slice(at * checkLength, (at + 1) * checkLength) };
  });
}
