import { setTimeout as delay } from 'node:timers/promises';
import type { KafkaError } from '../kafka/errors.ts';
import type { Admin, TopicSpec } from '../kafka/port.ts';
import { positionsTopic } from '../relay/delivery/position.ts';
import { MigrationError } from './errors.ts';

export const topicPartitions = 12;
const retentionMs = 7 * 24 * 60 * 60 * 1000;

/** The event topic of each source. */
export function eventTopics(topicPrefix: string, sources: readonly string[]): TopicSpec[] {
  return sources.map((source) => ({
    topic: `${topicPrefix}.${source}`,
    partitions: topicPartitions,
    config: { 'cleanup.policy': 'delete', 'retention.ms': String(retentionMs) },
  }));
}

/**
 * For each source the topic that a relay in the mode `exactly-once` leaves its positions in: a partition for each bucket, of
 * which only the last record counts. Made in the other mode, too, so that changing it needs no migration.
 */
export function positionTopics(topicPrefix: string, sources: readonly string[], buckets: number): TopicSpec[] {
  return sources.map((source) => ({
    topic: positionsTopic(topicPrefix, source),
    partitions: buckets,
    config: { 'cleanup.policy': 'compact', 'segment.bytes': String(16 * 1024 * 1024) },
  }));
}

export interface EnsureTopicsOptions {
  admin: Admin;
  topics: readonly TopicSpec[];
  /** How long to wait for Kafka. Default 60,000. */
  waitMs?: number;
  log?(message: string): void;
  /** Default: the wall clock and its timers. */
  time?: { nowMs(): number; sleep(ms: number): Promise<void> };
}

const pauseMs = 500;
const systemTime = { nowMs: () => performance.now(), sleep: (ms: number) => delay(ms) };

/**
 * Creates the topics that are missing; answers their names. A topic with another number of partitions is an error: its keys
 * would be placed otherwise than before, so it is never changed here. Settings of a topic that exists are left alone.
 * Throws `MigrationError`: `TOPIC_KAFKA_UNAVAILABLE` (after `waitMs`) or `TOPIC_MISMATCH`.
 */
export async function ensureTopics(options: EnsureTopicsOptions): Promise<string[]> {
  const made = await patiently(options, () => options.admin.createTopics(options.topics));
  for (const topic of made) options.log?.(`${topic}: created`);
  for (const { topic, partitions } of options.topics) {
    const { partitions: found } = await patiently(options, () => options.admin.describeTopic(topic));
    if (found.length !== partitions) {
      throw new MigrationError(
        'TOPIC_MISMATCH',
        `The topic ${topic} has ${found.length} partitions; it must have ${partitions}. Keys would change their partition: ` +
          'use another HOTBOARD_TOPIC_PREFIX, or move the topic away.',
        { retryable: false },
      );
    }
  }
  return made;
}

/** Goes on trying while Kafka is away, or a topic that was just made is not yet known everywhere. */
async function patiently<Result>(options: EnsureTopicsOptions, call: () => Promise<Result>): Promise<Result> {
  const time = options.time ?? systemTime;
  const waitMs = options.waitMs ?? 60_000;
  const startedMs = time.nowMs();
  for (let told = false; ; ) {
    try {
      return await call();
    } catch (error) {
      const { code, retryable, message } = error as KafkaError;
      if (!retryable && code !== 'KAFKA_UNKNOWN_TOPIC_OR_PARTITION') throw error;
      if (time.nowMs() - startedMs >= waitMs) {
        throw new MigrationError('TOPIC_KAFKA_UNAVAILABLE', `Kafka did not answer within ${waitMs} ms: ${message}`, {
          retryable: true,
          cause: error,
        });
      }
      if (!told) options.log?.(`Waiting for Kafka: ${message}`);
      told = true;
      await time.sleep(pauseMs);
    }
  }
}
