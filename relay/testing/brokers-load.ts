import { setTimeout as pause } from 'node:timers/promises';
import type { RowDataPacket } from 'mysql2/promise';
import { headerNames } from '../../events/envelope.ts';
import { type AdapterName, connect } from '../../kafka/faults/adapters.ts';
import { eventually } from '../../testing/until.ts';
import type { DeliveryMode } from '../options.ts';
import { createRelay, type Relay } from '../relay.ts';
import { openRealSource, type RealSource, type RealSourceOptions } from './real-source.ts';
import { wrongVersions } from './versions.ts';

export interface BrokersVerdict {
  delivery: DeliveryMode;
  adapter: AdapterName;
  written: number;
  /** Reached, over the whole load; a slow machine does fewer than were set. */
  writesPerS: number;
  /** Writes that failed: none may, as no broker has a part in them. */
  failedWrites: number;
  /** Event ids whose row was deleted, and that are not in the topic. */
  lost: string[];
  /** Keys whose versions are not as they must be. */
  wrong: string[];
  doubled: number;
  /** The most rows that waited, and how long the rest took once the load was over, in ms. */
  mostUnsent: number;
  drainMs: number;
}

/** Writers of one load, each with keys of its own: so a slow answer holds up a few writes and not the rate. */
const writers = 10;

const keys = Array.from({ length: 20 }, (_, index) => String(index + 1));

/** Writers at a set rate, and two relays, over a cluster whose brokers are broken meanwhile by the caller. */
export class BrokersLoad {
  readonly #delivery: DeliveryMode;
  readonly #adapter: AdapterName;
  readonly #source: RealSource;
  readonly #relays: readonly Relay[];
  readonly #written = new Map<string, number>();
  readonly #running: Promise<unknown>;
  readonly #startedMs = performance.now();
  #loadMs = 0;
  #stopping = false;
  #failedWrites = 0;
  #mostUnsent = 0;

  private constructor(source: RealSource, relays: readonly Relay[], settings: BrokersLoadOptions) {
    this.#source = source;
    this.#relays = relays;
    this.#delivery = settings.delivery;
    this.#adapter = settings.adapter;
    this.#running = Promise.all([this.#load(settings.writesPerS), this.#watch()]);
  }

  static async start(options: BrokersLoadOptions): Promise<BrokersLoad> {
    const { delivery, adapter, cluster } = options;
    const source = await openRealSource({ buckets: 4, cluster });
    const relays = ['a', 'b'].map((id) =>
      createRelay({
        ...{ id, topicPrefix: source.topicPrefix, delivery, buckets: 4, leaseMs: 3_000, longestPollMs: 200 },
        ...{ batchSize: 200, retry: { firstMs: 100, longestMs: 1_000 } },
        sources: [{ name: 'like', url: source.url }],
        kafka: connect(adapter, cluster.brokers, `relay-${id}`),
      }),
    );
    await Promise.all(relays.map((relay) => relay.start()));
    return new BrokersLoad(source, relays, options);
  }

  unsent(): Promise<number> {
    return this.#source.unsent();
  }

  /** Ends the load, lets the relays finish, and compares: nothing may be broken any more. */
  async finish(): Promise<BrokersVerdict> {
    this.#stopping = true;
    await this.#running;
    const drainMs = await eventually(async () => (await this.unsent()) === 0, 120_000, 50);
    const [rows] = await this.#source.pool.query<RowDataPacket[]>('SELECT LOWER(HEX(event_id)) AS id FROM outbox');
    const messages = await this.#source.messages();
    const there = new Set(messages.map(({ headers }) => String(headers[headerNames.id]).replaceAll('-', '')));
    return {
      ...{ delivery: this.#delivery, adapter: this.#adapter },
      written: rows.length,
      writesPerS: Math.round((rows.length / this.#loadMs) * 1000),
      failedWrites: this.#failedWrites,
      lost: rows.map(({ id }) => String(id)).filter((id) => !there.has(id)),
      wrong: wrongVersions(await this.#source.versions(), this.#written, { once: this.#delivery === 'exactly-once' }),
      doubled: messages.length - there.size,
      mostUnsent: this.#mostUnsent,
      drainMs: Math.round(drainMs),
    };
  }

  async end(): Promise<void> {
    this.#stopping = true;
    await this.#running;
    await Promise.all(this.#relays.map((relay) => relay.stop()));
    await this.#source.drop();
  }

  async #load(writesPerS: number): Promise<void> {
    await Promise.all(Array.from({ length: writers }, (_, writer) => this.#write(writer, writesPerS)));
    this.#loadMs = performance.now() - this.#startedMs;
  }

  async #write(writer: number, writesPerS: number): Promise<void> {
    const mine = keys.filter((_, index) => index % writers === writer);
    for (let write = 0; !this.#stopping; write++) {
      const dueMs = this.#startedMs + ((write * writers + writer) * 1000) / writesPerS;
      await pause(Math.max(0, dueMs - performance.now()));
      const key = mine[write % mine.length]!;
      const version = (this.#written.get(key) ?? 0) + 1;
      try {
        await this.#source.write([{ key, version, payloadBytes: 300 }]);
        this.#written.set(key, version);
      } catch {
        this.#failedWrites++;
      }
    }
  }

  async #watch(): Promise<void> {
    while (!this.#stopping) {
      this.#mostUnsent = Math.max(this.#mostUnsent, await this.unsent());
      await pause(200);
    }
  }
}

export interface BrokersLoadOptions {
  delivery: DeliveryMode;
  adapter: AdapterName;
  writesPerS: number;
  cluster: NonNullable<RealSourceOptions['cluster']>;
}
