import type { EventEnvelope } from '../events/envelope.ts';
import { isSkipped } from '../events/skipped.ts';
import type { IncomingMessage } from '../kafka/port.ts';
import { type Alarm, alarmOf, type Candidate, type Decision, decide, hasPassed, type Watermark } from './decide.ts';
import type { InboxEvent, InboxMode } from './types.ts';

/** An event that was read and found to be in order, with the message that it came in (parking keeps that). */
export interface Arrival {
  readonly event: EventEnvelope;
  readonly message: IncomingMessage;
  /** True where it comes from the parked ones. */
  readonly parked?: boolean;
}

/** What a stream is named by in maps: see `streamKey`. */
export type StreamKey = string;

export interface Stream {
  readonly source: string;
  readonly aggregateType: string;
  readonly aggregateId: string;
}

export function streamKey(stream: Stream): StreamKey {
  return `${stream.source}\u0000${stream.aggregateType}\u0000${stream.aggregateId}`;
}

export interface StreamState extends Stream, Watermark {
  /** How many of its events wait parked in the database. */
  readonly parked: number;
}

export interface PlanInput {
  mode: InboxMode;
  /** In the order of their partition. */
  arrivals: readonly Arrival[];
  /** Every stream of the arrivals, as locked. */
  streams: ReadonlyMap<StreamKey, StreamState>;
  /** Ids that the inbox has. */
  seen: ReadonlySet<string>;
  /** Events parked in the database, for streams that have some. */
  parked: ReadonlyMap<StreamKey, readonly Arrival[]>;
  /** Parked events of one stream at most. */
  parkedLimit: number;
  /** Whether parked events are applied at once when their turn comes. */
  drain: boolean;
  /** Parked events that leave without being applied: they go to the dead letters. */
  drop?: readonly Arrival[];
  /** A stream that is to count as applied through this version, whatever is missing. */
  skip?: Skip | undefined;
  /** A stream whose parked events leave, as their gap is not filled: they go to the dead letters. */
  giveUp?: Stream | undefined;
}

export interface Skip extends Stream {
  readonly incarnation: string;
  readonly version: bigint;
  readonly occurredAt: Date;
}

export interface Plan {
  /** To hand to the handlers, in order for each stream; parked ones where their turn comes. */
  applied: InboxEvent[];
  /** Ids to record: of what is applied and what is stale. */
  recorded: string[];
  /** Streams whose row changes. */
  changed: StreamState[];
  /** To store, each once. */
  park: Arrival[];
  /** To remove from the parked ones: applied now, or passed by. */
  unpark: Arrival[];
  /** Parked events whose turn has come but which were not to be applied now. */
  next: Arrival[];
  /** Too early, and no room to park them. */
  refused: Arrival[];
  /** Parked events that were skipped. */
  skipped: Arrival[];
  /** Parked events that were given up. */
  dropped: Arrival[];
  counts: Record<Decision, number>;
  alarms: { alarm: Alarm; event: EventEnvelope; watermark: Watermark }[];
}

/** Ids that have to be looked up before planning: those which can be in the inbox. */
export function idsToLookUp(
  arrivals: readonly Arrival[],
  streams: ReadonlyMap<StreamKey, StreamState>,
  which: 'possible' | 'all',
): string[] {
  const ids = new Set<string>();
  for (const { event } of arrivals) {
    if (which === 'all' || hasPassed(stateOf(streams, streamKey(event)), event)) ids.add(event.eventId);
  }
  return [...ids];
}

/** Decides about a whole batch without any I/O. */
export function planBatch(input: PlanInput): Plan {
  const { mode, arrivals, streams, parked } = input;
  const seen = new Set(input.seen);
  const current = new Map<StreamKey, StreamState>();
  const applied: { event: EventEnvelope; message: IncomingMessage; key: StreamKey }[] = [];
  const newest = new Map<StreamKey, EventEnvelope>();
  const waiting = waitingEvents(parked);
  const park = new Set<Arrival>();
  const unpark = new Set<Arrival>();
  const refused: Arrival[] = [];
  const recorded: string[] = [];
  const alarms: Plan['alarms'] = [];
  const counts: Plan['counts'] = { applied: 0, duplicate: 0, stale: 0, gap: 0 };

  for (const { event } of input.drop ?? []) {
    const ofStream = waiting.get(streamKey(event));
    const arrival = ofStream?.get(versionName(event.incarnation, event.version));
    if (ofStream && arrival) leave(ofStream, arrival);
  }

  const skipped = input.skip ? skipTo(input.skip) : [];
  const dropped = input.giveUp ? giveUp(waiting.get(streamKey(input.giveUp))) : [];

  const apply = (arrival: Arrival, key: StreamKey, state: StreamState) => {
    const { event, message } = arrival;
    counts.applied++;
    applied.push({ event, message, key });
    // It carries no state: what came before it is the newest still, also for `afterCommit`, which no dispatch has seen.
    if (!isSkipped(event.type)) newest.set(key, event);
    recorded.push(event.eventId);
    seen.add(event.eventId);
    current.set(key, { ...state, ...watermarkOf(event) });
  };

  for (const arrival of arrivals) {
    const { event } = arrival;
    const key = streamKey(event);
    const state = current.get(key) ?? stateOf(streams, key);
    const candidate = candidateOf(event, seen.has(event.eventId));
    const decision = decide(state, candidate, mode);
    const alarm = alarmOf(state, candidate, decision);
    if (alarm !== null) alarms.push({ alarm, event, watermark: state });
    switch (decision) {
      case 'applied':
        apply(arrival, key, state);
        releaseWaiting(key);
        break;
      case 'duplicate':
        counts.duplicate++;
        break;
      case 'stale':
        counts.stale++;
        recorded.push(event.eventId);
        seen.add(event.eventId);
        break;
      case 'gap':
        counts.gap++;
        wait(arrival, key);
        break;
      default:
        decision satisfies never;
    }
  }

  function skipTo(skip: Skip): Arrival[] {
    const key = streamKey(skip);
    const state = stateOf(streams, key);
    if (hasPassed(state, skip)) return [];
    const { incarnation, version } = skip;
    current.set(key, { ...state, incarnation, version, occurredAtMs: skip.occurredAt.getTime() });
    const ofStream = waiting.get(key) ?? new Map<string, Arrival>();
    const passed = [...ofStream.values()].filter(({ event }) => hasPassed(current.get(key)!, event));
    for (const arrival of passed) leave(ofStream, arrival);
    return passed;
  }

  function giveUp(ofStream: Map<string, Arrival> = new Map()): Arrival[] {
    const all = [...ofStream.values()];
    for (const arrival of all) leave(ofStream, arrival);
    return all;
  }

  function wait(arrival: Arrival, key: StreamKey) {
    const ofStream = waiting.get(key) ?? new Map<string, Arrival>();
    waiting.set(key, ofStream);
    const name = versionName(arrival.event.incarnation, arrival.event.version);
    if (ofStream.has(name)) return;
    if (ofStream.size >= input.parkedLimit) {
      refused.push(arrival);
      return;
    }
    ofStream.set(name, arrival);
    park.add(arrival);
  }

  /** Applies what waits for its turn, and lets go what the stream has passed. */
  function releaseWaiting(key: StreamKey) {
    const ofStream = waiting.get(key);
    if (!ofStream) return;
    while (input.drain) {
      const state = current.get(key)!;
      const next = ofStream.get(versionName(state.incarnation, state.version + 1n));
      if (!next) break;
      leave(ofStream, next);
      apply(next, key, state);
    }
    const state = current.get(key)!;
    for (const passed of ofStream.values()) if (hasPassed(state, passed.event)) leave(ofStream, passed);
  }

  function leave(ofStream: Map<string, Arrival>, arrival: Arrival) {
    ofStream.delete(versionName(arrival.event.incarnation, arrival.event.version));
    if (!park.delete(arrival)) unpark.add(arrival);
  }

  const changed = changedStreams(streams, current, park, unpark);
  return {
    applied: applied.map(({ event, message, key }) => ({
      ...event,
      topic: message.topic,
      partition: message.partition,
      offset: message.offset,
      superseded: newest.get(key) !== event,
    })),
    recorded,
    changed,
    park: [...park],
    unpark: [...unpark],
    next: nextOf(streams, current, waiting),
    refused,
    skipped,
    dropped,
    counts,
    alarms,
  };
}

function nextOf(
  streams: PlanInput['streams'],
  current: ReadonlyMap<StreamKey, StreamState>,
  waiting: ReadonlyMap<StreamKey, ReadonlyMap<string, Arrival>>,
): Arrival[] {
  const next: Arrival[] = [];
  for (const [key, ofStream] of waiting) {
    const { incarnation, version } = current.get(key) ?? stateOf(streams, key);
    const arrival = ofStream.get(versionName(incarnation, version + 1n));
    if (arrival) next.push({ ...arrival, parked: true });
  }
  return next;
}

function changedStreams(
  streams: PlanInput['streams'],
  current: ReadonlyMap<StreamKey, StreamState>,
  park: ReadonlySet<Arrival>,
  unpark: ReadonlySet<Arrival>,
): StreamState[] {
  const difference = new Map<StreamKey, number>();
  const count = (arrival: Arrival, by: number) => {
    const key = streamKey(arrival.event);
    difference.set(key, (difference.get(key) ?? 0) + by);
  };
  for (const arrival of park) count(arrival, 1);
  for (const arrival of unpark) count(arrival, -1);
  const keys = new Set([...current.keys(), ...difference.keys()]);
  return [...keys].sort().map((key) => {
    const state = current.get(key) ?? stateOf(streams, key);
    return { ...state, parked: state.parked + (difference.get(key) ?? 0) };
  });
}

function waitingEvents(parked: PlanInput['parked']): Map<StreamKey, Map<string, Arrival>> {
  const waiting = new Map<StreamKey, Map<string, Arrival>>();
  for (const [key, arrivals] of parked) {
    waiting.set(
      key,
      new Map(arrivals.map((arrival) => [versionName(arrival.event.incarnation, arrival.event.version), arrival])),
    );
  }
  return waiting;
}

function versionName(incarnation: string, version: bigint): string {
  return `${incarnation} ${version}`;
}

function candidateOf(event: EventEnvelope, seen: boolean): Candidate {
  return { incarnation: event.incarnation, version: event.version, occurredAt: event.occurredAt, seen };
}

function watermarkOf(event: EventEnvelope): Watermark {
  return { incarnation: event.incarnation, version: event.version, occurredAtMs: event.occurredAt.getTime() };
}

function stateOf(streams: ReadonlyMap<StreamKey, StreamState>, key: StreamKey): StreamState {
  const state = streams.get(key);
  if (!state) throw new Error(`The stream ${JSON.stringify(key)} was not locked before planning.`);
  return state;
}
