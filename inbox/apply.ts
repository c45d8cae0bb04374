import { HandlerError, isDatabaseError } from './database/errors.ts';
import { dispatch } from './dispatch.ts';
import { type Arrival, idsToLookUp, type Plan, planBatch, type Skip, streamKey } from './plan.ts';
import type { Poison } from './read.ts';
import type { InboxStore, NewStream, Position, StoreTransaction } from './store/store.ts';
import type { InboxEvent, InboxHandlers, InboxMode, InboxTransaction } from './types.ts';

/** A message as it was read: an event in order, or poison. */
export type Item = Arrival | Poison;

export const isPoison = (item: Item): item is Poison => 'reason' in item;

const isParkedPoison = (item: Item): item is Poison & Arrival =>
  isPoison(item) && item.parked === true && item.event !== null;

export interface ApplyOptions {
  store: InboxStore;
  mode: InboxMode;
  handlers: InboxHandlers;
  /** Runs a handler: with a time limit, and whatever else the caller wants around it. */
  callHandler(work: () => Promise<unknown>): Promise<unknown>;
  /** Parked events of one stream at most; what comes on top goes to the dead letters. */
  parkedLimit: number;
  /** See `InboxOptions.baseline`. */
  baseline: Baseline;
}

/** Where the streams of a new sequence inbox begin: at version 1, or at the first version that comes. */
export type Baseline = 'first-version' | 'first-seen';

export interface ApplyRequest {
  /** Messages of any partitions, in order for each. */
  items: readonly Item[];
  /** What to write as the next offsets. */
  positions: readonly Position[];
  /** `all` after the unique key contradicted the watermarks. */
  lookUp: 'possible' | 'all';
  /** Whether parked events follow at once when their turn comes. */
  drain: boolean;
  /** A stream to look at although no message is of it: parked events may have to follow. */
  stream?: NewStream | undefined;
  /** `stream` counts as applied through this version; `reason` goes with the parked events that this passes by. */
  skip?: { version: bigint; reason: string } | undefined;
  /** What is parked of `stream` goes to the dead letters, for this reason. */
  giveUp?: string | undefined;
  /** Runs when the streams are locked, before anything is read of them. */
  onLocked?(tx: StoreTransaction): Promise<void>;
}

export interface Applied {
  events: readonly InboxEvent[];
  counts: Plan['counts'];
  alarms: Plan['alarms'];
  poison: readonly Poison[];
  /** Parked events whose turn has come; each is to be taken by itself. */
  next: readonly Arrival[];
}

/**
 * One transaction: effects, ids, watermarks, dead letters and offsets of these messages, all or nothing. Streams are created,
 * locked, then read; only what is new is recorded and handed to the handlers.
 */
export function applyItems(options: ApplyOptions, request: ApplyRequest): Promise<Applied> {
  return options.store.transaction((tx) => applyWithin(tx, options, request));
}

/** The same within a transaction that somebody else ends. */
export async function applyWithin(
  tx: StoreTransaction,
  options: ApplyOptions,
  request: ApplyRequest,
): Promise<Applied> {
  const { handlers, callHandler } = options;
  const plan = await planOf(tx, options, request);
  const poison = [
    ...request.items.filter(isPoison),
    ...plan.refused.map((arrival) => overLimit(arrival, options.parkedLimit)),
    ...plan.skipped.map((arrival) => passedBy(arrival, request.skip?.reason ?? '')),
    ...plan.dropped.map((arrival) => tooOld(arrival, request.giveUp ?? '')),
  ];
  await tx.record(plan.recorded);
  for (const { handler, events } of dispatch(plan.applied, handlers)) {
    try {
      await callHandler(() => callOne(handler, tx.handlerTransaction, events));
    } catch (error) {
      throw isDatabaseError(error) ? error : new HandlerError(error);
    }
  }
  await tx.writeStreams(plan.changed);
  await tx.unpark(plan.unpark);
  await tx.park(plan.park);
  await tx.writeDeadLetters(poison);
  await tx.writeOffsets(request.positions);
  return { events: plan.applied, counts: plan.counts, alarms: plan.alarms, poison, next: plan.next };
}

async function planOf(
  tx: StoreTransaction,
  { mode, parkedLimit, baseline }: ApplyOptions,
  request: ApplyRequest,
): Promise<Plan> {
  const arrivals = request.items.filter((item): item is Arrival => !isPoison(item));
  const drop = request.items.filter(isParkedPoison);
  const touched = newStreams([...arrivals, ...drop], mode === 'sequence' ? baseline : 'first-version');
  const streams = await tx.lockStreams(request.stream ? [...touched, request.stream] : touched);
  await request.onLocked?.(tx);
  const withParked = mode === 'sequence' ? [...streams.values()].filter((stream) => stream.parked > 0) : [];
  const parked = withParked.length > 0 ? await tx.findParked(withParked) : new Map();
  const ids = idsToLookUp(arrivals, streams, request.lookUp);
  const seen = ids.length > 0 ? await tx.findSeen(ids) : new Set<string>();
  return planBatch({
    mode,
    arrivals,
    streams,
    seen,
    parked,
    parkedLimit,
    drain: request.drain,
    drop,
    skip: skipOf(request),
    giveUp: request.giveUp === undefined ? undefined : request.stream,
  });
}

async function callOne(
  handler: InboxHandlers[string],
  tx: InboxTransaction,
  events: readonly InboxEvent[],
): Promise<void> {
  if (handler.handleBatch) {
    await handler.handleBatch(tx, events);
    return;
  }
  for (const event of events) await handler.handle!(tx, event);
}

/** The first event of a stream in the batch says what its row begins with where there is none. */
function newStreams(arrivals: readonly Pick<Arrival, 'event'>[], baseline: Baseline): NewStream[] {
  const streams = new Map<string, NewStream>();
  for (const { event } of arrivals) {
    const key = streamKey(event);
    if (streams.has(key)) continue;
    const { source, aggregateType, aggregateId, incarnation, occurredAt } = event;
    const version = baseline === 'first-seen' ? event.version - 1n : 0n;
    streams.set(key, { source, aggregateType, aggregateId, incarnation, version, occurredAtMs: occurredAt.getTime() });
  }
  return [...streams.values()];
}

function skipOf({ stream, skip }: ApplyRequest): Skip | undefined {
  if (!stream || !skip) return undefined;
  return { ...stream, version: skip.version, occurredAt: new Date(stream.occurredAtMs) };
}

function passedBy({ event, message }: Arrival, reason: string): Poison {
  const detail = `the stream was taken past version ${event.version} by hand: ${reason}`;
  return { message, reason: 'gap', detail, attempts: 0, event };
}

function tooOld({ event, message }: Arrival, detail: string): Poison {
  return { message, reason: 'parked-age', detail, attempts: 0, event };
}

function overLimit({ event, message }: Arrival, limit: number): Poison {
  const detail = `version ${event.version} came too early, and ${limit} events of its stream are parked already`;
  return { message, reason: 'parked-limit', detail, attempts: 1, event };
}
