import type { Clock } from '../../clock/clock.ts';
import { headerNames } from '../../events/envelope.ts';
import { KafkaError } from '../../kafka/errors.ts';
import type { OutgoingMessage, Publisher, PublishReport, TransactionalKafkaPort } from '../../kafka/port.ts';
import type { RelayOptions } from '../options.ts';
import { FakeTransactions } from './fake-transactions.ts';

/** What a test does to the messages of one partition in one call. */
export type PartitionFault =
  | null
  /** Stored, and the answer lost. */
  | 'stored, not acknowledged'
  | 'not stored'
  /** Left out of the answer altogether. */
  | 'forgotten'
  /** The messages that a predicate names are refused; nothing is stored. */
  | { refuse(message: OutgoingMessage): boolean };

/** Topics in memory, and publishers that answer as the port says. */
export class FakeKafka {
  /** Events, as a read-committed consumer sees them. */
  readonly log: OutgoingMessage[] = [];
  readonly transactions: FakeTransactions;
  /** Calls of a publisher whose former batch had no answer yet: a bucket must never do that. */
  overlaps = 0;
  latencyMs = 2;
  partitions = 12;
  /** Partitions of a positions topic. */
  positions = 8;
  away = false;
  fault: (partition: number, messages: readonly OutgoingMessage[]) => PartitionFault = () => null;
  /** Called when a batch arrives, before anything of it is stored. */
  onPublish: (messages: readonly OutgoingMessage[]) => Promise<void> | void = () => {};
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.transactions = new FakeTransactions(this, clock);
  }

  /** Versions of a key in the order of the topic, with repetitions. */
  versionsOf(key: number): number[] {
    return this.log
      .filter((message) => message.key!.toString() === String(key))
      .map((message) => Number(message.headers![headerNames.version]));
  }

  /** Of each key, the first time that each version is in the topic. */
  firstAppearances(key: number): number[] {
    return [...new Set(this.versionsOf(key))];
  }

  /** `process`: what a kill of that name cuts off from its transactions. */
  port(process = ''): RelayOptions['kafka'] & Pick<TransactionalKafkaPort, 'transactionalPublisher' | 'lastCommitted'> {
    return {
      publisher: () => this.#publisher(),
      transactionalPublisher: ({ transactionalId }) => this.transactions.publisher(process, transactionalId),
      lastCommitted: (place) => this.transactions.lastCommitted(process, place),
      admin: () => ({
        describeTopic: async (topic) => {
          await this.#pause(2);
          if (this.away) throw unavailable();
          return {
            topic,
            partitions: Array.from(
              { length: topic.endsWith('.positions') ? this.positions : this.partitions },
              (_, partition) => ({
                partition,
                leader: 1,
                replicas: [1],
                inSyncReplicas: [1],
              }),
            ),
          };
        },
        close: async () => {},
      }),
    };
  }

  #publisher(): Publisher {
    let busy = false;
    return {
      publish: async (messages) => {
        if (busy) this.overlaps++;
        busy = true;
        try {
          return await this.#publish(messages);
        } finally {
          busy = false;
        }
      },
      close: async () => {},
    };
  }

  async #publish(messages: readonly OutgoingMessage[]): Promise<PublishReport> {
    await this.onPublish(messages);
    await this.#pause(this.latencyMs / 2);
    const report: PublishReport = { acknowledged: [], failed: [] };
    for (const partition of new Set(messages.map((message) => message.partition))) {
      const part = messages.filter((message) => message.partition === partition);
      const topic = part[0]!.topic;
      const fault = this.away ? 'not stored' : this.fault(partition, part);
      if (fault === null || fault === 'stored, not acknowledged') this.log.push(...part);
      if (fault === null) {
        report.acknowledged.push({ topic, partition, baseOffset: null, count: part.length });
      } else if (typeof fault === 'object') {
        const refused = part.filter((one) => fault.refuse(one)).map((one) => messages.indexOf(one));
        if (refused.length > 0) report.failed.push({ topic, partition, error: tooLarge(), refused });
        else {
          this.log.push(...part);
          report.acknowledged.push({ topic, partition, baseOffset: null, count: part.length });
        }
      } else if (fault !== 'forgotten') {
        report.failed.push({ topic, partition, error: unavailable() });
      }
    }
    await this.#pause(this.latencyMs / 2);
    return report;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.after(ms, resolve));
  }
}

export function unavailable(): KafkaError {
  return new KafkaError('KAFKA_UNAVAILABLE', 'no broker answers', { retryable: true });
}

export function tooLarge(): KafkaError {
  return new KafkaError('KAFKA_MESSAGE_TOO_LARGE', 'the broker refuses its size', { retryable: false });
}
