import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import kafkajs from 'kafkajs';
import { ContractContext } from '../contract/context.ts';
import { publishUnderFaults } from '../contract/lost.ts';
import { KafkaError } from '../errors.ts';
import type { OutgoingMessage, Publisher, PublishReport } from '../port.ts';
import { createKafkajsPort } from './index.ts';

describe('kafkajs and its guard', () => {
  let context: ContractContext;
  beforeAll(() => {
    context = new ContractContext(createKafkajsPort);
  });
  afterAll(() => context.close());

  it('by itself kafkajs loses what it acknowledged, so that the check of the contract can see a loss', async () => {
    let lost = 0;
    for (let round = 0; round < 3 && lost === 0; round++) {
      const result = await publishUnderFaults(context, (brokers) => new Unguarded(brokers));
      lost = result.lost.length;
    }
    expect(lost).toBeGreaterThan(0);
  });
});

/** One idempotent producer as most would use it: kept for good, concurrent calls, its own retries. */
class Unguarded implements Publisher {
  readonly #producer: kafkajs.Producer;
  readonly #connected: Promise<void>;

  constructor(brokers: readonly string[]) {
    const kafka = new kafkajs.Kafka({
      brokers: [...brokers],
      requestTimeout: 500,
      logLevel: kafkajs.logLevel.NOTHING,
      retry: { retries: 4, initialRetryTime: 50, maxRetryTime: 300, multiplier: 2, factor: 0.2 },
    });
    this.#producer = kafka.producer({ idempotent: true, maxInFlightRequests: 5, allowAutoTopicCreation: false });
    this.#connected = this.#producer.connect();
  }

  async publish(messages: readonly OutgoingMessage[]): Promise<PublishReport> {
    await this.#connected;
    const partitions = [...new Set(messages.map(({ partition }) => partition))];
    const topic = messages[0]!.topic;
    try {
      await this.#producer.sendBatch({
        acks: -1,
        timeout: 500,
        topicMessages: [{ topic, messages: messages.map(({ partition, value }) => ({ partition, value })) }],
      });
      return {
        acknowledged: partitions.map((partition) => ({ topic, partition, baseOffset: null, count: 1 })),
        failed: [],
      };
    } catch (cause) {
      const error = new KafkaError('KAFKA_UNEXPECTED', String(cause), { retryable: true, cause });
      return { acknowledged: [], failed: partitions.map((partition) => ({ topic, partition, error })) };
    }
  }

  async close(): Promise<void> {
    await this.#producer.disconnect();
  }
}
