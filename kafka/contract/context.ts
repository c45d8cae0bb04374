import { testServers, uniqueName } from '../../testing/servers.ts';
import { eventually } from '../../testing/until.ts';
import type {
  Admin,
  Consumer,
  ConsumerOptions,
  IncomingBatch,
  IncomingMessage,
  KafkaConnection,
  KafkaPort,
  OutgoingMessage,
  Publisher,
  PublishReport,
} from '../port.ts';

/** Makes the adapter under test. */
export type CreatePort = (connection: KafkaConnection) => KafkaPort;

/** What the contract's tests share: one port to the tests' broker, and everything that must be closed at the end. */
export class ContractContext {
  readonly brokers = testServers().kafkaBrokers;
  readonly port: KafkaPort;
  readonly admin: Admin;
  readonly #create: CreatePort;
  readonly #closers: (() => Promise<unknown>)[] = [];
  readonly #topics: string[] = [];

  constructor(create: CreatePort) {
    this.#create = create;
    this.port = this.connect();
    this.admin = this.port.admin();
  }

  connect(brokers: readonly string[] = this.brokers, settings: Partial<KafkaConnection> = {}): KafkaPort {
    return this.#create({ brokers, clientId: uniqueName('contract'), ...settings });
  }

  async topic(partitions = 1, config?: Record<string, string>): Promise<string> {
    const topic = uniqueName('contract');
    await this.admin.createTopics([{ topic, partitions, replicationFactor: 1, config }]);
    this.#topics.push(topic);
    return topic;
  }

  publisher(port = this.port, deliveryTimeoutMs?: number): Publisher {
    const publisher = port.publisher({ deliveryTimeoutMs });
    this.onClose(() => publisher.close());
    return publisher;
  }

  /** A consumer with times that suit a test; started, and stopped at the end. */
  async consumer(
    options: Pick<ConsumerOptions, 'groupId' | 'topics' | 'onBatch'> & Partial<ConsumerOptions>,
    port = this.port,
  ): Promise<Consumer> {
    const consumer = port.consumer({
      sessionTimeoutMs: 6000,
      heartbeatIntervalMs: 2000,
      rebalanceTimeoutMs: 10_000,
      maxWaitMs: 100,
      ...options,
    });
    this.onClose(() => consumer.stop());
    await consumer.start();
    return consumer;
  }

  /** Reads a topic from the beginning until `enough` is so, with a group of its own. */
  async read(topic: string, enough: (messages: readonly IncomingMessage[]) => boolean): Promise<IncomingMessage[]> {
    const messages: IncomingMessage[] = [];
    const consumer = await this.consumer({
      groupId: uniqueName('reader'),
      topics: [topic],
      async onBatch(batch) {
        messages.push(...batch.messages);
        return undefined;
      },
    });
    await eventually(() => enough(messages));
    await consumer.stop();
    return messages;
  }

  async committed(groupId: string, topic: string): Promise<(bigint | null)[]> {
    return (await this.admin.committed(groupId, topic)).map(({ offset }) => offset);
  }

  onClose(close: () => Promise<unknown>): void {
    this.#closers.push(close);
  }

  async close(): Promise<void> {
    for (const close of this.#closers.reverse()) await close();
    await this.admin.deleteTopics(this.#topics);
    await this.admin.close();
  }
}

export function message(topic: string, partition: number, value: string, key: string | null = null): OutgoingMessage {
  return { topic, partition, key: key === null ? null : Buffer.from(key), value: Buffer.from(value) };
}

/** Throws what failed. */
export function allAcknowledged(report: PublishReport): PublishReport {
  const [failure] = report.failed;
  if (failure) throw failure.error;
  return report;
}

export function values(messages: readonly IncomingMessage[]): string[] {
  return messages.map(({ value }) => String(value));
}

/** Which offsets were seen, by partition. */
export class History {
  readonly outOfOrder: string[] = [];
  readonly #seen = new Map<number, Set<bigint>>();
  readonly #firsts = new Map<number, bigint>();

  /** Different messages that were seen. */
  get count(): number {
    return [...this.#seen.values()].reduce((sum, offsets) => sum + offsets.size, 0);
  }

  firstOf(partition: number): bigint | undefined {
    return this.#firsts.get(partition);
  }

  readonly record = async ({ partition, messages }: IncomingBatch): Promise<undefined> => {
    const offsets = this.#seen.get(partition) ?? new Set<bigint>();
    this.#seen.set(partition, offsets);
    for (const { offset } of messages) {
      if (offsets.size === 0) this.#firsts.set(partition, offset);
      else if (!offsets.has(offset) && !offsets.has(offset - 1n)) this.outOfOrder.push(`${partition}: ${offset}`);
      offsets.add(offset);
    }
    return undefined;
  };
}
