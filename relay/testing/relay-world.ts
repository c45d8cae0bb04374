import { VirtualClock } from '../../clock/testing/virtual-clock.ts';
import { headerNames } from '../../events/envelope.ts';
import { SkippedV1 } from '../../events/skipped.ts';
import { createRelay, type Relay, type RelayOptions } from '../relay.ts';
import { FakeDatabase } from './fake-database.ts';
import { FakeKafka } from './fake-kafka.ts';

export const leaseMs = 3_000;
/** Keys that are spread over all buckets. */
export const keys = Array.from({ length: 16 }, (_, key) => key + 1);
export const versionsUpTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

/** Relays of one source in virtual time, over a database and topics in memory. */
export class RelayWorld {
  readonly clock = new VirtualClock();
  readonly relays: Relay[] = [];
  readonly #defaults: Partial<RelayOptions>;
  database: FakeDatabase;
  kafka: FakeKafka;
  /** Batches in which `refuse` found something. */
  refusals = 0;

  /** `defaults`: options of all its relays. */
  constructor(defaults: Partial<RelayOptions> = {}) {
    this.#defaults = defaults;
    this.database = new FakeDatabase(this.clock);
    this.kafka = new FakeKafka(this.clock);
  }

  /** Made, not started. */
  relay(name: string, options: Partial<RelayOptions> = {}): Relay {
    const made = createRelay({
      id: name,
      sources: [{ name: 'like', url: 'unused', store: this.database.store(name) }],
      kafka: this.kafka.port(name),
      leaseMs,
      batchSize: 50,
      clock: this.clock,
      ...this.#defaults,
      ...options,
    });
    this.relays.push(made);
    return made;
  }

  /** Started, and what it does at once done. */
  async started(name: string, options: Partial<RelayOptions> = {}): Promise<Relay> {
    const made = this.relay(name, options);
    await this.#settled(made.start(), 5_000);
    await this.clock.advance(50);
    return made;
  }

  /** All, or some of them. */
  async stop(some: readonly Relay[] = this.relays): Promise<void> {
    await this.#settled(Promise.all(some.map((one) => one.stop())), 60_000);
  }

  /** Ends whatever is broken, and stops all relays. */
  async end(): Promise<void> {
    this.database.fault = () => null;
    this.database.slowMs = () => 0;
    this.kafka.fault = () => null;
    this.kafka.away = false;
    this.kafka.transactions.fault = () => null;
    await this.stop();
  }

  /** The broker refuses events of this key: all of them, or those of some versions; never one that stands for a skipped one. */
  refuse(key: number, versions: (version: number) => boolean = () => true): void {
    this.kafka.fault = (_partition, messages) => {
      const isBad = ({ key: of, headers }: (typeof messages)[number]) =>
        String(of) === String(key) &&
        String(headers![headerNames.type]) !== SkippedV1.type &&
        versions(Number(headers![headerNames.version]));
      if (messages.some(isBad)) this.refusals++;
      return { refuse: isBad };
    };
  }

  /** From now on the process of this relay is gone: nothing of it arrives, at the database or at Kafka. */
  kill(name: string): void {
    this.kafka.transactions.kill(name);
    const before = this.database.fault;
    this.database.fault = (relay, call) => (relay === name ? 'hangs undone' : before(relay, call));
  }

  async statusOf(relay: Relay) {
    const asking = relay.status();
    await this.clock.advance(10);
    return (await asking).sources[0]!;
  }

  /** One event for each of `keys`, so many times. */
  insertRounds(count: number): void {
    for (let round = 0; round < count; round++) for (const key of keys) this.database.insert(key);
  }

  relayOf(name: string): Relay {
    return this.relays.find(({ id }) => id.startsWith(`${name}/`))!;
  }

  drained(): boolean {
    return this.database.pending.size === 0;
  }

  ownedBy({ id }: Relay): number {
    return this.database.leases.filter(({ bucket }) => this.database.ownerOf(bucket) === id).length;
  }

  async #settled(promise: Promise<unknown>, limitMs: number): Promise<void> {
    let settled = false;
    const done = promise.finally(() => {
      settled = true;
    });
    done.catch(() => undefined);
    await this.clock.until(() => settled, limitMs);
    await done;
  }
}
