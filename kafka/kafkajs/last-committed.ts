import type { Cluster, KafkaMessage } from 'kafkajs';
import type { IncomingMessage, KafkaConnection, TopicPartition } from '../port.ts';
import { closeClient, createClient } from './client.ts';
import { translate } from './errors.ts';
import { incomingMessage } from './incoming.ts';
import { bounds, captureCluster, type FetchedPartition, sortAborted } from './native-cluster.ts';

const readCommitted = 1;

/** The last message of a partition that a read-committed consumer sees, found from the end backwards, without a group. */
export async function lastCommitted(
  connection: KafkaConnection,
  { topic, partition }: TopicPartition,
): Promise<IncomingMessage | null> {
  const client = createClient(connection, {
    requestTimeoutMs: connection.requestTimeoutMs ?? 10_000,
    retry: { retries: 4, initialRetryTime: 50, maxRetryTime: 500, multiplier: 2, factor: 0.2 },
  });
  const { assigner, cluster } = captureCluster();
  // Never run, so it joins no group: kafkajs gives its cluster to a consumer's assigner only.
  const consumer = client.kafka.consumer({
    groupId: 'none',
    partitionAssigners: [assigner],
    allowAutoTopicCreation: false,
  });
  try {
    await consumer.connect();
    await cluster().addMultipleTargetTopics([topic]);
    return await searchWhileLeadersMove(cluster(), topic, partition);
  } catch (native) {
    throw translate(native, `Reading the last message of ${topic}[${partition}] failed`);
  } finally {
    await closeClient(client, () => consumer.disconnect());
  }
}

async function searchWhileLeadersMove(
  cluster: Cluster,
  topic: string,
  partition: number,
): Promise<IncomingMessage | null> {
  const deadlineMs = performance.now() + 5000;
  for (;;) {
    try {
      return await search(cluster, topic, partition);
    } catch (native) {
      const { code } = translate(native, 'Searching');
      if (code !== 'KAFKA_UNAVAILABLE' || performance.now() > deadlineMs) throw native;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    await cluster.refreshMetadata();
  }
}

async function search(cluster: Cluster, topic: string, partition: number): Promise<IncomingMessage | null> {
  const { beginning, end } = await bounds(cluster, topic, partition);
  let to = end;
  for (let window = 64n; to > beginning; window *= 8n) {
    const from = later(beginning, to - window);
    const found = await lastBetween(cluster, topic, partition, from, to);
    if (found) return incomingMessage(topic, partition, found);
    to = from;
  }
  return null;
}

async function lastBetween(
  cluster: Cluster,
  topic: string,
  partition: number,
  from: bigint,
  to: bigint,
): Promise<KafkaMessage | null> {
  let last: KafkaMessage | null = null;
  for (let position = from; position < to; ) {
    const fetched = await fetchFrom(cluster, topic, partition, position);
    if (fetched.messages.length === 0) return last; // nothing but batches that compaction emptied
    for (const message of visible(fetched)) {
      if (BigInt(message.offset) >= position && BigInt(message.offset) < to) last = message;
    }
    position = endOf(fetched.messages);
  }
  return last;
}

interface Fetched extends FetchedPartition {
  messages: NativeRecord[];
}

type NativeRecord = KafkaMessage & {
  isControlRecord: boolean;
  batchContext: { firstOffset: string; lastOffsetDelta: number; producerId: string; inTransaction: boolean };
};

async function fetchFrom(cluster: Cluster, topic: string, partition: number, position: bigint): Promise<Fetched> {
  const leader = Object.keys(cluster.findLeaderForPartitions(topic, [partition]))[0];
  const broker = await cluster.findBroker({ nodeId: String(leader) });
  const answer = await broker.fetch({
    isolationLevel: readCommitted,
    maxWaitTime: 200,
    minBytes: 1,
    maxBytes: 4_194_304,
    topics: [{ topic, partitions: [{ partition, fetchOffset: String(position), maxBytes: 1_048_576 }] }],
  });
  return answer.responses[0]?.partitions[0] ?? { messages: [] };
}

/** What a read-committed reader sees of a fetched partition: no control records, nothing of aborted transactions. */
export function visible(fetched: Fetched): NativeRecord[] {
  sortAborted(fetched);
  const coming = [...(fetched.abortedTransactions ?? [])];
  const aborting = new Set<string>();
  return fetched.messages.filter((message) => {
    while (coming[0] && BigInt(coming[0].firstOffset) <= BigInt(message.offset))
      aborting.add(coming.shift()!.producerId);
    const { producerId, inTransaction } = message.batchContext;
    if (message.isControlRecord) {
      aborting.delete(producerId); // the marker ends this producer's transaction
      return false;
    }
    return !(inTransaction && aborting.has(producerId));
  });
}

function endOf(messages: readonly NativeRecord[]): bigint {
  const { firstOffset, lastOffsetDelta } = messages.at(-1)!.batchContext;
  return BigInt(firstOffset) + BigInt(lastOffsetDelta) + 1n;
}

function later(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
