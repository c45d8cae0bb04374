import { KafkaError } from '../kafka/errors.ts';
import type {
  IncomingMessage,
  OutgoingMessage,
  PartitionFailure,
  TopicPartition,
  TransactionalPublisher,
} from '../kafka/port.ts';
import type { Position } from '../relay/delivery/position.ts';
import { type Broker, type Entry, topic, wayToBroker } from './broker.ts';
import type { Network } from './network.ts';
import type { Process, World } from './world.ts';

interface Open {
  entries: Entry[];
  position: OutgoingMessage | null;
}

/** A transactional id at the broker. */
interface Holder {
  epoch: number;
  open: Open | null;
}

const requestTimeoutMs = 1_200;
const transactionTimeoutMs = 2_500;

/**
 * Transactions as Kafka has them: a fence aborts what is open and shuts out older holders, an open one is aborted after a while,
 * a commit can arrive late or its answer get lost, and readers see nothing behind an open one.
 */
export class Transactions {
  readonly #holders = new Map<string, Holder>();
  readonly #positions = new Map<number, OutgoingMessage>();
  readonly #broker: Broker;
  readonly #world: World;
  readonly #network: Network;

  constructor(broker: Broker, world: World, network: Network) {
    this.#broker = broker;
    this.#world = world;
    this.#network = network;
  }

  publisher(process: Process, id: string, bucket: number): TransactionalPublisher {
    const way = wayToBroker(process, requestTimeoutMs);
    const unknown = () => failed('KAFKA_COMMIT_UNKNOWN');
    const wayOfCommit = { ...way, refused: unknown, answerLost: unknown, timedOut: unknown };
    let epoch: number | null = null;
    return {
      fence: async () => {
        epoch = null;
        epoch = await this.#network.call(way, 'fence', () => {
          const holder = this.#holder(id);
          this.#end(holder, bucket, false);
          return ++holder.epoch;
        });
      },
      transaction: async (messages) => {
        if (epoch === null) throw failed('KAFKA_FENCE_REQUIRED');
        const mine = epoch;
        epoch = null;
        await this.#network.call(way, 'publish', () => this.#write(id, mine, bucket, messages));
        await this.#network.call(wayOfCommit, 'commit transaction', () => {
          this.#end(this.#checked(id, mine), bucket, true);
        });
        epoch = mine;
        return { outcome: 'committed', report: { acknowledged: [], failed: [] } };
      },
      close: async () => {},
    };
  }

  lastCommitted(process: Process, { topic, partition }: TopicPartition): Promise<IncomingMessage | null> {
    return this.#network.call(wayToBroker(process, requestTimeoutMs), 'lastCommitted', () => {
      const last = this.#positions.get(partition);
      if (!last) return null;
      const { key, value } = last;
      return { topic, partition, offset: 0n, timestampMs: this.#world.nowMs, key, value, headers: {} };
    });
  }

  #write(id: string, epoch: number, bucket: number, messages: readonly OutgoingMessage[]): void {
    const holder = this.#checked(id, epoch);
    const events = messages.filter((message) => message.topic === topic);
    const open: Open = { entries: [], position: messages.find((message) => message.topic !== topic) ?? null };
    holder.open = open;
    const failures: PartitionFailure[] = [];
    for (const partition of new Set(events.map((message) => message.partition))) {
      const part = events.filter((message) => message.partition === partition);
      const places = part.map((message) => messages.indexOf(message));
      const failure = this.#broker.failureOf(partition, part, places);
      const broken = failure ? null : this.#broker.partlyBroken(partition);
      if (failure) failures.push(failure);
      else if (broken) failures.push({ topic, partition, error: broken.error ?? failed('KAFKA_NOT_ACKNOWLEDGED') });
      // What one partition has taken stays open until somebody ends it.
      else for (const message of part) open.entries.push(this.#broker.place(message, 'open'));
    }
    this.#world.after(transactionTimeoutMs, () => {
      if (holder.open !== open) return;
      this.#end(holder, bucket, false);
      holder.epoch++;
    });
    const [first] = failures;
    if (!first) return;
    const { code, message, retryable } = first.error;
    // Not every client can tell which messages are the cause.
    throw new KafkaError(code, message, { retryable, failed: this.#world.random.chance(0.7) ? failures : [] });
  }

  /** Commits or aborts what is open. */
  #end(holder: Holder, bucket: number, commit: boolean): void {
    const { open } = holder;
    if (!open) {
      if (commit) throw failed('KAFKA_FENCED');
      return;
    }
    holder.open = null;
    const epoch = open.position && commit ? epochIn(open.position) : 0;
    const partitions = new Set<number>();
    for (const entry of open.entries) {
      entry.state = commit ? 'seen' : 'unseen';
      partitions.add(entry.message!.partition);
      if (commit) this.#broker.seen(entry, { bucket, epoch });
    }
    for (const partition of partitions) this.#broker.mark(partition);
    if (commit && open.position) this.#positions.set(open.position.partition, open.position);
  }

  #checked(id: string, epoch: number): Holder {
    const holder = this.#holder(id);
    if (holder.epoch !== epoch) throw failed('KAFKA_FENCED');
    return holder;
  }

  #holder(id: string): Holder {
    const holder = this.#holders.get(id) ?? { epoch: 0, open: null };
    this.#holders.set(id, holder);
    return holder;
  }
}

/** All that the broker's history wants of a position: reading its rows as well takes much longer. */
function epochIn({ value }: OutgoingMessage): number {
  return (JSON.parse(String(value)) as Pick<Position, 'epoch'>).epoch;
}

function failed(
  code: 'KAFKA_FENCED' | 'KAFKA_FENCE_REQUIRED' | 'KAFKA_COMMIT_UNKNOWN' | 'KAFKA_NOT_ACKNOWLEDGED',
): KafkaError {
  return new KafkaError(code, `the broker says ${code}`, { retryable: code === 'KAFKA_NOT_ACKNOWLEDGED' });
}
