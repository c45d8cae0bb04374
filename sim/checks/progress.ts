import type { FinalState, Happening } from '../history.ts';
import type { Violation } from './violation.ts';

export function losses(history: readonly Happening[], final: FinalState): Violation[] {
  const found: Violation[] = [];
  const inTopic = new Set<string>();
  const stale = new Set<string>();
  for (const each of history) {
    if (each.kind === 'broker') inTopic.add(each.event);
    if (each.kind === 'consumer' && each.op === 'stale') stale.add(each.event);
  }
  const unsent = new Set([...final.unsent, ...(final.withheld ?? [])]);
  const skipped = new Set(final.skipped);
  const settled = new Set([...stale, ...final.parked, ...final.deadLetters]);
  const appliedBy = new Map<string, Set<string>>([['', new Set()]]);
  for (const { event, consumer = '' } of final.effects) {
    const events = appliedBy.get(consumer);
    if (events) events.add(event);
    else appliedBy.set(consumer, new Set([event]));
  }
  if (appliedBy.size > 1 && appliedBy.get('')!.size === 0) appliedBy.delete('');
  const notRead = final.positions.some(({ stored, end }) => stored < end);
  for (const { event, aggregate, version } of final.ledger) {
    if (skipped.has(event)) continue;
    const name = `version ${version} of ${aggregate} (${event})`;
    if (!inTopic.has(event)) {
      if (unsent.has(event)) continue;
      found.push({ invariant: 'no loss', detail: `${name} is neither in the topic nor waits to be sent`, aggregate });
    } else if (!notRead && !settled.has(event)) {
      for (const [consumer, events] of appliedBy) {
        if (events.has(event)) continue;
        const where = consumer === '' ? '' : ` in ${consumer}`;
        found.push({ invariant: 'no loss', detail: `${name} was read and has left no trace${where}`, aggregate });
      }
    }
  }
  return found;
}

/** At the end nothing waits any more. */
export function drained(final: FinalState): Violation[] {
  const found: Violation[] = [];
  const bad = (detail: string, partition?: number) => found.push({ invariant: 'progress', detail, partition });
  if (final.unsent.length > 0) bad(`${final.unsent.length} events still wait to be sent`);
  if (final.parked.length > 0) bad(`${final.parked.length} events still wait parked`);
  for (const { partition, stored, end } of final.positions) {
    if (stored < end) bad(`partition ${partition} is read to ${stored} of ${end}`, partition);
  }
  return found;
}

/**
 * While most replicas of every part work, and something waits, something moves within `limitMs`: a waiting event comes into the
 * topic; a partition that is not read to its end is read on.
 */
export function windows(history: readonly Happening[], final: FinalState, limitMs: number): Violation[] {
  const found: Violation[] = [];
  const committed = new Set(final.ledger.map(({ event }) => event));
  const ill = new Set<string>();
  const unsent = new Set<string>();
  const inTopic = new Set<string>();
  const sending = new Stall(limitMs);
  const reading: { partition: number; stall: Stall; end: number; kept: number }[] = [];
  const partitionOf = (partition: number) => {
    const known = reading.find((one) => one.partition === partition);
    if (known) return known;
    const found = { partition, stall: new Stall(limitMs), end: 0, kept: 0 };
    reading.push(found);
    return found;
  };
  for (const each of history) {
    const { atMs } = each;
    if (ill.size === 0) {
      const late = sending.lateMs(atMs);
      if (late > 0) {
        const detail = `${unsent.size} committed events wait, and none came into the topic for ${late} ms up to ${atMs}`;
        found.push({ invariant: 'progress', detail });
        sending.told();
      }
      for (const { partition, stall, end, kept } of reading) {
        const lateMs = stall.lateMs(atMs);
        if (lateMs === 0) continue;
        const detail = `partition ${partition} is read to ${kept} of ${end}, and not further for ${lateMs} ms up to ${atMs}`;
        found.push({ invariant: 'progress', detail, partition });
        stall.told();
      }
    }
    if (each.kind === 'client' && (each.op === 'ok' || each.op === 'info') && each.event !== undefined) {
      if (committed.has(each.event) && !inTopic.has(each.event)) {
        unsent.add(each.event);
        sending.waits(atMs);
      }
    } else if (each.kind === 'broker') {
      inTopic.add(each.event);
      if (unsent.delete(each.event)) sending.moved(atMs, unsent.size > 0);
      const partition = partitionOf(each.partition);
      partition.end = each.offset + 1;
      partition.stall.waits(atMs);
    } else if (each.kind === 'consumer' && each.op === 'offset' && each.store === 'inbox') {
      const partition = partitionOf(each.partition);
      partition.kept = Math.max(partition.kept, each.offset);
      partition.stall.moved(atMs, partition.kept < partition.end);
    } else if (each.kind === 'health') {
      if (each.healthy * 2 > each.of) ill.delete(each.part);
      else ill.add(each.part);
      // Time counts anew: what was broken has to find its way back first.
      sending.restart(atMs);
      for (const { stall } of reading) stall.restart(atMs);
    }
  }
  return found;
}

/** Since when something waits without moving. */
class Stall {
  readonly #limitMs: number;
  #sinceMs: number | null = null;

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  waits(atMs: number): void {
    this.#sinceMs ??= atMs;
  }

  moved(atMs: number, more: boolean): void {
    this.#sinceMs = more ? atMs : null;
  }

  restart(atMs: number): void {
    if (this.#sinceMs !== null) this.#sinceMs = atMs;
  }

  /** Once is enough. */
  told(): void {
    this.#sinceMs = Number.POSITIVE_INFINITY;
  }

  /** How long nothing has moved, where that is too long; else 0. */
  lateMs(atMs: number): number {
    if (this.#sinceMs === null || atMs - this.#sinceMs <= this.#limitMs) return 0;
    return atMs - this.#sinceMs;
  }
}
