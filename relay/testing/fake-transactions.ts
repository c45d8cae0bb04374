import type { Clock } from '../../clock/clock.ts';
import { KafkaError } from '../../kafka/errors.ts';
import type {
  IncomingMessage,
  OutgoingMessage,
  PartitionFailure,
  TopicPartition,
  TransactionalPublisher,
} from '../../kafka/port.ts';
import { type FakeKafka, tooLarge, unavailable } from './fake-kafka.ts';

/** What a test does to the end of a transaction. */
export type CommitFault =
  | null
  /** Committed, and the answer lost. */
  | 'committed, unknown'
  /** The commit never arrives: the transaction stays open until somebody fences. */
  | 'open, unknown'
  /** The answer is lost, and the commit arrives `lateMs` later, if nobody has fenced until then. */
  | 'late, unknown';

interface Holder {
  epoch: number;
  open: readonly OutgoingMessage[] | null;
}

/** Kafka's transactions in memory, with the same meaning as the port says: each step is atomic in the middle of its time. */
export class FakeTransactions {
  /** Of each transactional id: fences, and transactions that were refused to an older holder. */
  readonly fences = new Map<string, number>();
  fenced = 0;
  committed = 0;
  lateMs = 500;
  /** Whether errors say which partition or message is the cause: not all clients can. */
  namesFailures = true;
  fault: (transactionalId: string, process: string) => CommitFault = () => null;
  /** Called after what is sent is stored, before the commit arrives. */
  onOpen: (transactionalId: string, process: string) => Promise<void> | void = () => {};
  readonly #killed = new Set<string>();
  readonly #holders = new Map<string, Holder>();
  readonly #last = new Map<string, OutgoingMessage>();
  readonly #kafka: FakeKafka;
  readonly #clock: Clock;

  constructor(kafka: FakeKafka, clock: Clock) {
    this.#kafka = kafka;
    this.#clock = clock;
  }

  /** From now on nothing of that process arrives; what it has open stays so. */
  kill(process: string): void {
    this.#killed.add(process);
  }

  /** Puts a record where the next `lastCommitted` finds it. */
  leave(message: OutgoingMessage): void {
    this.#last.set(`${message.topic}/${message.partition}`, message);
  }

  publisher(process: string, transactionalId: string): TransactionalPublisher {
    let epoch: number | null = null;
    return {
      fence: async () => {
        epoch = null;
        await this.#arrive(process);
        if (this.#kafka.away) throw unavailable();
        const holder = this.#holder(transactionalId);
        holder.open = null;
        holder.epoch++;
        this.fences.set(transactionalId, (this.fences.get(transactionalId) ?? 0) + 1);
        const mine = holder.epoch;
        await this.#arrive(process);
        epoch = mine;
      },
      transaction: async (messages) => {
        if (epoch === null) throw error('KAFKA_FENCE_REQUIRED');
        const mine = epoch;
        epoch = null;
        await this.#transaction(process, transactionalId, mine, messages);
        epoch = mine;
        return { outcome: 'committed', report: { acknowledged: [], failed: [] } };
      },
      close: async () => {},
    };
  }

  async lastCommitted(process: string, { topic, partition }: TopicPartition): Promise<IncomingMessage | null> {
    await this.#arrive(process);
    if (this.#kafka.away) throw unavailable();
    const last = this.#last.get(`${topic}/${partition}`);
    await this.#arrive(process);
    if (!last) return null;
    return { topic, partition, offset: 0n, timestampMs: 0, key: last.key, value: last.value, headers: {} };
  }

  async #transaction(process: string, id: string, epoch: number, messages: readonly OutgoingMessage[]): Promise<void> {
    const isEvent = ({ topic }: OutgoingMessage) => !topic.endsWith('.positions');
    await this.#kafka.onPublish(messages.filter(isEvent));
    await this.#arrive(process);
    if (this.#kafka.away) throw unavailable();
    const holder = this.#checked(id, epoch);
    const failed = this.#failures(messages, isEvent);
    if (failed[0]) {
      const { code, message, retryable } = failed[0].error;
      throw new KafkaError(code, message, { retryable, failed: this.namesFailures ? failed : [] });
    }
    holder.open = messages;
    await this.onOpen(id, process);
    await this.#arrive(process);
    this.#checked(id, epoch);
    const fault = this.fault(id, process);
    if (fault === 'late, unknown') this.#clock.after(this.lateMs, () => this.#commit(id, epoch));
    else if (fault !== 'open, unknown') this.#commit(id, epoch);
    await this.#arrive(process);
    if (fault !== null) throw error('KAFKA_COMMIT_UNKNOWN');
  }

  #commit(id: string, epoch: number): void {
    const holder = this.#holder(id);
    if (holder.epoch !== epoch || !holder.open) return;
    for (const message of holder.open) {
      if (message.topic.endsWith('.positions')) this.leave(message);
      else this.#kafka.log.push(message);
    }
    holder.open = null;
    this.committed++;
  }

  #failures(messages: readonly OutgoingMessage[], isEvent: (message: OutgoingMessage) => boolean): PartitionFailure[] {
    const failed: PartitionFailure[] = [];
    const events = messages.filter(isEvent);
    for (const partition of new Set(events.map((message) => message.partition))) {
      const part = events.filter((message) => message.partition === partition);
      const { topic } = part[0]!;
      const fault = this.#kafka.fault(partition, part);
      if (fault === null) continue;
      if (typeof fault === 'string') failed.push({ topic, partition, error: unavailable() });
      else {
        const refused = part.filter((one) => fault.refuse(one)).map((one) => messages.indexOf(one));
        if (refused.length > 0) failed.push({ topic, partition, error: tooLarge(), refused });
      }
    }
    return failed;
  }

  #checked(id: string, epoch: number): Holder {
    const holder = this.#holder(id);
    if (holder.epoch === epoch) return holder;
    this.fenced++;
    throw error('KAFKA_FENCED');
  }

  #holder(id: string): Holder {
    const holder = this.#holders.get(id) ?? { epoch: 0, open: null };
    this.#holders.set(id, holder);
    return holder;
  }

  /** Half of the way; a killed process never gets there. */
  async #arrive(process: string): Promise<void> {
    await new Promise<void>((resolve) => this.#clock.after(this.#kafka.latencyMs / 2, resolve));
    if (this.#killed.has(process)) await new Promise(() => {});
  }
}

function error(code: 'KAFKA_FENCED' | 'KAFKA_FENCE_REQUIRED' | 'KAFKA_COMMIT_UNKNOWN'): KafkaError {
  return new KafkaError(code, `in the test: ${code}`, { retryable: false });
}
