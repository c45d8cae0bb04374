import type { SourceRelayOptions } from '../relay/source-options.ts';
import { SourceError } from '../relay/sources/errors.ts';
import type { RowsOfBucket, SourceStore } from '../relay/sources/store.ts';
import { FakeDatabase } from '../relay/testing/fake-database.ts';
import type { Network, Way } from './network.ts';
import type { History } from './record.ts';
import type { Process, World } from './world.ts';

/** The outbox tables of the producers' database, as relays reach them. */
export class Source {
  readonly tables: FakeDatabase;
  readonly #network: Network;
  readonly #history: History;
  readonly #leaseMs: number;
  #electedSeen = 0;
  #eventOf = new Map<string, string>();

  constructor(world: World, network: Network, history: History, options: { buckets: number; leaseMs: number }) {
    this.#network = network;
    this.#history = history;
    this.#leaseMs = options.leaseMs;
    const clock = {
      monotonicMs: () => world.nowMs,
      wallMs: () => 1_767_225_600_000 + world.nowMs,
      after: (ms: number, callback: () => void) => world.after(ms, callback),
    };
    this.tables = new FakeDatabase(clock, options.buckets, true);
  }

  unsent(): string[] {
    return [...this.tables.pending.values()].map(({ row }) => this.#nameOf(row.id));
  }

  /** A committed event that the topic does not have yet, if there is one. */
  waiting(choice: number): { id: string; aggregate: string } | null {
    const rows = [...this.tables.pending.values()];
    const entry = rows[choice % Math.max(1, rows.length)];
    return entry ? { id: entry.row.id, aggregate: this.tables.events.get(entry.row.id)!.aggregateId } : null;
  }

  /** The database as one process reaches it. */
  storeFor(process: Process): SourceStore {
    const tables = this.tables.store(process.name) as unknown as Record<
      string,
      (...args: unknown[]) => Promise<unknown>
    >;
    const way: Way = {
      ...{ process, server: 'source' },
      refused: () => new SourceError('SOURCE_UNAVAILABLE', 'the server is away'),
      answerLost: () => new SourceError('SOURCE_UNAVAILABLE', 'the connection was cut'),
      timeoutMs: this.#leaseMs / 2,
      timedOut: () => new SourceError('SOURCE_TIMEOUT', 'no answer in time'),
    };
    const methods = Object.keys(tables).map((step) => {
      if (step === 'close') return [step, async () => {}] as const;
      const work = tables[step]!;
      const call = (...args: unknown[]) =>
        this.#network.call(way, step, () => {
          if (step === 'delete') for (const part of args[0] as RowsOfBucket[]) this.#marked(process, part);
          const answer = work(...args);
          if (step === 'acquire') this.#elected();
          return answer;
        });
      return [step, call] as const;
    });
    return Object.fromEntries(methods) as unknown as SourceStore;
  }

  /** The delivery of a relay, with what it sends and what is acknowledged written down. */
  recorded(process: Process, bucket: number, delivery: ReturnType<SourceRelayOptions['delivery']>): typeof delivery {
    let epoch = 0;
    return {
      begin: async (term) => {
        epoch = term.epoch;
        const { alreadySent } = await delivery.begin(term);
        this.#history.add({ process: process.name, kind: 'fence', op: 'raised', bucket, epoch });
        if (alreadySent.length > 0) {
          const events = alreadySent.map((id) => this.#nameOf(id));
          this.#history.add({ process: process.name, kind: 'relay', op: 'ack', bucket, epoch, events });
        }
        return { alreadySent };
      },
      deliver: async (batch, unconfirmed) => {
        const events = batch.map(({ event }) => event.eventId);
        this.#history.add({ process: process.name, kind: 'relay', op: 'send', bucket, epoch, events });
        const settled = await delivery.deliver(batch, unconfirmed);
        const acknowledged = settled.acknowledged.map(({ event }) => event.eventId);
        if (acknowledged.length > 0) {
          this.#history.add({ process: process.name, kind: 'relay', op: 'ack', bucket, epoch, events: acknowledged });
        }
        return settled;
      },
      close: () => delivery.close(),
    };
  }

  #marked(process: Process, { bucket, ids }: RowsOfBucket): void {
    const events = ids.map((id) => this.#nameOf(id));
    this.#history.add({ process: process.name, kind: 'relay', op: 'mark', bucket, events });
  }

  #elected(): void {
    for (const { bucket, epoch, owner } of this.tables.terms.slice(this.#electedSeen)) {
      this.#history.add({ process: owner, kind: 'relay', op: 'elected', bucket, epoch });
    }
    this.#electedSeen = this.tables.terms.length;
  }

  #nameOf(id: string): string {
    let name = this.#eventOf.get(id);
    if (name === undefined) {
      name = this.tables.events.get(id)?.eventId ?? `row ${id}`;
      this.#eventOf.set(id, name);
    }
    return name;
  }
}
