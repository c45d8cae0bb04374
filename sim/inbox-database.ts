import { CommitUnknownError, KnownIdError } from '../inbox/database/errors.ts';
import { type Arrival, type StreamKey, type StreamState, streamKey } from '../inbox/plan.ts';
import type { Poison } from '../inbox/read.ts';
import type { Gap, InboxStore, NewStream, Position, StoreTransaction } from '../inbox/store/store.ts';
import type { InboxEvent } from '../inbox/types.ts';
import type { Faults } from './faults.ts';
import type { LedgerRow } from './history.ts';
import { Locks } from './locks.ts';
import type { Network, Way } from './network.ts';
import type { History } from './record.ts';
import type { Process, World } from './world.ts';

export interface ProjectionRow {
  version: number;
  applied: number;
  sum: number;
  likes: number;
}

/** What a transaction has changed and not committed. */
class Draft {
  readonly streams = new Map<StreamKey, StreamState>();
  readonly recorded = new Set<string>();
  readonly offsets = new Map<number, bigint>();
  readonly parked = new Map<string, { arrival: Arrival; atMs: number } | null>();
  readonly dead = new Map<string, Poison>();
  readonly effects: InboxEvent[] = [];
  readonly projection = new Map<string, ProjectionRow>();
  readonly locks: string[] = [];
  over = false;
}

/** The session of a stopped process is ended by the server, and its locks are free again. */
const waitTimeoutMs = 1_200;
const lockWaitMs = 800;
export const readProjection = 'SELECT … FROM projection';
/** One round trip for both. */
export const writeProjection = 'UPDATE projection …; INSERT INTO effect …';

/**
 * The consumer's database: several transactions at once, READ COMMITTED, with row locks, unique keys and statements one by one,
 * so that two consumers of one partition really meet.
 */
export class InboxDatabase {
  readonly recorded = new Set<string>();
  readonly streams = new Map<StreamKey, StreamState>();
  readonly offsets = new Map<number, bigint>();
  readonly parked = new Map<string, { arrival: Arrival; atMs: number }>();
  readonly dead = new Map<string, Poison>();
  readonly effects: LedgerRow[] = [];
  readonly projection = new Map<string, ProjectionRow>();
  readonly #locks: Locks<Draft>;
  readonly #world: World;
  readonly #network: Network;
  readonly #faults: Faults;
  readonly #history: History;

  constructor(world: World, network: Network, faults: Faults, history: History) {
    this.#world = world;
    this.#network = network;
    this.#faults = faults;
    this.#history = history;
    this.#locks = new Locks(world, lockWaitMs, () => databaseError(1205, 'Lock wait timeout exceeded'));
  }

  storeFor(process: Process): InboxStore {
    const open = new Set<Draft>();
    const rollBack = (draft: Draft) => {
      open.delete(draft);
      this.#locks.free(draft);
    };
    const rollBackAll = () => {
      for (const draft of open) rollBack(draft);
    };
    process.onKilled.push(() => this.#world.after(5, rollBackAll));
    process.onPaused.push((ms) => {
      if (ms > waitTimeoutMs) this.#world.after(waitTimeoutMs, rollBackAll);
    });
    const lost = (step: string) =>
      step === 'commit' ? new CommitUnknownError('no answer to COMMIT') : connectionError('the connection was lost');
    const way: Way = {
      ...{ process, server: 'inbox', refused: lost, answerLost: lost, timedOut: lost, timeoutMs: 1_000 },
      conflict: () => databaseError(1213, 'Deadlock found'),
    };
    const call = <Result>(step: string, draft: Draft | null, work: () => Result | Promise<Result>): Promise<Result> => {
      if (!draft) return this.#network.call(way, step, work);
      const statement = () => {
        if (draft.over) throw connectionError('the server has ended the session');
        return work();
      };
      return this.#network.call(way, step, statement, () => rollBack(draft));
    };

    return {
      transaction: async (work) => {
        const draft = new Draft();
        await call('begin', null, () => open.add(draft));
        try {
          const result = await work(this.#transactionOn(draft, (step, statement) => call(step, draft, statement)));
          await call('commit', draft, () => {
            this.#commit(process, draft);
            rollBack(draft);
          });
          return result;
        } catch (error) {
          if (process.alive) rollBack(draft);
          throw error;
        }
      },
      offsets: (partitions) =>
        call('offsets', null, () =>
          partitions.flatMap(({ topic, partition }) => {
            const offset = this.offsets.get(partition);
            return offset === undefined ? [] : [{ topic, partition, offset }];
          }),
        ),
      allOffsets: async () => [],
      resetOffset: async () => {},
      gaps: (olderThanMs, limit) => call('gaps', null, () => this.#gaps(olderThanMs).slice(0, limit)),
      backlog: async () => ({ parked: this.parked.size, oldestParkedAgeMs: 0, deadLetters: this.dead.size }),
      close: async () => {},
    };
  }

  #transactionOn(
    draft: Draft,
    call: <Result>(step: string, statement: () => Result | Promise<Result>) => Promise<Result>,
  ): StoreTransaction {
    const stream = (key: StreamKey) => draft.streams.get(key) ?? this.streams.get(key);
    const parkedNow = () => {
      const all = new Map(this.parked);
      for (const [name, entry] of draft.parked) {
        if (entry) all.set(name, entry);
        else all.delete(name);
      }
      return all;
    };
    return {
      handlerTransaction: {
        query: (_sql, params = []) =>
          call('handler', () => {
            this.#failHandlers(params as string[]);
            return params.map((each) => draft.projection.get(String(each)) ?? this.projection.get(String(each)));
          }) as Promise<never[]>,
        write: (_sql, params = []) =>
          call('handler', () => {
            for (const each of params as ([string, ProjectionRow] | InboxEvent)[]) {
              if (Array.isArray(each)) draft.projection.set(each[0], each[1]);
              else draft.effects.push(each);
            }
            return { affectedRows: params.length, insertId: 0 };
          }),
      },
      lockStreams: (streams: readonly NewStream[]) =>
        call('lockStreams', async () => {
          const wanted = new Map(streams.map((each) => [streamKey(each), each]));
          const found = new Map<StreamKey, StreamState>();
          for (const key of [...wanted.keys()].sort()) {
            const granted = this.#locks.take(draft, `stream ${key}`);
            if (granted) await granted;
            if (!stream(key)) draft.streams.set(key, { ...wanted.get(key)!, parked: 0 });
            found.set(key, stream(key)!);
          }
          return found;
        }),
      findSeen: (ids) =>
        call('findSeen', () => new Set(ids.filter((id) => this.recorded.has(id) || draft.recorded.has(id)))),
      record: (ids) =>
        call('record', async () => {
          for (const id of ids) {
            const granted = this.#locks.take(draft, `id ${id}`);
            if (granted) await granted;
            if (this.recorded.has(id) || draft.recorded.has(id)) throw new KnownIdError('the unique key refuses an id');
            draft.recorded.add(id);
          }
        }),
      writeStreams: async (streams) => {
        if (streams.length === 0) return;
        await call('writeStreams', () => {
          for (const each of streams) draft.streams.set(streamKey(each), each);
        });
      },
      writeOffsets: async (positions: readonly Position[]) => {
        if (positions.length === 0) return;
        await call('writeOffsets', async () => {
          for (const { partition, offset } of positions) {
            const granted = this.#locks.take(draft, `offset ${partition}`);
            if (granted) await granted;
            const known = draft.offsets.get(partition) ?? this.offsets.get(partition) ?? 0n;
            draft.offsets.set(partition, known > offset ? known : offset);
          }
        });
      },
      findParked: (streams) =>
        call('findParked', () => {
          const found = new Map<StreamKey, Arrival[]>();
          const all = [...parkedNow().values()].map(({ arrival }) => arrival);
          for (const each of streams) {
            const key = streamKey(each);
            const ofStream = all.filter(({ event }) => streamKey(event) === key).sort(byVersion);
            found.set(
              key,
              ofStream.map((arrival) => ({ ...arrival, parked: true })),
            );
          }
          return found;
        }),
      park: async (arrivals) => {
        if (arrivals.length === 0) return;
        await call('park', () => {
          const now = parkedNow();
          for (const arrival of arrivals) {
            const name = placeOf(arrival);
            if (now.has(name)) throw databaseError(1062, 'Duplicate entry of inbox_parked');
            draft.parked.set(name, { arrival, atMs: this.#world.nowMs });
          }
        });
      },
      unpark: async (arrivals) => {
        if (arrivals.length === 0) return;
        await call('unpark', () => {
          for (const arrival of arrivals) draft.parked.set(placeOf(arrival), null);
        });
      },
      writeDeadLetters: async (poison) => {
        if (poison.length === 0) return;
        await call('writeDeadLetters', () => {
          for (const each of poison) draft.dead.set(`${each.message.partition} ${each.message.offset}`, each);
        });
      },
    };
  }

  #commit(process: Process, draft: Draft): void {
    const say = { process: process.name, kind: 'consumer' } as const;
    const applied = new Set<string>();
    for (const { eventId: event, aggregateId: aggregate, version: number } of draft.effects) {
      const version = Number(number);
      applied.add(event);
      this.effects.push({ event, aggregate, version });
      this.#history.add({ ...say, op: 'applied', event, aggregate, version });
    }
    for (const event of draft.recorded) {
      this.recorded.add(event);
      if (!applied.has(event)) this.#history.add({ ...say, op: 'stale', event, aggregate: '', version: 0 });
    }
    for (const [name, row] of draft.projection) this.projection.set(name, row);
    for (const [key, state] of draft.streams) {
      const before = this.streams.get(key);
      this.streams.set(key, state);
      if (before?.version === state.version) continue;
      this.#history.add({ ...say, op: 'watermark', aggregate: state.aggregateId, version: Number(state.version) });
    }
    for (const [name, entry] of draft.parked) {
      if (!entry) {
        this.parked.delete(name);
        continue;
      }
      this.parked.set(name, entry);
      const { eventId: event, aggregateId: aggregate, version } = entry.arrival.event;
      this.#history.add({ ...say, op: 'parked', event, aggregate, version: Number(version) });
    }
    for (const [place, poison] of draft.dead) {
      this.dead.set(place, poison);
      const { partition, offset } = poison.message;
      const event = poison.event?.eventId ?? null;
      this.#history.add({ ...say, op: 'dead', partition, offset: Number(offset), event });
    }
    for (const [partition, offset] of draft.offsets) {
      this.offsets.set(partition, offset);
      this.#history.add({ ...say, op: 'offset', store: 'inbox', partition, offset: Number(offset) });
    }
  }

  #failHandlers(aggregates: readonly string[]): void {
    const fits = (choice: number) => aggregates.some((aggregate) => Number(aggregate) % 3 === choice % 3);
    if (this.#faults.hit('handler fails', ({ choice }) => fits(choice))) throw new Error('the handler fails');
  }

  #gaps(olderThanMs: number): Gap[] {
    const groups = new Map<StreamKey, { arrival: Arrival; atMs: number }[]>();
    for (const entry of this.parked.values()) {
      const key = streamKey(entry.arrival.event);
      groups.set(key, [...(groups.get(key) ?? []), entry]);
    }
    return [...groups].flatMap(([key, entries]) => {
      entries.sort((a, b) => byVersion(a.arrival, b.arrival));
      const { event, message } = entries[0]!.arrival;
      const ageMs = this.#world.nowMs - Math.min(...entries.map(({ atMs }) => atMs));
      if (ageMs < olderThanMs) return [];
      const { source, aggregateType, aggregateId, incarnation } = event;
      return [
        {
          ...{ source, aggregateType, aggregateId, incarnation, ageMs },
          version: this.streams.get(key)!.version + 1n,
          parked: entries.length,
          firstParked: event.version,
          firstParkedAtMs: message.timestampMs,
          topic: message.topic,
          partition: message.partition,
        },
      ];
    });
  }
}

function byVersion(a: Arrival, b: Arrival): number {
  return Number(a.event.version - b.event.version);
}

/** The unique key of parked events. */
function placeOf({ event }: Arrival): string {
  return `${streamKey(event)} ${event.incarnation} ${event.version}`;
}

function databaseError(errno: number, message: string): Error {
  return Object.assign(new Error(message), { errno, sqlState: '40001' });
}

function connectionError(message: string): Error {
  return Object.assign(new Error(message), { code: 'PROTOCOL_CONNECTION_LOST', fatal: true });
}
