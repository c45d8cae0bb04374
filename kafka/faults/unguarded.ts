import kafkajs from 'kafkajs';
import { KafkaError } from '../errors.ts';
import type { OutgoingMessage, Publisher, PublishReport } from '../port.ts';

/**
 * kafkajs as most would use it, without the adapter's guard: one idempotent producer, kept for good, concurrent calls, its own
 * retries. It loses what it has acknowledged; the suite must see that.
 */
export class Unguarded implements Publisher {
  readonly #producer: kafkajs.Producer;
  #connected: Promise<void> | null = null;

  constructor(brokers: readonly string[]) {
    const kafka = new kafkajs.Kafka({
      brokers: [...brokers],
      requestTimeout: 500,
      logLevel: kafkajs.logLevel.NOTHING,
      retry: { retries: 4, initialRetryTime: 50, maxRetryTime: 300, multiplier: 2, factor: 0.2 },
    });
    this.#producer = kafka.producer({ idempotent: true, maxInFlightRequests: 5, allowAutoTopicCreation: false });
  }

  async publish(messages: readonly OutgoingMessage[]): Promise<PublishReport> {
    const topic = messages[0]!.topic;
    const counts = new Map<number, number>();
    for (const { partition } of messages) counts.set(partition, (counts.get(partition) ?? 0) + 1);
    try {
      this.#connected ??= this.#producer.connect();
      await this.#connected.catch((error) => {
        this.#connected = null;
        throw error;
      });
      await this.#producer.sendBatch({
        acks: -1,
        timeout: 500,
        topicMessages: [{ topic, messages: messages.map(({ partition, value }) => ({ partition, value })) }],
      });
      return {
        acknowledged: [...counts].map(([partition, count]) => ({ topic, partition, baseOffset: null, count })),
        failed: [],
      };
    } catch (cause) {
      const error = new KafkaError('KAFKA_UNEXPECTED', String(cause), { retryable: true, cause });
      return { acknowledged: [], failed: [...counts.keys()].map((partition) => ({ topic, partition, error })) };
    }
  }

  async close(): Promise<void> {
    await this.#producer.disconnect();
  }
}
