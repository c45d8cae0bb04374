import { headerNames } from '../events/envelope.ts';
import { KafkaError } from '../kafka/errors.ts';
import type { IncomingMessage, OutgoingMessage, PartitionFailure, Publisher, PublishReport } from '../kafka/port.ts';
import type { Faults } from './faults.ts';
import type { Network, Way } from './network.ts';
import type { History } from './record.ts';
import { Transactions } from './transactions.ts';
import type { Process, World } from './world.ts';

export const topic = 'sim.like';
const deliveryTimeoutMs = 1_500;

/** A place in a partition. What belongs to a transaction is seen when that is committed; a marker never is. */
export interface Entry {
  message: StoredMessage | null;
  state: 'seen' | 'open' | 'unseen';
}

export function wayToBroker(process: Process, timeoutMs: number): Way {
  const unavailable = () => new KafkaError('KAFKA_UNAVAILABLE', 'no broker answers', { retryable: true });
  return { process, server: 'broker', refused: unavailable, answerLost: unavailable, timedOut: unavailable, timeoutMs };
}

/** One topic in memory, and publishers that answer as the port says. */
export class Broker {
  readonly partitions: Entry[][];
  readonly transactions: Transactions;
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
    this.transactions = new Transactions(this, world, network);
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

  /** The offset behind the last message that anybody will see. */
  end(partition: number): bigint {
    const log = this.partitions[partition]!;
    let end = log.length;
    while (end > 0 && log[end - 1]!.state === 'unseen') end--;
    return BigInt(end);
  }

  /** Committed messages from an offset on, up to the first place whose transaction is open. */
  read(partition: number, from: number, most: number): IncomingMessage[] {
    const log = this.partitions[partition]!;
    const found: IncomingMessage[] = [];
    for (let at = from; at < log.length && found.length < most; at++) {
      const { state, message } = log[at]!;
      if (state === 'open') break;
      if (state === 'seen') found.push(message!);
    }
    return found;
  }

  /** Calls back once when the partition may have more than it has now. */
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
    const copies = log.slice(from, from + 1 + (choice % 6)).filter(({ state }) => state === 'seen');
    for (const { message } of copies) {
      const { key, value, headers, partition } = message!;
      this.append({ topic, partition, key, value, headers }, true);
    }
    return copies.length;
  }

  /** Puts a message into its partition, for all to see. */
  append(message: OutgoingMessage, foreign = false): void {
    const entry = this.place(message, 'seen');
    this.seen(entry, foreign ? { foreign } : {});
  }

  /** Takes a place for a message; null: for a marker. */
  place(message: OutgoingMessage, state: Entry['state']): Entry {
    const log = this.partitions[message.partition]!;
    const entry: Entry = { message: new StoredMessage(message, BigInt(log.length), this.#world.nowMs), state };
    log.push(entry);
    return entry;
  }

  mark(partition: number): void {
    this.partitions[partition]!.push({ message: null, state: 'unseen' });
    this.#wake(partition);
  }

  /** Says that a message is there to be seen from now on. */
  seen({ message }: Entry, how: { foreign?: boolean; bucket?: number; epoch?: number }): void {
    const { partition, offset, key } = message!;
    this.#history.add({
      ...{ process: 'broker', kind: 'broker', op: 'stored', partition, offset: Number(offset) },
      event: message!.headerText(headerNames.id)!,
      aggregate: key!.toString(),
      version: Number(message!.headerText(headerNames.version)),
      ...how,
    });
    this.#wake(partition);
  }

  /** Why the messages of a partition can't be stored now, if so. `places`: where they are among all that were sent. */
  failureOf(partition: number, part: readonly OutgoingMessage[], places: readonly number[]): PartitionFailure | null {
    const refused = places.filter((_, index) => this.#isRefused(part[index]!));
    if (refused.length === 0) return null;
    const error = new KafkaError('KAFKA_MESSAGE_TOO_LARGE', 'the broker refuses its size', { retryable: false });
    return { topic, partition, error, refused };
  }

  #wake(partition: number): void {
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
      const failure = this.failureOf(partition, part, places);
      if (failure) {
        report.failed.push(failure);
        continue;
      }
      const broken = this.partlyBroken(partition);
      if (!broken || broken.stored) for (const message of part) this.append(message);
      if (!broken) report.acknowledged.push({ topic, partition, baseOffset: null, count: part.length });
      else if (broken.error) report.failed.push({ topic, partition, error: broken.error });
    }
    return report;
  }

  /** Whether this partition fails now; without an error it is left out of the answer. */
  partlyBroken(partition: number): { stored: boolean; error: KafkaError | null } | null {
    const broken = this.#faults.hit('partial failure', ({ choice }) => partition % 2 === choice % 2);
    if (!broken) return null;
    const error = new KafkaError('KAFKA_NOT_ACKNOWLEDGED', 'the leader has moved', { retryable: true });
    return { stored: broken.phase === 'done', error: broken.choice % 3 > 0 ? error : null };
  }

  #isRefused({ key }: OutgoingMessage): boolean {
    return this.#faults.hit('message refused', ({ choice }) => Number(key) % 3 === choice % 3) !== null;
  }
}

/** As the adapter for platformatic gives it: headers are texts, and bytes where somebody asks for those. */
class StoredMessage implements IncomingMessage {
  readonly topic = topic;
  readonly partition: number;
  readonly offset: bigint;
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly #headers: NonNullable<OutgoingMessage['headers']>;

  constructor({ partition, key, value, headers = {} }: OutgoingMessage, offset: bigint, timestampMs: number) {
    this.partition = partition;
    this.offset = offset;
    this.timestampMs = timestampMs;
    this.key = key;
    this.value = value;
    this.#headers = headers;
  }

  get headers(): Record<string, Buffer> {
    const entries = Object.entries(this.#headers);
    return Object.fromEntries(entries.map(([name, text]) => [name, Buffer.from(text as Buffer)]));
  }

  headerText(name: string): string | undefined {
    const header = this.#headers[name];
    return typeof header === 'object' ? textOf(header) : header;
  }
}

/** Most headers are the same bytes in every message of a relay. */
const texts = new WeakMap<Buffer, string>();

function textOf(bytes: Buffer): string {
  const known = texts.get(bytes);
  if (known !== undefined) return known;
  const text = bytes.toString();
  texts.set(bytes, text);
  return text;
}
