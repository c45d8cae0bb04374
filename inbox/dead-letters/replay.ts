import { announce } from '../announce.ts';
import { type Applied, applyWithin } from '../apply.ts';
import { HandlerError } from '../database/errors.ts';
import type { Arrival } from '../plan.ts';
import { type Poison, readMessage } from '../read.ts';
import type { StoreTransaction } from '../store/store.ts';
import { inWords } from '../worker.ts';
import type { Letter, LetterEvent, LetterSummary } from './letter.ts';
import type { DeadLetterContext } from './operations.ts';
import { inTransaction } from './transaction.ts';

/**
 * What a replay does, or would do. `applied`: its effects are made. `duplicate`: its id is known. `stale`: a newer event of its
 * stream was applied. `parked`: it is still too early, and waits parked (sequence inbox). The letter is settled by each of
 * these. It stays as it is where the message still is no event in order (`poison`), its handler still fails (`fails`), or there
 * is no room to park it (`refused`). `settled`: somebody was quicker. `gone`: there is no such letter any more.
 */
export type ReplayOutcome =
  | 'applied'
  | 'duplicate'
  | 'stale'
  | 'parked'
  | 'poison'
  | 'fails'
  | 'refused'
  | 'settled'
  | 'gone';

export interface ReplayReport {
  id: string;
  outcome: ReplayOutcome;
  event: LetterEvent | null;
  /** Why it is not applied, in words; null where it is. */
  detail: string | null;
  /** Of a dry run: how many parked events would follow, counted up to 100. */
  releases?: number;
}

const countedReleases = 100;

/** The letter is not as it was read. */
class LetterMovedError extends Error {}
/** Ends a dry run: nothing of it stays. */
class RolledBackError extends Error {}

/** What replays of these letters would do, in this order: they are all taken in one transaction, which is rolled back. */
export async function rehearse(context: DeadLetterContext, letters: readonly LetterSummary[]): Promise<ReplayReport[]> {
  let reports: ReplayReport[] = [];
  const work = async (tx: StoreTransaction) => {
    reports = [];
    for (const { id } of letters) reports.push(await rehearseOne(context, tx, id));
    throw new RolledBackError();
  };
  await inTransaction(context, work).catch((error) => {
    if (!(error instanceof RolledBackError)) throw error;
  });
  return reports;
}

async function rehearseOne(context: DeadLetterContext, tx: StoreTransaction, id: string): Promise<ReplayReport> {
  const letter = await context.table.on(tx.handlerTransaction).find(id);
  const read = readingOf(context, id, letter);
  if ('report' in read) return read.report;
  await tx.handlerTransaction.write('SAVEPOINT dead_letter');
  try {
    const applied = await take(context, tx, read.arrival);
    const releases = await followers(context, tx, applied);
    return { ...reportOf(letter!, applied), releases };
  } catch (error) {
    if (!(error instanceof HandlerError)) throw error;
    await tx.handlerTransaction.write('ROLLBACK TO SAVEPOINT dead_letter');
    return { id, outcome: 'fails', event: letter!.event, detail: inWords(error) };
  }
}

/** Takes a letter's event again; `by` and `why` go into the audit. */
export async function replay(
  context: DeadLetterContext,
  { id }: LetterSummary,
  { by, why }: { by: string; why: string },
): Promise<ReplayReport> {
  for (;;) {
    const letter = await context.table.find(id);
    const read = readingOf(context, id, letter);
    if ('report' in read) {
      const { outcome, detail } = read.report;
      if (outcome === 'poison') await failed(context, letter!, { by, why }, read.poison!);
      context.metrics.count('inbox.dead_letters.settled.total', 1, { outcome });
      return { ...read.report, detail };
    }
    try {
      const applied = await inTransaction(context, async (tx) => {
        const applied = await take(context, tx, read.arrival, async () => stillThere(context, tx, letter!));
        const { outcome } = reportOf(letter!, applied);
        if (outcome !== 'refused') {
          const letters = context.table.on(tx.handlerTransaction);
          await letters.settle(id, 'replayed');
          await letters.writeAudit(id, { action: 'replayed', outcome, by, why });
        }
        return applied;
      });
      const report = reportOf(letter!, applied);
      context.metrics.count('inbox.dead_letters.settled.total', 1, { outcome: report.outcome });
      await announce(context, applied);
      await context.release(applied.next);
      return report;
    } catch (error) {
      if (error instanceof LetterMovedError) continue;
      if (!(error instanceof HandlerError)) throw error;
      const detail = inWords(error);
      await failed(context, letter!, { by, why }, { reason: 'handler', detail });
      context.metrics.count('inbox.dead_letters.settled.total', 1, { outcome: 'fails' });
      return { id, outcome: 'fails', event: letter!.event, detail };
    }
  }
}

type Reading = { arrival: Arrival } | { report: ReplayReport; poison?: Poison };

function readingOf({ catalogue }: DeadLetterContext, id: string, letter: Letter | null): Reading {
  if (letter === null) return { report: { id, outcome: 'gone', event: null, detail: 'there is no such letter' } };
  const { event, state } = letter;
  if (state !== 'waiting') return { report: { id, outcome: 'settled', event, detail: `it is ${state} already` } };
  const read = readMessage(letter.message, catalogue);
  if (!('reason' in read)) return { arrival: read };
  return { report: { id, outcome: 'poison', event, detail: `${read.reason}: ${read.detail}` }, poison: read };
}

/** The event goes through the same decision as one that comes from Kafka. No position is written: it comes from nowhere. */
function take(
  { applyOptions }: DeadLetterContext,
  tx: StoreTransaction,
  arrival: Arrival,
  onLocked?: () => Promise<void>,
): Promise<Applied> {
  return applyWithin(tx, applyOptions, { items: [arrival], positions: [], lookUp: 'all', drain: false, onLocked });
}

/** Streams are locked before letters, as consumers do: two operators meet at the stream and wait for each other. */
async function stillThere(
  { table }: DeadLetterContext,
  tx: StoreTransaction,
  { id, revision }: LetterSummary,
): Promise<void> {
  const now = await table.on(tx.handlerTransaction).lock(id);
  if (now?.state !== 'waiting' || now.revision !== revision) throw new LetterMovedError();
}

async function followers(context: DeadLetterContext, tx: StoreTransaction, applied: Applied): Promise<number> {
  let count = 0;
  for (let { next } = applied; next.length > 0 && count < countedReleases; count++) {
    ({ next } = await take(context, tx, next[0]!));
  }
  return count;
}

async function failed(
  context: DeadLetterContext,
  { id }: LetterSummary,
  { by, why }: { by: string; why: string },
  { reason, detail }: Pick<Poison, 'reason' | 'detail'>,
): Promise<void> {
  await inTransaction(context, async (tx) => {
    const letters = context.table.on(tx.handlerTransaction);
    if ((await letters.lock(id))?.state !== 'waiting') return;
    await letters.failAgain(id, { reason, detail });
    await letters.writeAudit(id, {
      action: 'replay-failed',
      outcome: reason === 'handler' ? 'fails' : 'poison',
      by,
      why,
    });
  });
}

function reportOf({ id, event }: LetterSummary, { counts, poison }: Applied): ReplayReport {
  const [refused] = poison;
  if (refused) return { id, outcome: 'refused', event, detail: refused.detail };
  if (counts.applied > 0) return { id, outcome: 'applied', event, detail: null };
  if (counts.duplicate > 0) return { id, outcome: 'duplicate', event, detail: 'its id is known' };
  if (counts.stale > 0) return { id, outcome: 'stale', event, detail: 'its stream has passed its version' };
  return { id, outcome: 'parked', event, detail: 'an earlier version is still missing' };
}
