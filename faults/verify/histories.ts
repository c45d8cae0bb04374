import type { Comparison, FinalState, Happening, LedgerRow } from '../../sim/history.ts';
import { type CallRecord, fingerprintOfCall, fingerprintOfEvent, isChange, sourceOf } from '../load/calls.ts';
import type { ConsumedEntry, LedgerEntry, Observed } from '../truth/read.ts';

export const consumers = ['auditor', 'hot-article'] as const;
export type ConsumerName = (typeof consumers)[number];

/** A position that the harness saw in Kafka while the board ran. */
export interface KafkaOffset {
  atMs: number;
  consumer: ConsumerName;
  source: string;
  partition: number;
  offset: number;
}

/** What the board could not do anything about, from one moment to the next. */
export interface Outage {
  fromMs: number;
  toMs: number;
}

export interface Evidence {
  observed: Observed;
  calls: readonly CallRecord[];
  kafkaOffsets: readonly KafkaOffset[];
  outages: readonly Outage[];
  /** What hot lists and Redis show, beside recounts and a rebuild. */
  recounts: readonly Comparison[];
  redis: readonly Comparison[];
}

/** Events by what made them: normally one for each fingerprint. */
export function eventsByFingerprint(ledger: readonly LedgerEntry[]): Map<string, LedgerEntry[]> {
  const found = new Map<string, LedgerEntry[]>();
  for (const entry of ledger) {
    const fingerprint = fingerprintOfEvent(entry.type, entry.payload);
    if (fingerprint === null) continue;
    const same = found.get(fingerprint);
    if (same) same.push(entry);
    else found.set(fingerprint, [entry]);
  }
  return found;
}

/**
 * What happened to one producer's events, in the checker's terms, as one consumer met them. Pure. What no trigger and no client
 * sees (a relay's sends and acknowledgements, inside its process) is not in it: `deleted` takes the place of `mark`.
 */
export function historyOf(evidence: Evidence, source: string, consumer: ConsumerName): Happening[] {
  const { observed, calls, kafkaOffsets } = evidence;
  const ledger = observed.ledger.filter((entry) => entry.source === source);
  const byOutboxId = new Map(ledger.map((entry) => [entry.outboxId, entry]));
  const byVersion = versions(ledger);
  const byId = new Map(ledger.map((entry) => [entry.event, entry]));
  const effective = new Set(effectsOf(observed, source, consumer).map(({ event }) => event));

  const broker: Happening[] = observed.stored
    .filter((entry) => entry.source === source)
    .map(({ source: _, ...entry }) => ({ process: 'broker', kind: 'broker', op: 'stored', ...entry }));
  const leases: Happening[] = observed.leases
    .filter((entry) => entry.source === source && entry.owner !== null)
    .map(({ process, atMs, bucket, epoch, early }) => ({
      atMs,
      process,
      kind: 'relay',
      op: 'elected',
      bucket,
      epoch,
      early,
    }));
  const marks: Happening[] = observed.marks
    .filter((entry) => entry.source === source)
    .map(({ process, atMs, bucket, outboxId }) => {
      const events = [byOutboxId.get(outboxId)?.event ?? `row ${outboxId}`];
      return { atMs, process, kind: 'relay', op: 'deleted', bucket, events };
    });
  const consumed = observed.consumed
    .filter((entry) => entry.consumer === consumer)
    .map((entry) => decision(entry, source, { byId, byVersion, effective }))
    .filter((happening) => happening !== null);
  const kafka: Happening[] = kafkaOffsets
    .filter((entry) => entry.source === source && entry.consumer === consumer)
    .map(({ atMs, partition, offset }) => {
      return { atMs, process: 'kafka', kind: 'consumer', op: 'offset', store: 'kafka', partition, offset };
    });
  const health: Happening[] = evidence.outages.flatMap(({ fromMs, toMs }) => {
    const common = { process: 'faults', kind: 'health' as const, op: 'changed' as const, part: 'board', of: 1 };
    return [
      { ...common, atMs: fromMs, healthy: 0 },
      { ...common, atMs: toMs, healthy: 1 },
    ];
  });
  // at one millisecond: stored before what follows from it
  return inOrder([health, broker, leases, marks, inItsOwnOrder(consumed), kafka, clients(calls, source, observed)]);
}

/** What one row of an inbox says; null where it is about another producer's events. */
function decision(
  entry: ConsumedEntry,
  source: string,
  known: { byId: Map<string, LedgerEntry>; byVersion: Map<string, LedgerEntry>; effective: Set<string> },
): Happening | null {
  const { process, atMs, kind, version, partition, offset } = entry;
  const common = { atMs, process, kind: 'consumer' as const };
  if (kind === 'recorded') {
    const made = known.byId.get(entry.event!);
    if (!made) return null;
    const { event, aggregate, version } = made;
    return { ...common, op: known.effective.has(event) ? 'applied' : 'stale', event, aggregate, version };
  }
  if (entry.source !== source) return null;
  const aggregate = entry.aggregate ?? '';
  switch (kind) {
    case 'parked': {
      const event = known.byVersion.get(`${aggregate} ${version}`)?.event ?? `${aggregate}.${version}`;
      return { ...common, op: 'parked', event, aggregate, version: version! };
    }
    case 'dead':
      return { ...common, op: 'dead', partition: partition!, offset: offset!, event: entry.event };
    case 'watermark':
      return { ...common, op: 'watermark', aggregate, version: version! };
    case 'offset':
      return { ...common, op: 'offset', store: 'inbox', partition: partition!, offset: offset! };
  }
}

function clients(calls: readonly CallRecord[], source: string, { ledger }: Observed): Happening[] {
  const events = eventsByFingerprint(ledger);
  return calls
    .filter((call) => isChange(call) && sourceOf(call.kind) === source)
    .flatMap((call): Happening[] => {
      const made = events.get(fingerprintOfCall(call))?.[0];
      const aggregate = made?.aggregate ?? call.articleId ?? `call ${call.number}`;
      const common = { process: 'client', kind: 'client' as const, call: call.number, aggregate };
      const known = made === undefined ? {} : { event: made.event, version: made.version };
      return [
        { ...common, atMs: call.invokedMs, op: 'invoke' },
        { ...common, ...known, atMs: call.answeredMs, op: call.outcome },
      ];
    })
    .sort((a, b) => a.atMs - b.atMs);
}

/** What is left at the end of one producer's events, for one consumer. Pure. */
export function finalStateOf(
  { observed, recounts, redis }: Evidence,
  source: string,
  consumer: ConsumerName,
): FinalState {
  const ledger = observed.ledger.filter((entry) => entry.source === source);
  const byVersion = versions(ledger);
  const byOutboxId = new Map(ledger.map((entry) => [entry.outboxId, entry.event]));
  const effects = effectsOf(observed, source, consumer);
  return {
    ledger: ledger.map(({ event, aggregate, version }) => ({ event, aggregate, version })),
    unsent: observed.unsent
      .filter((row) => row.source === source)
      .map(({ outboxId }) => byOutboxId.get(outboxId) ?? `row ${outboxId}`),
    effects,
    parked: observed.parked
      .filter((row) => row.source === source && row.consumer === consumer)
      .map(({ aggregate, version }) => byVersion.get(`${aggregate} ${version}`)?.event ?? `${aggregate}.${version}`),
    deadLetters: observed.consumed
      .filter((entry) => entry.consumer === consumer && entry.kind === 'dead' && entry.event !== null)
      .map(({ event }) => event!),
    // those are of all sources: once is enough
    ...(consumer === 'hot-article' && source === 'article' ? { recounts, redis } : {}),
    projection:
      consumer === 'auditor'
        ? observed.totals.filter((row) => row.source === source)
        : shown(observed, source, effects),
    positions: observed.positions.filter((row) => row.source === source && row.consumer === consumer),
  };
}

/** The hot list keeps versions, not sums: those are compared, and its counts with a recount (hot-lists.ts). */
function shown(observed: Observed, source: string, effects: readonly LedgerRow[]): FinalState['projection'] {
  const counts = new Map<string, { applied: number; sum: number }>();
  for (const { aggregate, version } of effects) {
    const before = counts.get(aggregate) ?? { applied: 0, sum: 0 };
    counts.set(aggregate, { applied: before.applied + 1, sum: before.sum + version });
  }
  return observed.hotVersions
    .filter((row) => row.source === source)
    .map(({ aggregate, version }) => ({ aggregate, version, ...(counts.get(aggregate) ?? { applied: 0, sum: 0 }) }));
}

/** In the order of the commits for each aggregate. An effect of what was never committed keeps a name of its own. */
function effectsOf(observed: Observed, source: string, consumer: ConsumerName): LedgerRow[] {
  const byVersion = versions(observed.ledger.filter((entry) => entry.source === source));
  return observed.effects
    .filter((entry) => entry.source === source && entry.consumer === consumer)
    .map(({ event, aggregate, version }) => ({
      event: event ?? byVersion.get(`${aggregate} ${version}`)?.event ?? `${source} ${aggregate}.${version}`,
      aggregate,
      version,
    }));
}

function versions(ledger: readonly LedgerEntry[]): Map<string, LedgerEntry> {
  return new Map(ledger.map((entry) => [`${entry.aggregate} ${entry.version}`, entry]));
}

/** Numbers are given when a statement has its locks, times when it begins: the numbers are right. */
function inItsOwnOrder(happenings: readonly Happening[]): Happening[] {
  let latestMs = 0;
  return happenings.map((each) => {
    latestMs = Math.max(latestMs, each.atMs);
    return { ...each, atMs: latestMs };
  });
}

/** Lists that are in order each, as one; of the same millisecond the earlier list comes first. */
export function inOrder(lists: readonly (readonly Happening[])[]): Happening[] {
  return lists
    .flatMap((list, rank) => list.map((happening, place) => ({ happening, rank, place })))
    .sort((a, b) => a.happening.atMs - b.happening.atMs || a.rank - b.rank || a.place - b.place)
    .map(({ happening }) => happening);
}
