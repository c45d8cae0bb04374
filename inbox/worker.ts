import { type Clock, pause } from '../clock/clock.ts';
import type { Catalogue } from '../events/catalogue.ts';
import type { IncomingBatch, IncomingMessage, Logger } from '../kafka/port.ts';
import { announce } from './announce.ts';
import {
  type Applied,
  type ApplyOptions,
  type ApplyRequest,
  applyItems,
  type Baseline,
  type Item,
  isPoison,
} from './apply.ts';
import { backoffMs } from './backoff.ts';
import { faultOf, HandlerError, KnownIdError } from './database/errors.ts';
import type { InboxMetrics } from './metrics.ts';
import type { Arrival } from './plan.ts';
import { type Poison, readMessages } from './read.ts';
import type { Gap, InboxStore, NewStream, Position } from './store/store.ts';
import type { AfterCommit, InboxHandlers, InboxMode } from './types.ts';

export interface WorkerOptions {
  store: InboxStore;
  mode: InboxMode;
  catalogue: Catalogue;
  handlers: InboxHandlers;
  afterCommit?: AfterCommit | undefined;
  clock: Clock;
  metrics: InboxMetrics;
  logger: Logger;
  random(): number;
  /** Messages in one transaction at most. */
  batchSize: number;
  /** How often an event is tried by itself before it goes to the dead letters. */
  handlerAttempts: number;
  /** A handler call that takes longer has failed. Below the database's `wait_timeout` for idle sessions (15 s). */
  handlerTimeoutMs: number;
  parkedLimit: number;
  baseline: Baseline;
  /** After each transaction. */
  onApplied?(applied: Applied, positions: readonly Position[]): void;
}

type Also = Pick<ApplyRequest, 'stream' | 'skip' | 'giveUp'>;

/** Work was told to stop: nothing of what is left was done. */
export class InterruptedError extends Error {
  override readonly name = 'InterruptedError';
  readonly code = 'INBOX_INTERRUPTED';
  readonly retryable = true;
}

export interface BatchWorker {
  /**
   * Applies a batch of one partition and answers the next offset to read; what is before it is stored for good. It may be
   * short of the batch's end where work was to stop. Throws `InterruptedError` where nothing was done.
   */
  process(batch: IncomingBatch, signal: AbortSignal): Promise<bigint>;
  /** Takes events that came from elsewhere than Kafka (their offset is negative): throws where a handler fails. */
  offer(items: readonly Item[], signal: AbortSignal): Promise<void>;
  /** Takes parked events of a stream whose turn has come. */
  release(gap: Gap, signal: AbortSignal): Promise<void>;
  /** From now on the stream counts as applied through `version`; parked events up to it become dead letters. */
  skip(gap: Gap, version: bigint, reason: string, signal: AbortSignal): Promise<void>;
  /** What is parked of the stream becomes dead letters: nobody fills its gap. */
  giveUp(gap: Gap, reason: string, signal: AbortSignal): Promise<void>;
}

/**
 * Takes batches through transactions until each message is applied, known, parked or a dead letter. What hinders the database
 * is waited out for as long as it takes; an event whose handler fails is found by halving the batch, tried again by
 * itself, and then put among the dead letters, so that it holds up nobody else.
 */
export function createWorker(options: WorkerOptions): BatchWorker {
  const { clock, metrics, logger } = options;
  const applyOptions = applyOptionsOf(options);

  return {
    async process({ messages }, signal) {
      let next: bigint | null = null;
      for (let at = 0; at < messages.length && !signal.aborted; at += options.batchSize) {
        const chunk = messages.slice(at, at + options.batchSize);
        try {
          await takeWithParked(readItems(chunk, options.catalogue), signal);
        } catch (error) {
          if (next !== null && error instanceof InterruptedError) break;
          throw error;
        }
        next = chunk.at(-1)!.offset + 1n;
      }
      if (next === null) throw new InterruptedError('The partition was taken away, or the inbox stops.');
      return next;
    },
    offer: takeWithParked,
    release: (gap, signal) => takeWithParked([], signal, { stream: streamOf(gap) }),
    skip: (gap, version, reason, signal) =>
      takeWithParked([], signal, { stream: streamOf(gap), skip: { version, reason } }),
    giveUp: (gap, reason, signal) => takeWithParked([], signal, { stream: streamOf(gap), giveUp: reason }),
  };

  /** What waited parked for these follows one by one, so that each answers for itself. */
  async function takeWithParked(items: readonly Item[], signal: AbortSignal, also: Also = {}): Promise<void> {
    const following = await take(items, signal, also);
    for (let next = following.shift(); next; next = following.shift()) following.push(...(await take([next], signal)));
  }

  /** Answers the parked events whose turn has come. */
  async function take(items: readonly Item[], signal: AbortSignal, also: Also = {}): Promise<Arrival[]> {
    let lookUp: 'possible' | 'all' = 'possible';
    let failures = 0;
    let attempts = 0;
    for (;;) {
      if (signal.aborted) throw new InterruptedError('The partition was taken away, or the inbox stops.');
      try {
        const { next } = await takeOnce(items, lookUp, also);
        return [...next];
      } catch (error) {
        if (error instanceof KnownIdError && failures < 10) {
          lookUp = 'all';
          retried('known-id', ++failures, error, items);
          if (failures > 1) await pause(clock, backoffMs(failures, 10, 1000, options.random), signal);
          continue;
        }
        const fault = faultOf(error);
        switch (fault) {
          case 'conflict':
            retried(fault, ++failures, error, items);
            await pause(clock, backoffMs(failures, 10, 1000, options.random), signal);
            break;
          case 'away':
          case 'not-ready':
            retried(fault, ++failures, error, items);
            await pause(clock, backoffMs(failures, 50, 3000, options.random), signal);
            break;
          case 'other':
            if (items.length === 0) throw error;
            if (items.length > 1) return halve(items, signal);
            retried('handler', ++attempts, error, items);
            if (attempts >= options.handlerAttempts) return bury(items[0]!, attempts, error, signal);
            await pause(clock, backoffMs(attempts, 50, 1000, options.random), signal);
            break;
          default:
            fault satisfies never;
        }
      }
    }
  }

  async function halve(items: readonly Item[], signal: AbortSignal): Promise<Arrival[]> {
    const middle = Math.ceil(items.length / 2);
    const first = await take(items.slice(0, middle), signal);
    return [...first, ...(await take(items.slice(middle), signal))];
  }

  /** Puts an event whose handler failed in every attempt among the dead letters. Throws where it can't be stored there. */
  async function bury(item: Item, attempts: number, error: unknown, signal: AbortSignal): Promise<Arrival[]> {
    if (isPoison(item) || item.message.offset < 0n) throw error;
    const poison: Poison = { ...item, reason: 'handler', detail: inWords(error), attempts };
    return take([poison], signal);
  }

  async function takeOnce(items: readonly Item[], lookUp: 'possible' | 'all', also: Also): Promise<Applied> {
    const positions = positionsAfter(items);
    const before = clock.monotonicMs();
    const applied = await applyItems(applyOptions, { items, positions, lookUp, drain: items.length > 1, ...also });
    metrics.observe('inbox.batch.ms', clock.monotonicMs() - before);
    metrics.observe('inbox.batch.events', items.length);
    options.onApplied?.(applied, positions);
    await announce(options, applied);
    return applied;
  }

  function retried(reason: string, failures: number, error: unknown, items: readonly Item[]): void {
    metrics.count('inbox.retries.total', 1, { reason });
    if (failures > 3 && failures % 10 !== 0) return;
    const first = items[0]?.message;
    const where = first ? ` from ${first.topic}/${first.partition}/${first.offset}` : '';
    const what = `inbox: ${items.length} messages${where} failed (${reason}, ${failures})`;
    if (reason === 'conflict') logger.info(`${what}: ${inWords(error)}`);
    else if (reason === 'away') logger.warn(`${what}: ${inWords(error)}`);
    else logger.warn(`${what}:`, error instanceof HandlerError ? error.thrown : error);
  }
}

/** How a worker applies events: dead letters are applied in the same way. */
export function applyOptionsOf(
  options: Omit<ApplyOptions, 'callHandler'> & Pick<WorkerOptions, 'clock' | 'handlerTimeoutMs'>,
): ApplyOptions {
  return { ...options, callHandler: (work) => inTime(options.clock, options.handlerTimeoutMs, work) };
}

/** Reads each message once, however often its transaction is tried. */
function readItems(messages: readonly IncomingMessage[], catalogue: Catalogue): Item[] {
  const { arrivals, poison } = readMessages(messages, catalogue);
  if (poison.length === 0) return arrivals;
  const items: Item[] = [...arrivals, ...poison];
  return items.sort((a, b) => (a.message.offset < b.message.offset ? -1 : 1));
}

function positionsAfter(items: readonly Item[]): Position[] {
  const positions = new Map<string, Position>();
  for (const { message } of items) {
    const { topic, partition, offset } = message;
    if (offset < 0n) continue;
    positions.set(`${topic} ${partition}`, { topic, partition, offset: offset + 1n });
  }
  return [...positions.values()];
}

function streamOf({ source, aggregateType, aggregateId, incarnation, firstParkedAtMs }: Gap): NewStream {
  return { source, aggregateType, aggregateId, incarnation, version: 0n, occurredAtMs: firstParkedAtMs };
}

async function inTime(clock: Clock, limitMs: number, work: () => Promise<unknown>): Promise<unknown> {
  let cancel = () => {};
  const late = new Promise<never>((_, reject) => {
    cancel = clock.after(limitMs, () => reject(new Error(`The handler took longer than ${limitMs} ms.`)));
  });
  try {
    return await Promise.race([work(), late]);
  } finally {
    cancel();
  }
}

/** An error in one line. */
export function inWords(error: unknown): string {
  if (error instanceof HandlerError) return inWords(error.thrown);
  if (!(typeof error === 'object' && error !== null && 'message' in error)) return String(error);
  const { name, message, code } = error as { name?: string; message: unknown; code?: unknown };
  return `${name ?? 'Error'}${code === undefined ? '' : ` (${String(code)})`}: ${String(message)}`;
}
