import { setTimeout as pause } from 'node:timers/promises';
import type { Publisher } from '../port.ts';
import type { PublishCall } from './check-published.ts';

export interface PublishLoadOptions {
  topic: string;
  partitions: number;
  /** Each is used by all of its callers at the same time, and on after every failure. */
  publishers: readonly { name: string; publisher: Publisher; callers: number }[];
}

/** Publishes numbered ids until it is told to stop, each caller one batch after the other. */
export class PublishLoad {
  readonly calls: PublishCall[] = [];
  readonly #options: PublishLoadOptions;
  readonly #callers: Promise<void>[];
  #stopping = false;

  constructor(options: PublishLoadOptions) {
    this.#options = options;
    this.#callers = options.publishers.flatMap(({ name, publisher, callers }) =>
      Array.from({ length: callers }, (_, caller) => this.#publish(publisher, `${name}.${caller}`)),
    );
  }

  /** Partitions of batches. */
  get acknowledged(): number {
    return this.calls.reduce((sum, { report }) => sum + report.acknowledged.length, 0);
  }

  /** Waits for calls in progress and closes the publishers. Throws what a publisher threw, which it never may. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#callers);
    await Promise.all(this.#options.publishers.map(({ publisher }) => publisher.close()));
  }

  async #publish(publisher: Publisher, caller: string): Promise<void> {
    const { topic, partitions } = this.#options;
    for (let call = 0; !this.#stopping; call++) {
      const batch = Array.from({ length: partitions * 2 }, (_, at) => ({
        partition: at % partitions,
        id: `${caller}.${call}.${at}`,
      }));
      const report = await publisher.publish(
        batch.map(({ partition, id }) => ({ topic, partition, key: null, value: Buffer.from(id) })),
      );
      this.calls.push({ caller, batch, report });
      await pause(25);
    }
  }
}
