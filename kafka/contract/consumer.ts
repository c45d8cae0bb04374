import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { uniqueName } from '../../testing/servers.ts';
import { eventually } from '../../testing/until.ts';
import type { BatchContext, IncomingBatch, IncomingMessage, TopicPartition } from '../port.ts';
import { allAcknowledged, ContractContext, type CreatePort, message, values } from './context.ts';

export function describeConsumer(create: CreatePort): void {
  describe('consumer', () => {
    let context: ContractContext;
    beforeAll(() => {
      context = new ContractContext(create);
    });
    afterAll(() => context.close());

    const publish = async (topic: string, partition: number, ...texts: string[]) =>
      allAcknowledged(await context.publisher().publish(texts.map((text) => message(topic, partition, text))));
    const committed = (groupId: string, topic: string) => context.committed(groupId, topic);

    it('reads a new group from the beginning, goes on with what comes, and resumes at what was committed', async () => {
      const topic = await context.topic(2);
      const groupId = uniqueName('group');
      const seen: IncomingMessage[] = [];
      const options = {
        groupId,
        topics: [topic],
        async onBatch(batch: IncomingBatch) {
          seen.push(...batch.messages);
          expect(batch.highWatermark).toBeGreaterThan(batch.messages.at(-1)!.offset);
          return undefined;
        },
      };
      await publish(topic, 0, 'a', 'b');
      await publish(topic, 1, 'c');
      const first = await context.consumer(options);
      await eventually(() => seen.length === 3);
      await publish(topic, 1, 'd');
      await eventually(() => seen.length === 4);
      await first.stop();
      expect(await committed(groupId, topic)).toEqual([2n, 2n]);
      expect(values(seen.filter(({ partition }) => partition === 1))).toEqual(['c', 'd']);

      await publish(topic, 0, 'e');
      const second = await context.consumer(options);
      await eventually(() => seen.length >= 5);
      await second.stop();
      expect(values(seen.slice(4))).toEqual(['e']);
    });

    it('starts where onAssigned says, before any batch', async () => {
      const topic = await context.topic(2);
      const groupId = uniqueName('group');
      await publish(topic, 0, 'a', 'b', 'c');
      await publish(topic, 1, 'd', 'e');
      const events: string[] = [];
      let tries = 0;
      const consumer = await context.consumer({
        groupId,
        topics: [topic],
        async onAssigned(partitions) {
          // A position store that is away for a moment only delays the start.
          if (tries++ === 0) throw new Error('the store is away');
          events.push(`assigned ${numbersOf(partitions)}`);
          return [{ topic, partition: 0, offset: 2n }];
        },
        onRevoked: (partitions) => {
          events.push(`revoked ${numbersOf(partitions)}`);
        },
        async onBatch(batch) {
          events.push(`${batch.partition}: ${values(batch.messages)}`);
          return undefined;
        },
      });
      await eventually(() => events.length === 3);
      await consumer.stop();
      expect(events[0]).toBe('assigned 0,1');
      expect(events.slice(1, 3).sort()).toEqual(['0: c', '1: d,e']);
      expect(events[3]).toBe('revoked 0,1');
      expect(events).toHaveLength(4);
    });

    it('delivers a rejected batch again from the same position, while other partitions flow', async () => {
      const topic = await context.topic(2);
      const groupId = uniqueName('group');
      await publish(topic, 0, 'bad', 'b');
      const seen: string[] = [];
      let rejections = 0;
      const consumer = await context.consumer({
        groupId,
        topics: [topic],
        async onBatch(batch) {
          if (batch.partition === 0 && rejections < 4) {
            rejections++;
            expect(batch.messages[0]!.offset).toBe(0n);
            throw new Error('not yet');
          }
          seen.push(`${batch.partition}: ${values(batch.messages)}`);
          return undefined;
        },
      });
      await eventually(() => rejections > 0);
      await publish(topic, 1, 'good');
      await eventually(() => seen.length === 2);
      await eventually(async () => (await committed(groupId, topic)).join() === '2,1');
      await consumer.stop();
      expect(rejections).toBe(4);
      expect([...seen].sort()).toEqual(['0: bad,b', '1: good']);
    });

    it('commits up to resolvedOffset and goes on right after it', async () => {
      const topic = await context.topic();
      const groupId = uniqueName('group');
      await publish(topic, 0, 'a', 'b', 'c', 'd', 'e');
      const firsts: bigint[] = [];
      const positions: (bigint | null)[] = [];
      const consumer = await context.consumer({
        groupId,
        topics: [topic],
        async onBatch(batch) {
          const first = batch.messages[0]!.offset;
          firsts.push(first);
          positions.push((await committed(groupId, topic))[0]!);
          return first < 4n ? { resolvedOffset: first + 1n } : undefined;
        },
      });
      await eventually(async () => (await committed(groupId, topic))[0] === 5n);
      await consumer.stop();
      expect(firsts).toEqual([0n, 2n, 4n]);
      expect(positions).toEqual([null, 2n, 4n]);
    });

    it('does nothing for paused partitions until they are resumed', async () => {
      const topic = await context.topic(2);
      const seen: string[] = [];
      const consumer = await context.consumer({
        groupId: uniqueName('group'),
        topics: [topic],
        async onBatch(batch) {
          seen.push(...values(batch.messages));
          return undefined;
        },
      });
      await eventually(() => consumer.status().state === 'running');
      consumer.pause([{ topic, partition: 0 }]);
      await publish(topic, 0, 'a');
      await publish(topic, 1, 'b', 'c');
      await eventually(() => seen.length === 2);
      await publish(topic, 1, 'd');
      await eventually(() => seen.length === 3);
      expect(seen).toEqual(['b', 'c', 'd']);
      consumer.resume([{ topic, partition: 0 }]);
      await eventually(() => seen.length === 4);
      await consumer.stop();
      expect(seen.at(-1)).toBe('a');
    });

    it('waits at stop for the batch in flight and commits it', async () => {
      const topic = await context.topic();
      const groupId = uniqueName('group');
      await publish(topic, 0, 'a');
      const gate = Promise.withResolvers<void>();
      let batchContext: BatchContext | null = null;
      const consumer = await context.consumer({
        groupId,
        topics: [topic],
        async onBatch(_batch, given) {
          batchContext = given;
          await gate.promise;
          return undefined;
        },
      });
      await eventually(() => batchContext !== null);
      let stopped = false;
      const stop = consumer.stop().then(() => {
        stopped = true;
      });
      await publish(topic, 0, 'b');
      expect(stopped).toBe(false);
      expect(batchContext!.isOwner()).toBe(true);
      gate.resolve();
      await stop;
      expect(await committed(groupId, topic)).toEqual([1n]);
      expect(consumer.status()).toMatchObject({ state: 'stopped', assigned: [] });
      await consumer.stop();
    });

    it('aborts the work in flight when stop has waited long enough', async () => {
      const topic = await context.topic();
      const groupId = uniqueName('group');
      await publish(topic, 0, 'a');
      let owner: boolean | null = null;
      let begun = false;
      const consumer = await context.consumer({
        groupId,
        topics: [topic],
        stopTimeoutMs: 100,
        async onBatch(_batch, given) {
          begun = true;
          await new Promise((resolve) => given.signal.addEventListener('abort', resolve));
          owner = given.isOwner();
          return undefined;
        },
      });
      await eventually(() => begun);
      await consumer.stop();
      expect(owner).toBe(false);
      expect(await committed(groupId, topic)).toEqual([null]);
    });

    it('refuses options that make no sense', () => {
      const options = { groupId: 'g', topics: ['t'], onBatch: async () => undefined };
      const bad = { code: 'KAFKA_BAD_ARGUMENT' };
      expect(() => context.port.consumer({ ...options, groupId: '' })).toThrow(expect.objectContaining(bad));
      expect(() => context.port.consumer({ ...options, topics: [] })).toThrow(expect.objectContaining(bad));
    });
  });
}

function numbersOf(partitions: readonly TopicPartition[]): string {
  return partitions
    .map(({ partition }) => partition)
    .sort((a, b) => a - b)
    .join();
}
