import type { Moment } from '../kinds/kind.ts';
import type { KindName } from '../kinds/titles.ts';
import type { Observed } from '../truth/read.ts';
import type { EventTimes } from './series.ts';

/** An event of the ledger and when what became of it. */
export interface TimedEvent extends EventTimes {
  source: string;
  bucket: number | null;
  recordedMs: Readonly<Record<string, number | undefined>>;
}

/** When each event was committed, sent and applied by every consumer. Pure. */
export function timesOf(observed: Observed, consumers: readonly string[]): TimedEvent[] {
  const marks = new Map(observed.marks.map((mark) => [`${mark.source} ${mark.outboxId}`, mark]));
  const recorded = new Map<string, Record<string, number>>();
  for (const { kind, event, consumer, atMs } of observed.consumed) {
    if (kind !== 'recorded' || event === null) continue;
    const times = recorded.get(event) ?? {};
    times[consumer] ??= atMs;
    recorded.set(event, times);
  }
  return observed.ledger.map(({ atMs, source, outboxId, event }) => {
    const mark = marks.get(`${source} ${outboxId}`);
    const recordedMs = recorded.get(event) ?? {};
    const all = consumers.map((consumer) => recordedMs[consumer]);
    return {
      source,
      committedMs: atMs,
      sentMs: mark?.atMs ?? null,
      bucket: mark?.bucket ?? null,
      appliedMs: all.every((ms) => ms !== undefined) ? Math.max(...all) : null,
      recordedMs,
    };
  });
}

/** Events that were there or came within this time after a moment are waited for. */
const soonMs = 1_000;

/**
 * How long events of these buckets waited for being sent after their owner was gone, the longest; null: there were none. An
 * event that was committed later than the moment counts from its commit.
 */
export function publishingAgainMs(
  events: readonly TimedEvent[],
  atMs: number,
  buckets: readonly string[],
): number | null {
  const those = new Set(buckets);
  const waits = events
    .filter(({ source, bucket }) => those.has(`${source}.${bucket}`))
    .filter(({ committedMs, sentMs }) => committedMs <= atMs + soonMs && (sentMs ?? Number.POSITIVE_INFINITY) > atMs)
    .map(({ committedMs, sentMs }) => (sentMs ?? Number.POSITIVE_INFINITY) - Math.max(committedMs, atMs));
  return waits.length === 0 ? null : Math.max(...waits);
}

/** The same for a consumer's events. */
export function progressAgainMs(events: readonly TimedEvent[], atMs: number, consumer: string): number | null {
  const waits = events
    .map(({ committedMs, recordedMs }) => ({ committedMs, doneMs: recordedMs[consumer] ?? Number.POSITIVE_INFINITY }))
    .filter(({ committedMs, doneMs }) => committedMs <= atMs + soonMs && doneMs > atMs)
    .map(({ committedMs, doneMs }) => doneMs - Math.max(committedMs, atMs));
  return waits.length === 0 ? null : Math.max(...waits);
}

/** Until somebody else had each of the buckets, the longest. */
export function takenOverMs(
  leases: Observed['leases'],
  { atMs, node, buckets }: { atMs: number; node: string; buckets: readonly string[] },
): number | null {
  if (buckets.length === 0) return null;
  return Math.max(
    ...buckets.map((bucket) => {
      const next = leases.find(
        (lease) =>
          lease.atMs >= atMs &&
          lease.owner !== null &&
          lease.process !== node &&
          `${lease.source}.${lease.bucket}` === bucket,
      );
      return next === undefined ? Number.POSITIVE_INFINITY : next.atMs - atMs;
    }),
  );
}

/** Until the first of the events that waited, or came soon after, was sent; null: there were none. */
export function drainingMs(events: readonly TimedEvent[], atMs: number): number | null {
  const sent = events
    .filter(({ committedMs, sentMs }) => committedMs <= atMs + soonMs && (sentMs ?? Number.POSITIVE_INFINITY) > atMs)
    .map(({ sentMs }) => (sentMs ?? Number.POSITIVE_INFINITY) - atMs);
  return sent.length === 0 ? null : Math.min(...sent);
}

/** A promise about time, what was measured for it, and whether it held. */
export interface Limit {
  title: string;
  limitMs: number;
  valuesMs: number[];
  /** So many at least must have been measured. */
  needed: number;
}

export function holds({ limitMs, valuesMs, needed }: Limit): boolean {
  return valuesMs.length >= needed && valuesMs.every((value) => value <= limitMs);
}

export interface Measured {
  moments: readonly Moment[];
  events: readonly TimedEvent[];
  leases: Observed['leases'];
}

/** The promised times, over all boards of a run. Pure. */
export function limitsOf(
  boards: readonly Measured[],
  {
    leaseMs,
    needed,
    deadlineFactor,
  }: { leaseMs: number; needed: Readonly<Record<KindName, number>>; deadlineFactor: number },
): Limit[] {
  const values = (of: (moment: Moment, board: Measured) => number | null) =>
    boards.flatMap((board) => board.moments.map((moment) => of(moment, board))).filter((value) => value !== null);
  const again = (kind: Moment['kind']) =>
    values((moment, { events }) =>
      moment.kind === kind && 'buckets' in moment ? publishingAgainMs(events, moment.atMs, moment.buckets) : null,
    );
  const progress = (kind: Moment['kind']) =>
    values((moment, { events }) =>
      moment.kind === kind && 'consumer' in moment ? progressAgainMs(events, moment.atMs, moment.consumer) : null,
    );
  const back = (what: 'broker' | 'database') =>
    values((moment, { events }) =>
      moment.kind === 'back' && moment.what === what ? drainingMs(events, moment.atMs) : null,
    );
  const sigterm = values((moment, { leases }) =>
    moment.kind === 'relay-terminated' ? takenOverMs(leases, moment) : null,
  );
  const drained = values((moment) => (moment.kind === 'drained' ? moment.tookMs : null));
  const lease = `${leaseMs / 1000} s lease`;
  const limits: Limit[] = [
    {
      title: `relay owner killed: publishing again (${lease} + 2 s)`,
      limitMs: leaseMs + 2_000,
      valuesMs: again('relay-killed'),
      needed: needed['relay-killed'],
    },
    {
      title: `relay owner stopped: publishing again (${lease} + 2 s)`,
      limitMs: leaseMs + 2_000,
      valuesMs: again('relay-stopped'),
      needed: needed['relay-stopped'],
    },
    { title: 'relay asked to end: handed over', limitMs: 1_000, valuesMs: sigterm, needed: needed['rolling-restart'] },
    {
      title: 'consumer killed: progress',
      limitMs: 15_000,
      valuesMs: progress('consumer-killed'),
      needed: needed['consumer-killed'],
    },
    {
      title: 'consumer stopped, others come and go: progress',
      limitMs: 15_000,
      valuesMs: progress('consumer-stopped'),
      needed: needed['consumer-stopped'],
    },
    { title: 'broker back: draining', limitMs: 10_000, valuesMs: back('broker'), needed: needed['broker-killed'] },
    { title: 'database back: draining', limitMs: 10_000, valuesMs: back('database'), needed: needed['database-reset'] },
    { title: 'node asked to end: drained', limitMs: 20_000, valuesMs: drained, needed: needed['rolling-restart'] },
  ];
  return limits.map((limit) => ({ ...limit, limitMs: deadlineFactor * limit.limitMs }));
}
