import { describe, expect, it } from '@jest/globals';
import type { EventEnvelope } from '../events/envelope.ts';
import {
  type Arrival,
  idsToLookUp,
  type Plan,
  planBatch,
  type StreamKey,
  type StreamState,
  streamKey,
} from './plan.ts';
import { arrivalOf, eventIdOf, firstIncarnation, testEvent } from './testing/events.ts';
import type { InboxMode } from './types.ts';

function stateOf(aggregateId: string, version = 0, parked = 0): StreamState {
  return {
    source: 'like',
    aggregateType: 'article',
    aggregateId,
    incarnation: firstIncarnation,
    version: BigInt(version),
    occurredAtMs: 0,
    parked,
  };
}

function plan(
  mode: InboxMode,
  events: readonly EventEnvelope[],
  options: { streams?: StreamState[]; seen?: string[]; parked?: EventEnvelope[]; parkedLimit?: number } = {},
): Plan {
  const given = new Map((options.streams ?? []).map((state) => [streamKey(state), state]));
  const streams = new Map<StreamKey, StreamState>();
  for (const event of events) {
    streams.set(streamKey(event), given.get(streamKey(event)) ?? stateOf(event.aggregateId));
  }
  const parked = new Map<StreamKey, Arrival[]>();
  for (const event of options.parked ?? []) {
    const key = streamKey(event);
    parked.set(key, [...(parked.get(key) ?? []), arrivalOf(event)]);
  }
  return planBatch({
    mode,
    arrivals: events.map((event) => arrivalOf(event)),
    streams,
    seen: new Set(options.seen),
    parked,
    parkedLimit: options.parkedLimit ?? 100,
    drain: true,
  });
}

const skipped = (version: number) =>
  testEvent('7', version, {
    type: 'Skipped',
    payload: { skippedEventId: null, skippedType: null, reason: 'x' } as never,
  });

const versions = (events: readonly { version: bigint }[]) => events.map(({ version }) => Number(version));

/** The inbox's memory over several batches: what the database keeps. */
function consume(mode: InboxMode, batches: readonly (readonly EventEnvelope[])[]) {
  const seen = new Set<string>();
  const parked = new Map<string, EventEnvelope>();
  const effects: number[] = [];
  let stream = stateOf('7');
  let projection = 0;
  for (const events of batches) {
    const done = plan(mode, events, { streams: [stream], seen: [...seen], parked: [...parked.values()] });
    for (const id of done.recorded) {
      if (seen.has(id)) throw new Error(`${id} was recorded twice`);
      seen.add(id);
    }
    for (const { event } of done.unpark) parked.delete(event.eventId);
    for (const { event } of done.park) parked.set(event.eventId, event);
    for (const event of done.applied) {
      effects.push(Number(event.version));
      projection = (event.payload as { count: number }).count;
    }
    stream = done.changed[0] ?? stream;
    expect(stream.parked).toBe(parked.size);
  }
  return { effects, projection, version: Number(stream.version), parked: parked.size, seen: seen.size };
}

function* ordersOf<Item>(items: readonly Item[]): Generator<Item[]> {
  if (items.length === 0) yield [];
  for (const [index, item] of items.entries()) {
    for (const rest of ordersOf(items.toSpliced(index, 1))) yield [item, ...rest];
  }
}

describe('a state inbox', () => {
  it('ends in one state for all 120 orders of five versions, each with duplicates, however they are batched', () => {
    const events = [1, 2, 3, 4, 5].map((version) => testEvent('7', version));
    let orders = 0;
    for (const order of ordersOf(events)) {
      orders++;
      const twice = order.flatMap((event, index) => [event, order[Math.max(0, index - 1)]!]);
      for (const batches of [[twice], twice.map((event) => [event]), [twice.slice(0, 4), twice.slice(2)]]) {
        const { effects, projection, version, seen } = consume('state', batches);
        expect({ projection, version, seen }).toEqual({ projection: 5, version: 5, seen: 5 });
        expect(effects).toEqual([...new Set(effects)].sort((a, b) => a - b));
        expect(effects.at(-1)).toBe(5);
      }
    }
    expect(orders).toBe(120);
  });

  it('hands over every applied event and says which are superseded', () => {
    const done = plan('state', [testEvent('1', 1), testEvent('2', 4), testEvent('1', 2), testEvent('1', 3)]);
    expect(done.applied.map((event) => [event.aggregateId, Number(event.version), event.superseded])).toEqual([
      ['1', 1, true],
      ['2', 4, false],
      ['1', 2, true],
      ['1', 3, false],
    ]);
    expect(done.changed.map(({ aggregateId, version }) => [aggregateId, Number(version)])).toEqual([
      ['1', 3],
      ['2', 4],
    ]);
  });

  it('keeps streams of different sources and types apart', () => {
    const done = plan('state', [
      testEvent('1', 3),
      testEvent('1', 1, { source: 'view', eventId: eventIdOf('1', 1, 1) }),
      testEvent('1', 1, { aggregateType: 'board', eventId: eventIdOf('1', 1, 2) }),
    ]);
    expect(done.counts).toEqual({ applied: 3, duplicate: 0, stale: 0, gap: 0 });
  });

  it('looks up only ids that can be there, and all of them when told', () => {
    const arrivals = [4, 5, 6].map((version) => arrivalOf(testEvent('1', version)));
    const streams = new Map([[streamKey(stateOf('1')), stateOf('1', 5)]]);
    expect(idsToLookUp(arrivals, streams, 'possible')).toEqual([eventIdOf('1', 4), eventIdOf('1', 5)]);
    expect(idsToLookUp(arrivals, streams, 'all')).toHaveLength(3);
  });

  it('starts the versions anew with a later incarnation and never goes back', () => {
    const later = { incarnation: '00000000-0000-4000-8000-000000000000', occurredAt: new Date(1_800_000_000_000) };
    const anew = (version: number) => testEvent('1', version, { ...later, eventId: eventIdOf('1', version, 9) });
    const done = plan('state', [testEvent('1', 8), anew(1), testEvent('1', 9), anew(2)]);
    expect(versions(done.applied)).toEqual([8, 1, 2]);
    expect(done.changed[0]).toMatchObject({ version: 2n, incarnation: later.incarnation });
    expect(done.alarms.map(({ alarm }) => alarm)).toEqual(['incarnation-changed', 'old-incarnation']);
  });

  it('records an unseen event below the watermark as stale, with an alarm', () => {
    const done = plan('state', [testEvent('1', 2)], { streams: [stateOf('1', 3)] });
    expect(done.applied).toEqual([]);
    expect(done.recorded).toEqual([eventIdOf('1', 2)]);
    expect(done.changed).toEqual([]);
    expect(done.alarms).toMatchObject([{ alarm: 'unseen-below-watermark', event: { version: 2n } }]);
  });
});

describe('a sequence inbox', () => {
  it('has the effects 1 to 5 in order for all 120 orders, each with duplicates, however they are batched', () => {
    const events = [1, 2, 3, 4, 5].map((version) => testEvent('7', version));
    for (const order of ordersOf(events)) {
      const twice = order.flatMap((event, index) => [event, order[Math.max(0, index - 1)]!]);
      for (const batches of [[twice], twice.map((event) => [event]), [twice.slice(0, 4), twice.slice(2)]]) {
        expect(consume('sequence', batches)).toEqual({
          effects: [1, 2, 3, 4, 5],
          projection: 5,
          version: 5,
          parked: 0,
          seen: 5,
        });
      }
    }
  });

  it('parks an early event once and neither applies nor records it', () => {
    const done = plan('sequence', [testEvent('1', 3), testEvent('1', 3), testEvent('1', 1)]);
    expect(versions(done.applied)).toEqual([1]);
    expect(done.recorded).toEqual([eventIdOf('1', 1)]);
    expect(versions(done.park.map(({ event }) => event))).toEqual([3]);
    expect(done.changed).toMatchObject([{ version: 1n, parked: 1 }]);
    const again = plan('sequence', [testEvent('1', 3)], {
      streams: [stateOf('1', 1, 1)],
      parked: [testEvent('1', 3)],
    });
    expect(again.park).toEqual([]);
    expect(again.changed).toEqual([]);
  });

  it('applies what waits in the database when the gap is filled, in its place', () => {
    const done = plan('sequence', [testEvent('1', 2), testEvent('1', 5)], {
      streams: [stateOf('1', 1, 2)],
      parked: [testEvent('1', 3), testEvent('1', 4)],
    });
    expect(versions(done.applied)).toEqual([2, 3, 4, 5]);
    expect(versions(done.unpark.map(({ event }) => event))).toEqual([3, 4]);
    expect(done.changed).toMatchObject([{ version: 5n, parked: 0 }]);
  });

  it('refuses to park more than its limit', () => {
    const done = plan('sequence', [testEvent('1', 3), testEvent('1', 4), testEvent('1', 5)], { parkedLimit: 2 });
    expect(versions(done.park.map(({ event }) => event))).toEqual([3, 4]);
    expect(versions(done.refused.map(({ event }) => event))).toEqual([5]);
  });
});

describe('a Skipped event', () => {
  it('moves the watermark in a sequence inbox, and what waited for it goes on', () => {
    const { applied, unpark, changed } = plan('sequence', [skipped(2)], {
      streams: [stateOf('7', 1, 1)],
      parked: [testEvent('7', 3)],
    });
    expect(versions(applied)).toEqual([2, 3]);
    expect(versions(unpark.map(({ event }) => event))).toEqual([3]);
    expect(changed).toMatchObject([{ version: 3n, parked: 0 }]);
  });

  it('moves the watermark in a state inbox, and does not take the place of the newest state', () => {
    const { applied, changed } = plan('state', [testEvent('7', 1), testEvent('7', 2), skipped(3)]);
    expect(applied.map(({ version, superseded }) => [Number(version), superseded]).slice(0, 2)).toEqual([
      [1, true],
      [2, false],
    ]);
    expect(changed).toMatchObject([{ version: 3n }]);
  });
});
