import { KafkaError } from '../kafka/errors.ts';
import type { Admin, ReadingKafkaPort } from '../kafka/port.ts';

/** Settings of the transporter's topics. Packets live for seconds, so everything is small and short. */
export function topicConfig({ retentionMs, maxPacketBytes }: { retentionMs: number; maxPacketBytes: number }) {
  return {
    'cleanup.policy': 'delete',
    'retention.ms': String(retentionMs),
    // Only closed segments are deleted: close them as often.
    'segment.ms': String(Math.max(30_000, Math.floor(retentionMs / 2))),
    'segment.bytes': String(64 * 1024 * 1024),
    'segment.index.bytes': String(1024 * 1024),
    'max.message.bytes': String(maxPacketBytes + 16 * 1024),
    'min.insync.replicas': '1',
  };
}

export interface TopicOptions {
  config: Readonly<Record<string, string>>;
  /** At most one for each broker. */
  partitions: number;
  replicationFactor: number;
  signal: AbortSignal;
}

/**
 * Creates what is missing; topics that are there stay as they are. Where creating is not allowed, topics that somebody else
 * made will do. Answers how many partitions each has, and how many brokers there are.
 */
export async function ensureTopics(
  port: ReadingKafkaPort,
  topics: readonly string[],
  options: TopicOptions,
): Promise<{ topics: Map<string, number>; brokers: number }> {
  const { config, replicationFactor, signal } = options;
  const admin = port.admin();
  const abort = () => void admin.close();
  signal.addEventListener('abort', abort);
  try {
    const brokers = (await admin.brokers()).length;
    const partitions = Math.min(options.partitions, Math.max(1, brokers));
    const found = new Map<string, number>();
    for (const topic of topics) {
      const there = await partitionsOf(admin, topic);
      if (there === 0) await admin.createTopics([{ topic, partitions, replicationFactor, config }]);
      // Another node may have made it in the meantime, as it thinks right.
      found.set(topic, there || (await partitionsOf(admin, topic)) || partitions);
    }
    return { topics: found, brokers };
  } finally {
    signal.removeEventListener('abort', abort);
    await admin.close();
  }
}

/** 0 where it is not there. */
async function partitionsOf(admin: Admin, topic: string): Promise<number> {
  try {
    return (await admin.describeTopic(topic)).partitions.length;
  } catch (error) {
    if (error instanceof KafkaError && error.code === 'KAFKA_UNKNOWN_TOPIC_OR_PARTITION') return 0;
    throw error;
  }
}
