import type { Clock } from '../../clock/clock.ts';
import type { Catalogue } from '../../events/catalogue.ts';
import type { Announcers } from '../announce.ts';
import type { ApplyOptions } from '../apply.ts';
import { type Arrival, streamKey } from '../plan.ts';
import { readMessage } from '../read.ts';
import type { InboxStore } from '../store/store.ts';
import { applyOptionsOf, type BatchWorker, type WorkerOptions } from '../worker.ts';
import { DeadLetterError } from './errors.ts';
import { type AuditEntry, type LetterSummary, type ReadableMessage, readableMessage } from './letter.ts';
import { type ReplayReport, rehearse, replay } from './replay.ts';
import {
  checkDiscard,
  checkEdit,
  checkId,
  checkList,
  checkReplay,
  type DiscardRequest,
  type EditRequest,
  type ListRequest,
  type Page,
  type ReplayRequest,
} from './requests.ts';
import type { DeadLetterTable } from './table.ts';
import { inTransaction, inWordsForOperators } from './transaction.ts';

/**
 * What people do with dead letters. Requests are checked whatever their type says, as they come from outside. Every operation
 * throws `DeadLetterError`: `DEAD_LETTER_BAD_REQUEST`, `DEAD_LETTER_UNKNOWN` (an id that is not there) or
 * `DEAD_LETTER_UNAVAILABLE` (the database; retryable).
 */
export interface DeadLetters {
  /** A page of letters in the order of their ids, without their messages. */
  list(request: ListRequest): Promise<{ letters: LetterSummary[]; next: string | null }>;
  /** One letter with its message, what it reads as now, and what was done to it (the newest 100 entries first). */
  show(request: { id: string }): Promise<LetterDetail>;
  /**
   * Takes events again, in order for each stream, through the same decision as those that come from Kafka: so doing it twice, or two
   * people at once, makes each effect once. Parked events behind it follow. A dry run unless `dryRun` is false: it does all
   * that in transactions that it rolls back, handlers included.
   */
  replay(request: ReplayRequest): Promise<{ dryRun: boolean; letters: ReplayReport[]; next: string | null }>;
  /** Changes the message of a letter that waits. Also throws `DEAD_LETTER_SETTLED` and `DEAD_LETTER_CHANGED`. */
  edit(request: EditRequest): Promise<LetterDetail>;
  /** Closes letters that nobody needs. In a sequence inbox their streams still wait: see `inboxResume`. */
  discard(request: DiscardRequest): Promise<{ letters: DiscardReport[]; next: string | null }>;
}

export interface LetterDetail extends LetterSummary, ReadableMessage {
  /** What its message reads as: an event in order, or what is wrong with it. */
  readsAs: 'event' | { reason: string; detail: string };
  audit: AuditEntry[];
}

export interface DiscardReport {
  id: string;
  outcome: 'discarded' | 'settled' | 'gone';
}

export interface DeadLetterContext extends Announcers {
  store: InboxStore;
  table: DeadLetterTable;
  applyOptions: ApplyOptions;
  catalogue: Catalogue;
  clock: Clock;
  random(): number;
  /** Takes parked events whose turn has come. */
  release(next: readonly Arrival[]): Promise<void>;
}

const shownEntries = 100;
/** Parked events that follow a replay are taken for so long; then the keeper of gaps goes on with them. */
const releaseLimitMs = 10_000;

/** The operations of an inbox, on the same handlers and with the same decisions as its worker. */
export function deadLettersOf(options: Omit<WorkerOptions, 'onApplied'> & { worker: BatchWorker }): DeadLetters {
  const { store, worker } = options;
  const table = store.deadLetters;
  if (!table) return unsupported;
  return deadLetters({
    ...options,
    table,
    applyOptions: applyOptionsOf(options),
    async release(next) {
      if (next.length === 0) return;
      const limit = new AbortController();
      const cancel = options.clock.after(releaseLimitMs, () => limit.abort());
      try {
        await worker.offer(next, limit.signal);
      } catch (error) {
        options.logger.warn('inbox: what waited for a replayed event is taken up later.', error);
      } finally {
        cancel();
      }
    },
  });
}

/** For stores without a table of dead letters, as those of tests. */
const refuse = async (): Promise<never> => {
  throw new DeadLetterError('DEAD_LETTER_UNAVAILABLE', 'The store of this inbox has no operations on dead letters.');
};
const unsupported: DeadLetters = { list: refuse, show: refuse, replay: refuse, edit: refuse, discard: refuse };

export function deadLetters(context: DeadLetterContext): DeadLetters {
  const { table, catalogue, metrics } = context;

  return {
    list: async (request) => pageOf(checkList(request)),
    show: async (request) => detailOf(checkId(request)),

    async replay(request) {
      const { dryRun, by, why, ...page } = checkReplay(request);
      const { letters, next } = await pageOf(page);
      const reports: ReplayReport[] = [];
      for (const stream of byStream(letters)) {
        if (dryRun) reports.push(...(await rehearse(context, stream)));
        else for (const letter of stream) reports.push(await replay(context, letter, { by, why }));
      }
      return { dryRun, letters: reports, next };
    },

    async edit(request) {
      const { id, revision, by, why, key, value, headers } = checkEdit(request);
      const letter = await whole(id);
      const message = { ...letter.message, headers: withHeaders(letter.message.headers, headers) };
      if (key !== undefined) message.key = key;
      if (value !== undefined) message.value = value;
      await inTransaction(context, async (tx) => {
        const letters = table.on(tx.handlerTransaction);
        const now = await letters.lock(id);
        if (now === null) throw unknown(id);
        if (now.state !== 'waiting') {
          throw new DeadLetterError('DEAD_LETTER_SETTLED', `The dead letter ${id} is ${now.state}.`);
        }
        if (now.revision !== revision || letter.revision !== revision) {
          const text = `The dead letter ${id} has revision ${now.revision} by now, not ${revision}: show it again.`;
          throw new DeadLetterError('DEAD_LETTER_CHANGED', text);
        }
        await letters.rewrite(id, { message, event: readMessage(message, catalogue).event });
        const [before, after] = [readableMessage(letter.message), readableMessage(message)];
        await letters.writeAudit(id, { action: 'edited', by, why, before, after });
      });
      return detailOf(id);
    },

    async discard(request) {
      const { by, why, ...page } = checkDiscard(request);
      const { letters, next } = await pageOf(page);
      const reports: DiscardReport[] = [];
      for (const { id } of letters) reports.push({ id, outcome: await discardOne(id, by, why) });
      return { letters: reports, next };
    },
  };

  async function pageOf({ id, filter, after, limit }: Page) {
    if (id !== null) return { letters: [await whole(id)], next: null };
    const letters = await table.list(filter, after, limit).catch(failed);
    return { letters, next: letters.length === limit ? letters.at(-1)!.id : null };
  }

  async function whole(id: string) {
    const letter = await table.find(id).catch(failed);
    if (letter === null) throw unknown(id);
    return letter;
  }

  async function detailOf(id: string): Promise<LetterDetail> {
    const { message, ...summary } = await whole(id);
    const read = readMessage(message, catalogue);
    const readsAs = 'reason' in read ? { reason: read.reason, detail: read.detail } : 'event';
    return {
      ...summary,
      ...readableMessage(message),
      readsAs,
      audit: await table.audit(id, shownEntries).catch(failed),
    };
  }

  function discardOne(id: string, by: string, why: string): Promise<DiscardReport['outcome']> {
    return inTransaction(context, async (tx) => {
      const letters = table.on(tx.handlerTransaction);
      const now = await letters.lock(id);
      if (now === null) return 'gone';
      if (now.state !== 'waiting') return 'settled';
      await letters.settle(id, 'discarded');
      await letters.writeAudit(id, { action: 'discarded', by, why });
      metrics.count('inbox.dead_letters.settled.total', 1, { outcome: 'discarded' });
      return 'discarded';
    });
  }
}

/** Letters of one stream together, in the order of their versions; those without an event each alone. */
function byStream(letters: readonly LetterSummary[]): LetterSummary[][] {
  const streams = new Map<string, LetterSummary[]>();
  for (const letter of letters) {
    const key = letter.event === null ? letter.id : streamKey(letter.event);
    streams.set(key, [...(streams.get(key) ?? []), letter]);
  }
  const version = ({ event }: LetterSummary) => BigInt(event?.version ?? 0);
  return [...streams.values()].map((stream) => stream.sort((a, b) => (version(a) < version(b) ? -1 : 1)));
}

function withHeaders(
  headers: Readonly<Record<string, Buffer>>,
  changes: Readonly<Record<string, Buffer | null>>,
): Record<string, Buffer> {
  const all: Record<string, Buffer | null> = { ...headers, ...changes };
  return Object.fromEntries(Object.entries(all).filter((entry): entry is [string, Buffer] => entry[1] !== null));
}

function unknown(id: string): DeadLetterError {
  return new DeadLetterError('DEAD_LETTER_UNKNOWN', `There is no dead letter ${id} of this consumer.`);
}

function failed(error: unknown): never {
  throw inWordsForOperators(error);
}
