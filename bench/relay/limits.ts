import kafkajs from 'kafkajs';
import { headersOf } from '../../events/envelope.ts';
import { partitionOf } from '../../kafka/partitioner.ts';
import { createPlatformaticPort } from '../../kafka/platformatic/platformatic-port.ts';
import type { OutgoingMessage } from '../../kafka/port.ts';
import { eventIdText, newEventId } from '../../outbox/event-id.ts';
import { type BenchOutbox, keysCount } from './outbox.ts';

// What the relay can't be faster than, on the same servers: publishing messages that lie ready, and writing rows.

const batchSize = 1_000;
const value = Buffer.alloc(600, 'x');

/** Messages as the relay makes them: key, 600 bytes, 12 headers. */
export function readyBatches(count: number, topic: string, partitions: number): OutgoingMessage[][] {
  const batches: OutgoingMessage[][] = [];
  for (let from = 0; from < count; from += batchSize) {
    batches.push(
      Array.from({ length: Math.min(batchSize, count - from) }, (_, index) => {
        const key = String(9_000_000_000 + ((from + index) % keysCount));
        const headers = headersOf({
          eventId: eventIdText(newEventId()),
          source: 'like',
          type: 'ArticleLiked',
          schemaVersion: 1,
          aggregateType: 'article',
          aggregateId: key,
          version: 1n,
          incarnation: '0199c2f0-0000-7000-8000-000000000000',
          occurredAt: new Date(),
          traceparent: null,
        });
        return { topic, partition: partitionOf(key, partitions), key: Buffer.from(key), value, headers };
      }),
    );
  }
  return batches;
}

/** Messages/s of one bare kafkajs producer: idempotent, acks=all, one batch after the other. */
export async function bareKafkajs(brokers: string[], batches: readonly OutgoingMessage[][]): Promise<number> {
  const { Kafka, logLevel, Partitioners } = kafkajs;
  const kafka = new Kafka({ brokers, clientId: 'bench-kafkajs', logLevel: logLevel.NOTHING });
  const producer = kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    createPartitioner: Partitioners.DefaultPartitioner,
  });
  await producer.connect();
  try {
    return await rate(batches, async (batch) => {
      const messages = batch.map(({ partition, key, value, headers }) => ({
        partition,
        key,
        value,
        headers: headers as Record<string, string>,
      }));
      await producer.sendBatch({ acks: -1, topicMessages: [{ topic: batch[0]!.topic, messages }] });
    });
  } finally {
    await producer.disconnect();
  }
}

/** Messages/s of this project's publisher, as many side by side as the relay has buckets. */
export async function barePublishers(
  brokers: string[],
  batches: readonly OutgoingMessage[][],
  count: number,
): Promise<number> {
  const port = createPlatformaticPort({ brokers, clientId: 'bench-publisher' });
  const publishers = Array.from({ length: count }, () => port.publisher());
  try {
    const waiting = [...batches];
    const startedMs = performance.now();
    await Promise.all(
      publishers.map(async (publisher) => {
        for (let batch = waiting.shift(); batch; batch = waiting.shift()) {
          const { failed } = await publisher.publish(batch);
          if (failed[0]) throw failed[0].error;
        }
      }),
    );
    return messagesIn(batches) / ((performance.now() - startedMs) / 1000);
  } finally {
    await Promise.all(publishers.map((publisher) => publisher.close()));
  }
}

/** Transactions/s of a loop that writes one event in each, over eight connections. */
export async function bareInserts(outbox: BenchOutbox, durationMs: number): Promise<number> {
  const startedMs = performance.now();
  let written = 0;
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      while (performance.now() - startedMs < durationMs) {
        await outbox.write(1);
        written++;
      }
    }),
  );
  return written / ((performance.now() - startedMs) / 1000);
}

async function rate(batches: readonly OutgoingMessage[][], send: (batch: OutgoingMessage[]) => Promise<void>) {
  const startedMs = performance.now();
  for (const batch of batches) await send(batch);
  return messagesIn(batches) / ((performance.now() - startedMs) / 1000);
}

function messagesIn(batches: readonly OutgoingMessage[][]): number {
  return batches.reduce((sum, batch) => sum + batch.length, 0);
}
