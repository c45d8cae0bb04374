import { KafkaError } from '../kafka/errors.ts';
import type { ReadingKafkaPort } from '../kafka/port.ts';

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

/** Creates what is missing. Where creating is not allowed, topics that somebody else made will do. */
export async function ensureTopics(
  port: ReadingKafkaPort,
  topics: readonly string[],
  options: { config: Readonly<Record<string, string>>; replicationFactor: number; signal: AbortSignal },
): Promise<void> {
  const { config, replicationFactor, signal } = options;
  const admin = port.admin();
  const abort = () => void admin.close();
  signal.addEventListener('abort', abort);
  try {
    const missing: string[] = [];
    for (const topic of topics) {
      try {
        await admin.describeTopic(topic);
      } catch (error) {
        if (!(error instanceof KafkaError) || error.code !== 'KAFKA_UNKNOWN_TOPIC_OR_PARTITION') throw error;
        missing.push(topic);
      }
    }
    if (missing.length === 0) return;
    await admin.createTopics(missing.map((topic) => ({ topic, partitions: 1, replicationFactor, config })));
  } finally {
    signal.removeEventListener('abort', abort);
    await admin.close();
  }
}
