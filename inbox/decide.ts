import type { InboxMode } from './types.ts';

/**
 * What becomes of an event. `applied`: its effects are made. `duplicate`: its id is known, nothing happens. `stale`: a newer
 * one was applied before it; its id is recorded, nothing else happens. `gap`: it came too early, and waits parked.
 */
export type Decision = 'applied' | 'duplicate' | 'stale' | 'gap';

/** How far one stream (source, aggregate type, aggregate id) is applied. Version 0: nothing yet. */
export interface Watermark {
  readonly incarnation: string;
  readonly version: bigint;
  /** When the event at the watermark happened, by the producer's clock, ms since 1970. */
  readonly occurredAtMs: number;
}

/** What the decision needs to know of an event; `seen` where its id is in the inbox. */
export interface Candidate {
  readonly incarnation: string;
  readonly version: bigint;
  readonly occurredAt: Date;
  readonly seen: boolean;
}

/**
 * The decision about one event. Where a producer's database was made anew, its events have another incarnation and their
 * versions begin again: the old watermark does not hold for them. Events of the database before that are stale for ever.
 */
export function decide(watermark: Watermark, event: Candidate, mode: InboxMode): Decision {
  if (event.seen) return 'duplicate';
  const incarnation = incarnationOf(watermark, event);
  if (incarnation === 'earlier') return 'stale';
  const last = incarnation === 'later' ? 0n : watermark.version;
  if (event.version <= last) return 'stale';
  return mode === 'sequence' && event.version > last + 1n ? 'gap' : 'applied';
}

/**
 * What an operator must hear about. `unseen-below-watermark`: an id that was never here carries a version that has passed:
 * the producer's database was restored from a backup, or versions came out of order. `seen-above-watermark`: an id is known but
 * its version has not passed: this inbox was tampered with or partly restored. `incarnation-changed`: the producer's database
 * was made anew. `old-incarnation`: an event of the database before that.
 */
export type Alarm = 'unseen-below-watermark' | 'seen-above-watermark' | 'incarnation-changed' | 'old-incarnation';

export function alarmOf(watermark: Watermark, event: Candidate, decision: Decision): Alarm | null {
  const incarnation = incarnationOf(watermark, event);
  switch (decision) {
    case 'applied':
    case 'gap':
      return incarnation === 'later' && watermark.version > 0n ? 'incarnation-changed' : null;
    case 'duplicate':
      return hasPassed(watermark, event) ? null : 'seen-above-watermark';
    case 'stale':
      return incarnation === 'earlier' ? 'old-incarnation' : 'unseen-below-watermark';
    default:
      return decision satisfies never;
  }
}

/**
 * Whether the stream is past this event. An id is recorded together with a watermark that is past it, so only events that
 * have passed can be in the inbox and need a look-up; the unique key catches what contradicts it.
 */
export function hasPassed(watermark: Watermark, event: Omit<Candidate, 'seen'>): boolean {
  const incarnation = incarnationOf(watermark, event);
  return incarnation === 'earlier' || (incarnation === 'same' && event.version <= watermark.version);
}

/** Incarnations are random: of two, the one whose events happened later is the later one. */
function incarnationOf(watermark: Watermark, event: Omit<Candidate, 'seen'>): 'earlier' | 'same' | 'later' {
  if (event.incarnation === watermark.incarnation) return 'same';
  return event.occurredAt.getTime() < watermark.occurredAtMs ? 'earlier' : 'later';
}
