import { IS_CONTROL, IS_TRANSACTIONAL, type KafkaRecord, type RecordsBatch } from '@platformatic/kafka';
import type { IncomingMessage } from '../port.ts';

/** Bit of a record batch's attributes: the broker set the time, and it is the batch's. */
const isLogAppendTime = 1 << 3;

export interface AbortedTransaction {
  producerId: bigint;
  firstOffset: bigint;
}

/**
 * Messages of a fetch answer from `position` on, without control records and without those of aborted transactions (the client
 * library leaves that to its caller), and the position after them. Source: org.apache.kafka.clients.consumer.internals.
 * CompletedFetch, and KIP-98 for control records.
 */
export function messagesOf(
  topic: string,
  partition: number,
  batches: readonly RecordsBatch[],
  abortedTransactions: readonly AbortedTransaction[],
  position: bigint,
): { messages: IncomingMessage[]; next: bigint } {
  const waiting = [...abortedTransactions].sort((one, other) => (one.firstOffset < other.firstOffset ? -1 : 1));
  const aborted = new Set<bigint>();
  const messages: IncomingMessage[] = [];
  let next = position;
  for (const batch of batches) {
    const lastOffset = batch.firstOffset + BigInt(batch.lastOffsetDelta);
    while (waiting[0] && waiting[0].firstOffset <= lastOffset) aborted.add(waiting.shift()!.producerId);
    if (lastOffset >= next) next = lastOffset + 1n;
    if (batch.attributes & IS_CONTROL) {
      if (batch.records[0] && isAbortMarker(batch.records[0])) aborted.delete(batch.producerId);
      continue;
    }
    if (batch.attributes & IS_TRANSACTIONAL && aborted.has(batch.producerId)) continue;
    for (const record of batch.records) {
      const offset = batch.firstOffset + BigInt(record.offsetDelta);
      // A fetch answers whole batches: the first may begin before the position.
      if (offset >= position) messages.push(toMessage(topic, partition, offset, batch, record));
    }
  }
  return { messages, next };
}

function toMessage(
  topic: string,
  partition: number,
  offset: bigint,
  batch: RecordsBatch,
  { key, value, headers, timestampDelta }: KafkaRecord,
): IncomingMessage {
  const named: Record<string, Buffer> = {};
  for (const [name, header] of headers) if (name) named[name.toString()] = header ?? Buffer.alloc(0);
  const timestamp = batch.attributes & isLogAppendTime ? batch.maxTimestamp : batch.firstTimestamp + timestampDelta;
  return { topic, partition, offset, timestampMs: Number(timestamp), key, value, headers: named };
}

function isAbortMarker({ key }: KafkaRecord): boolean {
  // version INT16, type INT16: 0 is abort, 1 is commit
  return key !== null && key.length >= 4 && key.readInt16BE(2) === 0;
}
