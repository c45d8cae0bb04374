import type { TopicPartition } from '../../kafka/port.ts';
import { KnownIdError } from '../database/errors.ts';
import { type Arrival, type StreamKey, type StreamState, streamKey } from '../plan.ts';
import type { Poison } from '../read.ts';
import type { Gap, InboxStore, NewStream, Position, StoreTransaction } from '../store/store.ts';
import type { InboxTransaction } from '../types.ts';

interface State {
  recorded: Set<string>;
  streams: Map<StreamKey, StreamState>;
  offsets: Map<string, Position>;
  parked: Map<string, Arrival>;
  deadLetters: Map<string, Poison>;
  effects: unknown[];
}

/** A handler of tests writes its effects by `tx.write('effect', [value])`. */
export interface MemoryStore extends InboxStore {
  readonly state: State;
  /** Called before each step of a transaction; what it throws, the step throws. */
  fail: (step: string) => void;
  readonly transactions: { begun: number; committed: number };
}

/** A store in memory, one transaction after the other, undone where it throws. */
export function memoryStore(): MemoryStore {
  let state: State = {
    recorded: new Set(),
    streams: new Map(),
    offsets: new Map(),
    parked: new Map(),
    deadLetters: new Map(),
    effects: [],
  };
  let last: Promise<unknown> = Promise.resolve();
  const store: MemoryStore = {
    get state() {
      return state;
    },
    fail: () => {},
    transactions: { begun: 0, committed: 0 },
    transaction(work) {
      const run = last.then(async () => {
        store.transactions.begun++;
        const draft = copyOf(state);
        store.fail('begin');
        const result = await work(transactionOn(draft, (step) => store.fail(step)));
        store.fail('commit');
        state = draft;
        store.transactions.committed++;
        store.fail('after commit');
        return result;
      });
      last = run.catch(() => undefined);
      return run;
    },
    async offsets(partitions: readonly TopicPartition[]) {
      store.fail('offsets');
      return partitions.flatMap((partition) => state.offsets.get(placeOf(partition)) ?? []);
    },
    async allOffsets() {
      return [...state.offsets.values()].map((position) => ({ ...position, updatedAt: new Date(0) }));
    },
    async resetOffset(position) {
      state.offsets.set(placeOf(position), position);
    },
    async gaps(_olderThanMs, limit) {
      const first = new Map<StreamKey, Arrival[]>();
      for (const arrival of state.parked.values()) {
        const key = streamKey(arrival.event);
        const all = [...(first.get(key) ?? []), arrival];
        first.set(
          key,
          all.sort((a, b) => Number(a.event.version - b.event.version)),
        );
      }
      return [...first.entries()].slice(0, limit).map(([key, arrivals]) => gapOf(state.streams.get(key)!, arrivals));
    },
    async backlog() {
      return { parked: state.parked.size, oldestParkedAgeMs: 0, deadLetters: state.deadLetters.size };
    },
    async close() {},
  };
  return store;
}

function transactionOn(state: State, fail: (step: string) => void): StoreTransaction {
  const handlerTransaction: InboxTransaction = {
    async query() {
      return [];
    },
    async write(_sql, params = []) {
      fail('handler');
      state.effects.push(...params);
      return { affectedRows: params.length, insertId: 0 };
    },
  };
  return {
    handlerTransaction,
    async lockStreams(streams: readonly NewStream[]) {
      fail('lockStreams');
      for (const stream of streams) {
        const key = streamKey(stream);
        if (!state.streams.has(key)) state.streams.set(key, { ...stream, parked: 0 });
      }
      return new Map(streams.map((stream) => [streamKey(stream), state.streams.get(streamKey(stream))!]));
    },
    async findSeen(ids) {
      return new Set(ids.filter((id) => state.recorded.has(id)));
    },
    async record(ids) {
      fail('record');
      if (ids.some((id) => state.recorded.has(id))) throw new KnownIdError('known');
      for (const id of ids) state.recorded.add(id);
    },
    async writeStreams(streams) {
      fail('writeStreams');
      for (const stream of streams) state.streams.set(streamKey(stream), stream);
    },
    async writeOffsets(positions) {
      fail('writeOffsets');
      for (const position of positions) {
        const known = state.offsets.get(placeOf(position));
        if (!known || known.offset < position.offset) state.offsets.set(placeOf(position), position);
      }
    },
    async findParked(streams) {
      const found = new Map<StreamKey, Arrival[]>();
      for (const stream of streams) {
        const key = streamKey(stream);
        const arrivals = [...state.parked.values()].filter(({ event }) => streamKey(event) === key);
        found.set(
          key,
          arrivals.sort((a, b) => Number(a.event.version - b.event.version)),
        );
      }
      return found;
    },
    async park(arrivals) {
      for (const arrival of arrivals) state.parked.set(arrival.event.eventId, arrival);
    },
    async unpark(arrivals) {
      for (const { event } of arrivals) state.parked.delete(event.eventId);
    },
    async writeDeadLetters(poison) {
      fail('writeDeadLetters');
      for (const letter of poison) state.deadLetters.set(placeOf(letter.message) + letter.message.offset, letter);
    },
  };
}

function gapOf(stream: StreamState, arrivals: readonly Arrival[]): Gap {
  const { event, message } = arrivals[0]!;
  const { source, aggregateType, aggregateId, incarnation, version } = event;
  return {
    ...{ source, aggregateType, aggregateId, incarnation },
    version: incarnation === stream.incarnation ? stream.version + 1n : 1n,
    parked: arrivals.length,
    firstParked: version,
    firstParkedAtMs: message.timestampMs,
    topic: message.topic,
    partition: message.partition,
    ageMs: 60_000,
  };
}

function placeOf({ topic, partition }: TopicPartition): string {
  return `${topic} ${partition} `;
}

function copyOf(state: State): State {
  return {
    recorded: new Set(state.recorded),
    streams: new Map(state.streams),
    offsets: new Map(state.offsets),
    parked: new Map(state.parked),
    deadLetters: new Map(state.deadLetters),
    effects: [...state.effects],
  };
}
