import type { IncomingMessage, OutgoingMessage, TopicPartition } from '../../kafka/port.ts';

/**
 * What each Kafka transaction of a bucket leaves beside its events: whose it was, and the ids of all rows that are in the
 * topic although they may still be unsent rows of the database.
 */
export interface Position {
  /** Of the database whose ids these are. */
  incarnation: string;
  /** The term in which it was written, and who had it. */
  epoch: number;
  owner: string;
  /** Rows of this batch, and of each earlier one whose delete was not confirmed. Decimal strings, ascending. */
  ids: readonly string[];
}

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
  /** Its ids are in the topic: they are to be deleted. */
  | 'sent'
  /** Another database's: its ids say nothing about the rows of this one. */
  | 'foreign'
  /**
   * Somebody wrote it in a later term than mine, or as another owner of mine. Either I have lost the bucket since I asked, or
   * the database forgot terms that it had given out: it was restored from a backup.
   */
  | 'later';

export function judge(position: Position, mine: Omit<Position, 'ids'>): Judgement {
  if (position.incarnation !== mine.incarnation) return 'foreign';
  if (position.epoch > mine.epoch) return 'later';
  return position.epoch === mine.epoch && position.owner !== mine.owner ? 'later' : 'sent';
}

/** Ids take two or three bytes each: the first as it is, the others as the distance from the one before. */
export function positionMessage(place: TopicPartition, transactionalId: string, position: Position): OutgoingMessage {
  const { ids, ...whose } = position;
  const sorted = ids.map(BigInt).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const steps = sorted.map((id, at) => id - (sorted[at - 1] ?? 0n));
  const value = Buffer.from(JSON.stringify({ ...whose, steps: steps.join(',') }));
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
    const { incarnation, epoch, owner, steps } = JSON.parse(String(value)) as Record<string, unknown>;
    if (typeof incarnation !== 'string' || typeof owner !== 'string' || typeof steps !== 'string') throw new Error();
    if (!Number.isSafeInteger(epoch)) throw new Error();
    const ids: string[] = [];
    let id = 0n;
    for (const step of steps === '' ? [] : steps.split(',')) {
      id += BigInt(step);
      ids.push(String(id));
    }
    return { incarnation, epoch: epoch as number, owner, ids };
  } catch (cause) {
    throw new PositionError(`${topic}[${partition}] at ${offset} holds no position of a relay.`, { cause });
  }
}
