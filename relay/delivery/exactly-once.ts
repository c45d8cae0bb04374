import { KafkaError } from '../../kafka/errors.ts';
import type { IncomingMessage, Logger, TopicPartition, TransactionalPublisher } from '../../kafka/port.ts';
import type { Routed } from '../batch/pack.ts';
import { isMine } from '../lease/decide.ts';
import type { LeaseTable, Term } from '../lease/types.ts';
import type { OutboxStore } from '../sources/store.ts';
import { asKafkaError, type Delivery } from './delivery.ts';
import { Isolation, isRefusal } from './isolation.ts';
import { createMessages } from './message.ts';
import { judge, type Position, positionIn, positionMessage, type SentRow, sentRow, type Whose } from './position.ts';

export interface ExactlyOnceOptions {
  source: string;
  /** My name in leases. */
  me: string;
  /** Its transactional id is the lease's name (`transactionalIdOf`). */
  publisher: TransactionalPublisher;
  transactionalId: string;
  /** Where the bucket's positions are: a partition of its own. */
  place: TopicPartition;
  lastCommitted(place: TopicPartition): Promise<IncomingMessage | null>;
  /** Asks the database. */
  readLeases(): Promise<Pick<LeaseTable, 'leases' | 'incarnation'>>;
  fetch: OutboxStore['fetch'];
  log: Logger;
}

/** The term is not, or no longer, mine: nothing may be sent in it. */
export class NotRightfulError extends Error {
  override readonly name = 'NotRightfulError';
  readonly code: 'RELAY_LEASE_LOST' | 'RELAY_POSITION_LATER';
  readonly retryable = true;

  constructor(code: NotRightfulError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Each batch is one Kafka transaction, fenced by the lease's name, that also leaves its position. So who takes over knows
 * exactly which of the unsent rows are in the topic, and nobody from before it can add to the topic any more.
 *
 * After every InitProducerId, and so at each takeover and after each error: fence, ask the database whether the lease is
 * mine, read the position. The loop then deletes those ids, reads the unsent rows anew, and only then sends.
 */
export function createExactlyOnce(options: ExactlyOnceOptions): Delivery {
  const { source, me, publisher, transactionalId, place, lastCommitted, readLeases, fetch, log } = options;
  const messageOf = createMessages(source);
  let whose: Whose | null = null;
  /** The term of the last `begin`, and whether that failed. */
  let last: { epoch: number; failed: boolean } | null = null;
  let isolation = new Isolation();
  /** What was sent and may not be deleted yet. */
  let sentRows = new Map<string, SentRow>();

  return {
    async begin(term: Term) {
      whose = null;
      if (last?.epoch !== term.epoch) isolation = new Isolation();
      // To fence without having the lease hinders the rightful one: not twice.
      else if (last.failed) await incarnationIfMine(term);
      last = { epoch: term.epoch, failed: true };
      await publisher.fence();
      const mine = { incarnation: await incarnationIfMine(term), epoch: term.epoch, owner: me };
      const left = await lastCommitted(place);
      const alreadySent = left === null ? [] : await sentBefore(positionIn(left), mine, term);
      last.failed = false;
      whose = mine;
      return { alreadySent };
    },

    async deliver(batch, unconfirmed) {
      if (whose === null) throw new KafkaError('KAFKA_FENCE_REQUIRED', 'begin() must come first', { retryable: false });
      const { incarnation } = whose;
      const sent = isolation.choose(batch);
      const rows = [
        ...sent.map(({ row, event }) => sentRow(row, event)),
        ...unconfirmed.flatMap((id) => sentRows.get(id) ?? []),
      ];
      try {
        await publisher.transaction([
          ...sent.map((routed) => messageOf(routed, incarnation)),
          positionMessage(place, transactionalId, { ...whose, rows }),
        ]);
      } catch (cause) {
        return notCommitted(batch, sent, asKafkaError(cause));
      }
      isolation.succeeded(sent);
      sentRows = new Map(rows.map((row) => [row.id, row]));
      return { acknowledged: [...sent], failures: [], again: without(batch, sent), beginAgain: false };
    },

    close: () => publisher.close(),
  };

  /** Asks the database, not what I believe in. */
  async function incarnationIfMine(term: Term): Promise<string> {
    const { leases, incarnation } = await readLeases();
    if (leases.some((lease) => isMine(lease, me, term))) return incarnation;
    const message = `${source}.${term.bucket}: term ${term.epoch} is not mine any more.`;
    throw new NotRightfulError('RELAY_LEASE_LOST', message);
  }

  async function sentBefore(position: Position, mine: Whose, { bucket }: Term): Promise<readonly string[]> {
    const judgement = judge(position, mine);
    switch (judgement) {
      case 'sent':
        return sameEvents(position.rows, bucket);
      case 'foreign':
        log.warn(
          `${source}.${bucket}: the position is of incarnation ${position.incarnation}, the database of ${mine.incarnation}: ` +
            'it was made anew. Nothing counts as sent.',
        );
        return [];
      case 'later':
        throw new NotRightfulError(
          'RELAY_POSITION_LATER',
          `${source}.${bucket}: the position is of term ${position.epoch} (${position.owner}), mine is ${mine.epoch}. ` +
            'If this stays, the database was restored from a backup: give it a new incarnation (relay/README.md).',
        );
      default:
        return judgement satisfies never;
    }
  }

  /** Those whose events are the ones that were sent: a restored database may have given ids out a second time. */
  async function sameEvents(rows: readonly SentRow[], bucket: number): Promise<string[]> {
    const events = rows.length > 0 ? await fetch(rows.map((row) => ({ ...row, keyHash: '' }))) : [];
    const checks = new Map(events.map((event) => [event.id, sentRow({ id: event.id, day: '' }, event).check]));
    const same = rows.filter(({ id, check }) => checks.get(id) === check).map(({ id }) => id);
    const others = rows.filter(({ id, check }) => checks.has(id) && checks.get(id) !== check).length;
    if (others > 0) {
      log.error(
        `${source}.${bucket}: ${others} rows have the ids of others that were sent: the database was restored from a backup. ` +
          'They count as unsent; give it a new incarnation (relay/README.md).',
      );
    }
    return same;
  }

  function notCommitted(batch: readonly Routed[], sent: readonly Routed[], error: KafkaError) {
    // Nobody's fault in particular, or it may be committed after all.
    if (!isAboutMessages(error) || namesOther(error)) throw error;
    const failures = isolation.failed(sent, error);
    // A smaller part at once where the broker has said what it refuses; else after a pause.
    if (failures.length === 0 && !isRefusal(error)) throw error;
    const failed = new Set(failures.flatMap(({ ids }) => ids));
    return { acknowledged: [], failures, again: batch.filter(({ row }) => !failed.has(row.id)), beginAgain: true };
  }

  /** The position itself could not be stored: no part of the batch can go without it. */
  function namesOther(error: KafkaError): boolean {
    return error.failed.some(({ topic, partition }) => topic === place.topic && partition === place.partition);
  }
}

/** Not those about the transactional id and the commit: they say nothing about what was sent. */
function isAboutMessages({ code }: KafkaError): boolean {
  const others = ['KAFKA_FENCED', 'KAFKA_FENCE_REQUIRED', 'KAFKA_COMMIT_UNKNOWN', 'KAFKA_CLOSED'];
  return !others.includes(code);
}

function without(batch: readonly Routed[], sent: readonly Routed[]): Routed[] {
  if (sent.length === batch.length) return [];
  const ids = new Set(sent.map(({ row }) => row.id));
  return batch.filter(({ row }) => !ids.has(row.id));
}
