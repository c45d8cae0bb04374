import { KafkaError } from '../errors.ts';
import type { KafkaConnection, OutgoingMessage, Publisher, PublisherOptions, PublishReport } from '../port.ts';
import { Delivery, type ProducerSession } from './delivery.ts';
import { initProducer } from './produce.ts';
import { Wire } from './wire.ts';

export interface PlatformaticPublisherOptions extends PublisherOptions {
  /**
   * `all` (default): idempotent; a batch without an answer is sent again with the same producer id and sequence numbers,
   * so that a broker that has it already takes it as a duplicate. Calls go one after the other.
   *
   * `leader`: at most once, for what is useless when it is late. Only what certainly was not stored is sent again; calls go
   * side by side.
   */
  acks?: 'all' | 'leader';
  /** What fails is not sent again. */
  triedOnce?: boolean;
}

export class PlatformaticPublisher implements Publisher {
  readonly #wire: Wire;
  readonly #acks: 'all' | 'leader';
  readonly #triedOnce: boolean;
  readonly #deliveryTimeoutMs: number;
  readonly #running = new Set<Promise<unknown>>();
  #last: Promise<unknown> = Promise.resolve();
  #session: ProducerSession | null = null;
  #closed = false;

  constructor(connection: KafkaConnection, options: PlatformaticPublisherOptions = {}) {
    this.#acks = options.acks ?? 'all';
    this.#triedOnce = options.triedOnce ?? false;
    this.#deliveryTimeoutMs = options.deliveryTimeoutMs ?? 10_000;
    this.#wire = new Wire(connection, {
      requestTimeoutMs: Math.min(connection.requestTimeoutMs ?? 5_000, this.#deliveryTimeoutMs),
    });
  }

  async publish(messages: readonly OutgoingMessage[]): Promise<PublishReport> {
    if (this.#closed) throw new KafkaError('KAFKA_CLOSED', 'the publisher is closed', { retryable: false });
    // Waiting for the calls before it counts, too.
    const deadline = performance.now() + this.#deliveryTimeoutMs;
    const delivery = new Delivery(messages, {
      wire: this.#wire,
      acks: this.#acks,
      triedOnce: this.#triedOnce,
      session: () => this.#openSession(),
      sessionLost: () => {
        this.#session = null;
        return true;
      },
    });
    if (delivery.partitions.length === 0) return { acknowledged: [], failed: [] };
    const before = this.#acks === 'all' ? this.#last : Promise.resolve();
    const run = before.then(() => this.#deliver(delivery, deadline));
    this.#last = run.catch(() => undefined);
    this.#running.add(run);
    return run.finally(() => this.#running.delete(run));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#running);
    this.#wire.close();
  }

  async #deliver(delivery: Delivery, deadline: number): Promise<PublishReport> {
    const { report, gaveUp } = await delivery.run(deadline);
    // Whether the last batches are stored is not known, so the sequence numbers that follow are not either.
    if (gaveUp) this.#session = null;
    return report;
  }

  async #openSession(): Promise<ProducerSession | null> {
    if (this.#acks === 'leader') return null;
    this.#session ??= { identity: await initProducer(this.#wire, 'any'), sequences: new Map() };
    return this.#session;
  }
}
