import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createKafkajsPort } from '../kafka/kafkajs/index.ts';
import type { Admin } from '../kafka/port.ts';
import { testServers, uniqueName } from '../testing/servers.ts';
import { ensureTopics, eventTopics, positionTopics } from './topics.ts';

let admin: Admin;
const prefix = uniqueName('topics');
const topics = eventTopics(prefix, ['article', 'like']);
const positions = positionTopics(prefix, ['like'], 8);

beforeAll(() => {
  admin = createKafkajsPort({ brokers: testServers().kafkaBrokers, clientId: prefix }).admin();
});
afterAll(async () => {
  await admin.deleteTopics([...topics, ...positions].map(({ topic }) => topic));
  await admin.close();
});

describe('ensureTopics', () => {
  it('makes topics of 12 partitions that keep messages for 7 days, once', async () => {
    expect((await ensureTopics({ admin, topics })).sort()).toEqual([`${prefix}.article`, `${prefix}.like`]);
    expect(await ensureTopics({ admin, topics })).toEqual([]);
    expect((await admin.describeTopic(`${prefix}.like`)).partitions).toHaveLength(12);
    expect(await admin.topicConfig(`${prefix}.like`)).toMatchObject({
      'retention.ms': '604800000',
      'cleanup.policy': 'delete',
    });
  });

  it('makes a compacted topic with a partition for each bucket for the positions of relays', async () => {
    expect(await ensureTopics({ admin, topics: positions })).toEqual([`${prefix}.like.positions`]);
    expect((await admin.describeTopic(`${prefix}.like.positions`)).partitions).toHaveLength(8);
    expect(await admin.topicConfig(`${prefix}.like.positions`)).toMatchObject({ 'cleanup.policy': 'compact' });
  });

  it('refuses a topic with another number of partitions, naming both', async () => {
    await ensureTopics({ admin, topics });
    const other = [{ ...topics[0]!, partitions: 5 }];
    await expect(ensureTopics({ admin, topics: other })).rejects.toMatchObject({
      code: 'TOPIC_MISMATCH',
      message: expect.stringContaining(`The topic ${prefix}.article has 12 partitions; it must have 5.`),
    });
  });
});
