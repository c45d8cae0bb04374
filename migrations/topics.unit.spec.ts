import { describe, expect, it } from '@jest/globals';
import { KafkaError } from '../kafka/errors.ts';
import type { Admin } from '../kafka/port.ts';
import { ensureTopics, eventTopics } from './topics.ts';

const topics = eventTopics('t', ['like']);

/** A Kafka that is away for the first `awayForMs`, under a clock that only sleeping moves. */
function kafkaAwayFor(awayForMs: number) {
  let nowMs = 0;
  const unavailable = () => new KafkaError('KAFKA_UNAVAILABLE', 'no broker answers', { retryable: true });
  const admin: Pick<Admin, 'createTopics' | 'describeTopic'> = {
    createTopics: async () => {
      if (nowMs < awayForMs) throw unavailable();
      return ['t.like'];
    },
    describeTopic: async (topic) => ({
      topic,
      partitions: Array.from({ length: 12 }, (_, partition) => ({
        partition,
        leader: 1,
        replicas: [1],
        inSyncReplicas: [1],
      })),
    }),
  };
  const time = {
    nowMs: () => nowMs,
    sleep: async (ms: number) => {
      nowMs += ms;
    },
  };
  return { admin: admin as Admin, time };
}

describe('ensureTopics', () => {
  it('waits for Kafka, saying so once', async () => {
    const said: string[] = [];
    const log = (message: string) => said.push(message);
    expect(await ensureTopics({ ...kafkaAwayFor(20_000), topics, log })).toEqual(['t.like']);
    expect(said).toEqual(['Waiting for Kafka: no broker answers', 't.like: created']);
  });

  it('gives up after its deadline with a clear message', async () => {
    await expect(ensureTopics({ ...kafkaAwayFor(70_000), topics })).rejects.toMatchObject({
      code: 'TOPIC_KAFKA_UNAVAILABLE',
      retryable: true,
      message: 'Kafka did not answer within 60000 ms: no broker answers',
    });
  });
});
