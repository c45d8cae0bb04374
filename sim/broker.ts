import { headerNames } from '../events/envelope.ts';
import { KafkaError } from '../kafka/errors.ts';
import type { IncomingMessage, OutgoingMessage, Publisher, PublishReport } from '../kafka/port.ts';
import type { Faults } from './faults.ts';
import type { Network, Way } from './network.ts';
import type { History } from './record.ts';
import type { Process, World } from './world.ts';

export const topic = 'sim.like';
const deliveryTimeoutMs = 1_500;

export function wayToBroker(process: Process, timeoutMs: number): Way {
  const unavailable = () => new KafkaError('KAFKA_UNAVAILABLE', 'no broker answers', { retryable: true });
  return { process, server: 'broker', refused: unavailable, answerLost: unavailable, timedOut: unavailable, timeoutMs };
}

/** One topic in memory, and publishers that answer as the port says. */
export class Broker {
  readonly partitions: IncomingMessage[][];
  /** Publish calls of one publisher that overlapped: a bucket must never do that. */
  overlaps = 0;
  readonly #world: World;
  readonly #network: Network;
  readonly #faults: Faults;
  readonly #history: History;
  readonly #readers = new Map<number, Set<() => void>>();

  constructor(world: World, network: Network, faults: Faults, history: History, partitions: number) {
    this.#world = world;
    this.#network = network;
    this.#faults = faults;
    this.#history = history;
    this.partitions = Array.from({ length: partitions }, () => []);
  }

  publisher(process: Process): Publisher {
    let busy = false;
    const way = wayToBroker(process, deliveryTimeoutMs);
    return {
      publish: async (messages) => {
        if (busy) this.overlaps++;
        busy = true;
        try {
          return await this.#network.call(way, 'publish', () => this.#publish(messages));
        } finally {
          busy = false;
        }
      },
      close: async () => {},
    };
  }

  /** Calls back once when the partition has more than it has now. */
  whenMore(partition: number, callback: () => void): () => void {
    const readers = this.#readers.get(partition) ?? new Set();
    this.#readers.set(partition, readers);
    readers.add(callback);
    return () => readers.delete(callback);
  }

  /** Messages that are in the topic come once more, as after an operator's or a broken tool's replay. */
  copyOld(choice: number): number {
    const log = this.partitions[choice % this.partitions.length]!;
    if (log.length === 0) return 0;
    const from = choice % log.length;
    const copies = log.slice(from, from + 1 + (choice % 6));
    for (const { key, value, headers, partition } of copies) {
      this.append({ topic, partition, key, value, headers }, true);
    }
    return copies.length;
  }

  append(message: OutgoingMessage, foreign = false): void {
    const log = this.partitions[message.partition]!;
    const headers: Record<string, Buffer> = {};
    for (const name in message.headers) {
      const text = message.headers[name]!;
      headers[name] = typeof text === 'string' ? Buffer.from(text) : text;
    }
    const { key, value, partition } = message;
    const offset = log.length;
    log.push({ topic, partition, offset: BigInt(offset), timestampMs: this.#world.nowMs, key, value, headers });
    this.#history.add({
      ...{ process: 'broker', kind: 'broker', op: 'stored', partition, offset },
      event: headers[headerNames.id]!.toString(),
      aggregate: key!.toString(),
      version: Number(headers[headerNames.version]!.toString()),
      ...(foreign ? { foreign } : {}),
    });
    const readers = this.#readers.get(partition);
    if (!readers) return;
    this.#readers.delete(partition);
    for (const each of readers) each();
  }

  /** Each partition by itself: all of its messages or none. */
  #publish(messages: readonly OutgoingMessage[]): PublishReport {
    const report: PublishReport = { acknowledged: [], failed: [] };
    for (const partition of new Set(messages.map((message) => message.partition))) {
      const places = messages.flatMap((message, place) => (message.partition === partition ? [place] : []));
      const part = places.map((place) => messages[place]!);
      const refused = places.filter((place) => this.#isRefused(messages[place]!));
      if (refused.length > 0) {
        const error = new KafkaError('KAFKA_MESSAGE_TOO_LARGE', 'the broker refuses its size', { retryable: false });
        report.failed.push({ topic, partition, error, refused });
        continue;
      }
      const broken = this.#faults.hit('partial failure', ({ choice }) => partition % 2 === choice % 2);
      if (!broken || broken.phase === 'done') for (const message of part) this.append(message);
      if (!broken) report.acknowledged.push({ topic, partition, baseOffset: null, count: part.length });
      else if (broken.choice % 3 > 0) {
        const error = new KafkaError('KAFKA_NOT_ACKNOWLEDGED', 'the leader has moved', { retryable: true });
        report.failed.push({ topic, partition, error });
      }
    }
    return report;
  }

  #isRefused({ key }: OutgoingMessage): boolean {
    return this.#faults.hit('message refused', ({ choice }) => Number(key) % 3 === choice % 3) !== null;
  }
}
