import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { uniqueName } from '../../testing/servers.ts';
import { eventually } from '../../testing/until.ts';
import { allAcknowledged, ContractContext, type CreatePort, message } from './context.ts';

export function describeAdmin(create: CreatePort): void {
  describe('admin', () => {
    let context: ContractContext;
    beforeAll(() => {
      context = new ContractContext(create);
    });
    afterAll(() => context.close());

    it('creates the topics that are missing, with their settings, and deletes those that are there', async () => {
      const { admin } = context;
      const there = await context.topic(2);
      const missing = uniqueName('contract');
      const specs = [
        { topic: there, partitions: 5 },
        { topic: missing, partitions: 3, replicationFactor: 1, config: { 'retention.ms': '3600000' } },
      ];
      expect(await admin.createTopics(specs)).toEqual([missing]);
      expect(await admin.createTopics(specs)).toEqual([]);
      expect(await admin.listTopics()).toEqual(expect.arrayContaining([there, missing]));
      expect((await admin.describeTopic(there)).partitions.map(({ partition }) => partition)).toEqual([0, 1]);
      const described = await admin.describeTopic(missing);
      expect(described.partitions.map(({ partition }) => partition)).toEqual([0, 1, 2]);
      for (const { leader, replicas, inSyncReplicas } of described.partitions) {
        expect(replicas).toEqual([leader]);
        expect(inSyncReplicas).toEqual([leader]);
      }
      expect(await admin.topicConfig(missing)).toMatchObject({ 'retention.ms': '3600000', 'cleanup.policy': 'delete' });
      await admin.deleteTopics([missing, uniqueName('never')]);
      await eventually(async () => !(await admin.listTopics()).includes(missing));
    });

    it('names the brokers that lead its topics', async () => {
      const topic = await context.topic(3);
      const { partitions } = await context.admin.describeTopic(topic);
      expect(await context.admin.brokers()).toEqual([...new Set(partitions.map(({ leader }) => leader))].sort());
    });

    it('says that a topic is unknown', async () => {
      const { admin } = context;
      const unknown = uniqueName('never');
      const error = { code: 'KAFKA_UNKNOWN_TOPIC_OR_PARTITION' };
      await expect(admin.describeTopic(unknown)).rejects.toMatchObject(error);
      await expect(admin.topicConfig(unknown)).rejects.toMatchObject(error);
      await expect(admin.offsets(unknown)).rejects.toMatchObject(error);
    });

    it('says that a topic cannot be made as it is asked for', async () => {
      const wrong = { topic: uniqueName('contract'), partitions: 1, config: { 'no.such.setting': '1' } };
      await expect(context.admin.createTopics([wrong])).rejects.toMatchObject({
        code: 'KAFKA_BAD_ARGUMENT',
        retryable: false,
      });
    });

    it('reads the offsets of a topic and of a group', async () => {
      const { admin } = context;
      const topic = await context.topic(2);
      const groupId = uniqueName('group');
      expect(await admin.committed(groupId, topic)).toEqual([
        { partition: 0, offset: null },
        { partition: 1, offset: null },
      ]);
      allAcknowledged(await context.publisher().publish([message(topic, 1, 'a'), message(topic, 1, 'b')]));
      expect(await admin.offsets(topic)).toEqual([
        { partition: 0, beginning: 0n, end: 0n },
        { partition: 1, beginning: 0n, end: 2n },
      ]);
      const consumer = await context.consumer({ groupId, topics: [topic], onBatch: async () => undefined });
      await eventually(async () => (await admin.committed(groupId, topic))[1]!.offset === 2n);
      expect((await admin.committed(groupId, topic))[0]!.offset).toBeNull();
      expect(await admin.listGroups()).toContain(groupId);
      await expect(admin.deleteGroups([groupId])).rejects.toMatchObject({ code: 'KAFKA_BAD_ARGUMENT' });
      await consumer.stop();
      await admin.deleteGroups([groupId, uniqueName('never')]);
      expect(await admin.listGroups()).not.toContain(groupId);
    });

    it('refuses calls after close', async () => {
      const admin = context.port.admin();
      await admin.listTopics();
      await admin.close();
      await expect(admin.listTopics()).rejects.toMatchObject({ code: 'KAFKA_CLOSED' });
    });

    it('says that Kafka is away', async () => {
      const admin = context.connect(['127.0.0.1:1']).admin();
      await expect(admin.listTopics()).rejects.toMatchObject({ code: 'KAFKA_UNAVAILABLE', retryable: true });
      await admin.close();
    });
  });
}
