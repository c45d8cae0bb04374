import type { IncomingMessage, KafkaConnection, TopicPartition } from '../port.ts';
import { errorOfProtocolCode, protocolCode, toKafkaError } from './errors.ts';
import { fetchOnce } from './fetch.ts';
import { listOffsets } from './offsets.ts';
import { partKey, placeOf } from './produce.ts';
import { messagesOf, positionAfter } from './records.ts';
import { Wire } from './wire.ts';

interface Place extends TopicPartition {
  topicId: string;
  leader: number;
}

/**
 * The last message of a partition that a read-committed consumer sees, looked for from the end backwards in windows that
 * grow, because markers and aborted messages take offsets, too.
 */
export async function lastCommitted(
  connection: KafkaConnection,
  { topic, partition }: TopicPartition,
): Promise<IncomingMessage | null> {
  const wire = new Wire(connection, { requestTimeoutMs: connection.requestTimeoutMs ?? 10_000 });
  const what = `last message of ${placeOf({ topic, partition })}`;
  const deadline = performance.now() + wire.requestTimeoutMs;
  try {
    for (let pauseMs = 20; ; pauseMs = Math.min(500, pauseMs * 2)) {
      try {
        return await search(wire, topic, partition, what);
      } catch (thrown) {
        const error = toKafkaError(thrown, what);
        const isPassing = error.retryable && error.code !== 'KAFKA_UNKNOWN_TOPIC_OR_PARTITION';
        if (!isPassing || performance.now() + pauseMs > deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  } finally {
    wire.close();
  }
}

async function search(wire: Wire, topic: string, partition: number, what: string): Promise<IncomingMessage | null> {
  const metadata = (await wire.refresh([topic])).get(topic);
  const leader = metadata?.partitions.find((one) => one.partition === partition)?.leader;
  if (!metadata || leader === undefined) throw errorOfProtocolCode(protocolCode.unknownTopicOrPartition, what);
  if (leader < 0) throw errorOfProtocolCode(protocolCode.leaderNotAvailable, what);
  const place = { topic, partition, topicId: metadata.id, leader };
  const beginning = (await listOffsets(wire, leader, topic, [partition], 'beginning')).get(partition) ?? 0n;
  let to = (await listOffsets(wire, leader, topic, [partition], 'committed')).get(partition) ?? 0n;
  for (let window = 64n; to > beginning; window *= 8n) {
    const from = to - window > beginning ? to - window : beginning;
    const found = await lastBetween(wire, place, from, to);
    if (found) return found;
    to = from;
  }
  return null;
}

async function lastBetween(wire: Wire, place: Place, from: bigint, to: bigint): Promise<IncomingMessage | null> {
  const { topic, partition, leader } = place;
  const maxBytes = 4 * 1024 * 1024;
  let last: IncomingMessage | null = null;
  for (let position = from; position < to; ) {
    const limits = { waitMs: 0, maxBytes, maxBytesPerPartition: maxBytes, deadlineMs: wire.requestTimeoutMs };
    const answer = (await fetchOnce(wire, leader, [{ ...place, position }], limits)).get(partKey(place));
    if (!answer) return last;
    if (answer.errorCode !== 0) throw errorOfProtocolCode(answer.errorCode, `read ${placeOf(place)}`);
    const { records, abortedTransactions } = answer;
    const next = positionAfter(records, position);
    if (next === position) return last; // nothing but batches that compaction emptied
    const messages = messagesOf(topic, partition, records, abortedTransactions, position);
    last = messages.findLast(({ offset }) => offset < to) ?? last;
    position = next;
  }
  return last;
}
