import type { Batch, IHeaders, KafkaMessage } from 'kafkajs';
import type { IncomingBatch, IncomingMessage } from '../port.ts';

export function incomingBatch(batch: Batch): IncomingBatch {
  const { topic, partition } = batch;
  return {
    topic,
    partition,
    messages: batch.messages.map((message) => incomingMessage(topic, partition, message)),
    highWatermark: BigInt(batch.highWatermark),
  };
}

export function incomingMessage(topic: string, partition: number, message: KafkaMessage): IncomingMessage {
  return {
    topic,
    partition,
    offset: BigInt(message.offset),
    timestampMs: Number(message.timestamp),
    key: message.key,
    value: message.value,
    headers: headersOf(message.headers),
  };
}

/** Of a header that is there several times the last one counts, as in Java's `lastHeader`; a null value is an empty one. */
function headersOf(native: IHeaders | undefined): Record<string, Buffer> {
  return Object.fromEntries(
    Object.entries(native ?? {}).map(([name, value]) => {
      const last = Array.isArray(value) ? value.at(-1) : value;
      return [name, Buffer.isBuffer(last) ? last : Buffer.from(last ?? '')];
    }),
  );
}
