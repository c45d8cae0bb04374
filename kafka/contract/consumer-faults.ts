import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { KafkaProxy } from '../../faults/proxy/kafka-proxy.ts';
import { uniqueName } from '../../testing/servers.ts';
import { eventually } from '../../testing/until.ts';
import { allAcknowledged, ContractContext, type CreatePort, History, message } from './context.ts';
import { beginLongScenarios, outageSessionMs } from './long-scenarios.ts';

export function describeConsumerFaults(create: CreatePort): void {
  describe('consumer under rebalances and faults', () => {
    let context: ContractContext;
    let long: ReturnType<typeof beginLongScenarios>;
    beforeAll(() => {
      context = new ContractContext(create);
      long = beginLongScenarios(context);
    });
    afterAll(() => context.close());

    it('shares partitions with members that come and go, without a gap and in order', async () => {
      const partitions = 6;
      const topic = await context.topic(partitions);
      const groupId = uniqueName('group');
      const history = new History();
      const member = () => context.consumer({ groupId, topics: [topic], onBatch: history.record });
      const publisher = context.publisher();
      let published = 0;
      const publishMore = async () => {
        const batch = Array.from({ length: partitions * 5 }, (_, at) => message(topic, at % partitions, 'x'));
        allAcknowledged(await publisher.publish(batch));
        published += batch.length;
      };

      const first = await member();
      await eventually(() => first.status().assigned.length === partitions);
      await publishMore();
      const second = await member();
      await publishMore();
      await eventually(() => [first, second].every((one) => one.status().assigned.length === partitions / 2));
      await publishMore();
      await eventually(() => history.count === published);
      const third = await member();
      await publishMore();
      await eventually(() => [first, second, third].every((one) => one.status().assigned.length === partitions / 3));
      await Promise.all([second.stop(), publishMore()]);
      await first.stop();
      await publishMore();
      await eventually(() => history.count === published);
      expect(third.status().assigned).toHaveLength(partitions);
      await third.stop();
      expect(history.outOfOrder).toEqual([]);
      expect(await context.committed(groupId, topic)).toEqual(Array(partitions).fill(BigInt(published / partitions)));
    });

    it('lets a batch in flight end and commit when a rebalance comes', async () => {
      const topic = await context.topic(2);
      const groupId = uniqueName('group');
      allAcknowledged(await context.publisher().publish([message(topic, 0, 'a'), message(topic, 1, 'a')]));
      const gate = Promise.withResolvers<void>();
      const firstSaw: string[] = [];
      const owners: boolean[] = [];
      const first = await context.consumer({
        groupId,
        topics: [topic],
        heartbeatIntervalMs: 300,
        async onBatch({ partition }, { isOwner }) {
          firstSaw.push(`${partition}`);
          await gate.promise;
          owners.push(isOwner());
          return undefined;
        },
      });
      await eventually(() => firstSaw.length === 2);
      const secondSaw: string[] = [];
      const second = await context.consumer({
        groupId,
        topics: [topic],
        async onBatch({ partition }) {
          secondSaw.push(`${partition}`);
          return undefined;
        },
      });
      // The second member waits for the first one, which the group has asked to rejoin by now.
      await new Promise((resolve) => setTimeout(resolve, 1000));
      gate.resolve();
      await eventually(() => [first, second].every((one) => one.status().assigned.length === 1));
      expect(await context.committed(groupId, topic)).toEqual([1n, 1n]);
      await Promise.all([first.stop(), second.stop()]);
      expect({ owners, secondSaw }).toEqual({ owners: [true, true], secondSaw: [] });
    });

    it('starts while Kafka is away, says so, and works as soon as it is there', async () => {
      const topic = await context.topic();
      allAcknowledged(await context.publisher().publish([message(topic, 0, 'a')]));
      const proxy = await KafkaProxy.start(context.brokers);
      context.onClose(() => proxy.stop());
      await proxy.refuse();
      const history = new History();
      const startedMs = performance.now();
      const consumer = await context.consumer(
        { groupId: uniqueName('group'), topics: [topic], onBatch: history.record },
        context.connect(proxy.brokers),
      );
      expect(performance.now() - startedMs).toBeLessThan(10_000);
      await eventually(() => consumer.status().lastError !== null);
      expect(consumer.status()).toMatchObject({
        state: 'starting',
        assigned: [],
        lastError: { code: 'KAFKA_UNAVAILABLE' },
      });
      await proxy.listen();
      await eventually(() => history.count === 1);
      await consumer.stop();
    });

    it('can be stopped while Kafka is away', async () => {
      const consumer = await context.consumer(
        { groupId: uniqueName('group'), topics: ['never'], onBatch: async () => undefined },
        context.connect(['127.0.0.1:1']),
      );
      await eventually(() => consumer.status().lastError !== null);
      const startedMs = performance.now();
      await consumer.stop();
      expect(performance.now() - startedMs).toBeLessThan(15_000);
      expect(consumer.status().state).toBe('stopped');
    });

    it('waits for a topic that is not there yet', async () => {
      const topic = uniqueName('contract');
      const history = new History();
      const consumer = await context.consumer({
        groupId: uniqueName('group'),
        topics: [topic],
        onBatch: history.record,
      });
      await eventually(() => consumer.status().lastError !== null);
      expect(consumer.status().lastError).toMatchObject({ code: 'KAFKA_UNKNOWN_TOPIC_OR_PARTITION' });
      await context.admin.createTopics([{ topic, partitions: 1 }]);
      allAcknowledged(await context.publisher().publish([message(topic, 0, 'a')]));
      await eventually(() => history.count === 1);
      await consumer.stop();
      await context.admin.deleteTopics([topic]);
    });

    it('keeps its partition while a batch takes longer than the session', async () => {
      expect(await long.slowBatch).toEqual({ batches: 1, ownerAfter: true });
    });

    it('waits at stop for a batch that takes longer than the session, and commits it', async () => {
      expect(await long.slowStop).toEqual({ ownerAfter: true, committed: [1n] });
    });

    it('comes back by itself after Kafka was away', async () => {
      const { lateMs, ...outcome } = await long.outage;
      expect(outcome).toEqual({ outOfOrder: [], committed: [2n, 1n] });
      expect(lateMs).toBeLessThan(outageSessionMs - 2_000); // not a session later
    });

    it('gives up work in flight when the group may have given its partition away', async () => {
      expect(await long.cutOff).toEqual({ ownerAfter: false, committedAfter: [null], batches: 2 });
    });

    it('asks where to go on when its position is out of range, and else takes the beginning', async () => {
      const topic = await context.topic(2);
      const groupId = uniqueName('group');
      const batch = [0, 1].flatMap((partition) => ['a', 'b', 'c'].map((text) => message(topic, partition, text)));
      allAcknowledged(await context.publisher().publish(batch));
      const onAssigned = async () => [
        { topic, partition: 0, offset: 1n },
        { topic, partition: 1, offset: 99n },
      ];
      const asked: unknown[] = [];
      const history = new History();
      const asking = await context.consumer({
        groupId,
        topics: [topic],
        onAssigned,
        async onOffsetOutOfRange(place) {
          asked.push(place);
          return 2n;
        },
        onBatch: history.record,
      });
      await eventually(() => history.count === 3);
      await asking.stop();
      expect(asked).toEqual([expect.objectContaining({ topic, partition: 1, offset: 99n, beginning: 0n, end: 3n })]);
      expect(history.firstOf(1)).toBe(2n);

      const again = new History();
      const silent = await context.consumer({ groupId, topics: [topic], onAssigned, onBatch: again.record });
      await eventually(() => again.count === 5);
      await silent.stop();
      expect(again.firstOf(1)).toBe(0n);
    });
  });
}
