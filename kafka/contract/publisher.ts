import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TcpProxy } from '../../faults/proxy/proxy.ts';
import { eventually } from '../../testing/until.ts';
import { partitionOf } from '../partitioner.ts';
import type { IncomingMessage, OutgoingMessage } from '../port.ts';
import { allAcknowledged, ContractContext, type CreatePort, message, values } from './context.ts';
import { publishUnderFaults } from './lost.ts';

export function describePublisher(create: CreatePort): void {
  describe('publisher', () => {
    let context: ContractContext;
    beforeAll(() => {
      context = new ContractContext(create);
    });
    afterAll(() => context.close());

    it('acknowledges each partition with its first offset and count, and keeps the order within it', async () => {
      const topic = await context.topic(3);
      const publisher = context.publisher();
      const first = await publisher.publish([0, 1, 0, 0].map((partition, at) => message(topic, partition, `a${at}`)));
      expect(first.failed).toEqual([]);
      expect(sorted(first.acknowledged)).toEqual([
        { topic, partition: 0, baseOffset: 0n, count: 3 },
        { topic, partition: 1, baseOffset: 0n, count: 1 },
      ]);
      const second = await publisher.publish([message(topic, 0, 'b0'), message(topic, 2, 'b1')]);
      expect(sorted(second.acknowledged)).toEqual([
        { topic, partition: 0, baseOffset: 3n, count: 1 },
        { topic, partition: 2, baseOffset: 0n, count: 1 },
      ]);
      const stored = await context.read(topic, (messages) => messages.length === 6);
      expect(values(stored.filter(({ partition }) => partition === 0))).toEqual(['a0', 'a2', 'a3', 'b0']);
    });

    it('puts a message where it says, not where its key would go', async () => {
      const topic = await context.topic(4);
      const wanted = Array.from({ length: 40 }, (_, at) => {
        const key = `key-${at}`;
        return message(topic, (partitionOf(key, 4) + 1) % 4, key, key);
      });
      allAcknowledged(await context.publisher().publish(wanted));
      // A publisher may put a message there twice, so keys are counted.
      const placesOf = (messages: readonly IncomingMessage[]) =>
        new Map(messages.map(({ key, partition }) => [String(key), partition]));
      const places = placesOf(await context.read(topic, (messages) => placesOf(messages).size === 40));
      for (const { key, partition } of wanted) expect(places.get(String(key))).toBe(partition);
    });

    it('brings keys, values and headers back as they were, null and empty ones too', async () => {
      const topic = await context.topic();
      const binary = Buffer.from([0, 255, 128, 10, 13]);
      const sent: OutgoingMessage[] = [
        { topic, partition: 0, key: binary, value: binary, headers: { text: 'ü€😀', bytes: binary, empty: '' } },
        { topic, partition: 0, key: null, value: null },
        { topic, partition: 0, key: Buffer.alloc(0), value: Buffer.alloc(0), headers: {} },
      ];
      const beforeMs = Date.now();
      allAcknowledged(await context.publisher().publish(sent));
      const stored = await context.read(topic, (messages) => messages.length === 3);
      expect(stored.map(({ key, value }) => ({ key, value }))).toEqual(sent.map(({ key, value }) => ({ key, value })));
      expect(stored[0]!.headers).toEqual({ text: Buffer.from('ü€😀'), bytes: binary, empty: Buffer.alloc(0) });
      expect(stored[1]!.headers).toEqual({});
      expect(stored.map(({ offset }) => offset)).toEqual([0n, 1n, 2n]);
      for (const { timestampMs } of stored) {
        expect(timestampMs).toBeGreaterThanOrEqual(beforeMs - 1000);
        expect(timestampMs).toBeLessThanOrEqual(Date.now() + 1000);
      }
    });

    it('fails an unknown topic and an unknown partition alone', async () => {
      const topic = await context.topic(2);
      const publisher = context.publisher();
      const report = await publisher.publish([
        message(topic, 0, 'good'),
        message(`${topic}-none`, 0, 'no topic'),
        message(topic, 7, 'no partition'),
        message(topic, 1, 'good'),
      ]);
      expect(sorted(report.acknowledged).map(({ partition, count }) => ({ partition, count }))).toEqual([
        { partition: 0, count: 1 },
        { partition: 1, count: 1 },
      ]);
      expect(sorted(report.failed).map(({ partition, error }) => ({ partition, code: error.code }))).toEqual([
        { partition: 0, code: 'KAFKA_UNKNOWN_TOPIC_OR_PARTITION' },
        { partition: 7, code: 'KAFKA_UNKNOWN_TOPIC_OR_PARTITION' },
      ]);
      for (const { error } of report.failed) expect(error.retryable).toBe(true);
      allAcknowledged(await publisher.publish([message(topic, 0, 'after')]));
    });

    it('fails a message that is too large alone, for good, and says which it was', async () => {
      const topic = await context.topic(3, { 'max.message.bytes': '20000' });
      const publisher = context.publisher();
      const large = { ...message(topic, 1, ''), value: Buffer.alloc(30_000) };
      const batch = [
        message(topic, 0, 'a'),
        message(topic, 1, 'b'),
        large,
        message(topic, 1, 'c'),
        message(topic, 2, 'd'),
      ];
      const report = await publisher.publish(batch);
      expect(sorted(report.acknowledged).map(({ partition, count }) => ({ partition, count }))).toEqual([
        { partition: 0, count: 1 },
        { partition: 2, count: 1 },
      ]);
      expect(report.failed).toHaveLength(1);
      expect(report.failed[0]).toMatchObject({ topic, partition: 1, refused: [2] });
      expect(report.failed[0]!.error).toMatchObject({ code: 'KAFKA_MESSAGE_TOO_LARGE', retryable: false });
      const rest = allAcknowledged(await publisher.publish(batch.filter((sent) => sent !== large)));
      expect(rest.acknowledged).toHaveLength(3);
    });

    it('publishes more for a partition than a broker takes at once, in order', async () => {
      const topic = await context.topic(2);
      const filler = 'x'.repeat(1000);
      const sent = Array.from({ length: 3000 }, (_, at) => message(topic, at % 2, `${at}:${filler}`));
      const report = allAcknowledged(await context.publisher().publish(sent));
      expect(sorted(report.acknowledged)).toEqual([
        { topic, partition: 0, baseOffset: 0n, count: 1500 },
        { topic, partition: 1, baseOffset: 0n, count: 1500 },
      ]);
      const stored = await context.read(topic, (messages) => messages.length === 3000);
      for (const wanted of [0, 1]) {
        const numbers = stored
          .filter(({ partition }) => partition === wanted)
          .map(({ value }) => Number.parseInt(String(value), 10));
        expect(numbers).toEqual(Array.from({ length: 1500 }, (_, at) => at * 2 + wanted));
      }
    });

    it('sends concurrent calls one after the other, each whole', async () => {
      const topic = await context.topic();
      const publisher = context.publisher();
      const reports = await Promise.all(
        Array.from({ length: 30 }, (_, call) =>
          publisher.publish([0, 1, 2].map((at) => message(topic, 0, `${call}.${at}`))),
        ),
      );
      for (const report of reports) allAcknowledged(report);
      const stored = await context.read(topic, (messages) => messages.length === 90);
      expect(values(stored)).toEqual(Array.from({ length: 90 }, (_, at) => `${Math.floor(at / 3)}.${at % 3}`));
    });

    it('refuses a malformed batch before anything is sent, and names what is wrong', async () => {
      const topic = await context.topic();
      const publisher = context.publisher();
      const good = message(topic, 0, 'good');
      const wrong: [Record<string, unknown>, string][] = [
        [{ topic: '' }, 'messages[1].topic'],
        [{ partition: -1 }, 'messages[1].partition'],
        [{ partition: 1.5 }, 'messages[1].partition'],
        [{ key: 'text' }, 'messages[1].key'],
        [{ value: undefined }, 'messages[1].value'],
        [{ headers: { a: 1 } }, 'messages[1].headers["a"]'],
      ];
      for (const [change, named] of wrong) {
        const call = publisher.publish([good, { ...good, ...change } as never]);
        await expect(call).rejects.toMatchObject({
          code: 'KAFKA_BAD_ARGUMENT',
          message: expect.stringContaining(named),
        });
      }
      expect(await context.admin.offsets(topic)).toEqual([{ partition: 0, beginning: 0n, end: 0n }]);
      expect(await publisher.publish([])).toEqual({ acknowledged: [], failed: [] });
    });

    it('refuses calls after close, and close waits for those before', async () => {
      const topic = await context.topic();
      const publisher = context.publisher();
      const call = publisher.publish([message(topic, 0, 'a')]);
      await publisher.close();
      allAcknowledged(await call);
      await expect(publisher.publish([message(topic, 0, 'b')])).rejects.toMatchObject({ code: 'KAFKA_CLOSED' });
      await publisher.close();
    });

    it('fails in time while Kafka is away, and works as soon as it is there', async () => {
      const topic = await context.topic();
      const [host, port] = context.brokers[0]!.split(':') as [string, string];
      const door = await TcpProxy.start({ target: { host, port: Number(port) } });
      context.onClose(() => door.stop());
      await door.refuse();
      const publisher = context.publisher(context.connect([`127.0.0.1:${door.port}`]), 1500);
      const startedMs = performance.now();
      const report = await publisher.publish([message(topic, 0, 'early')]);
      expect(performance.now() - startedMs).toBeLessThan(10_000);
      expect(report.acknowledged).toEqual([]);
      expect(report.failed[0]!.error).toMatchObject({ code: 'KAFKA_UNAVAILABLE', retryable: true });
      await door.listen();
      await eventually(async () => (await publisher.publish([message(topic, 0, 'late')])).failed.length === 0);
    });

    it('loses nothing that it acknowledged while the network breaks in every way', async () => {
      const result = await publishUnderFaults(context, (brokers) =>
        context.connect(brokers, { requestTimeoutMs: 500 }).publisher({ deliveryTimeoutMs: 1500 }),
      );
      expect(result.lost).toEqual([]);
      expect(result.acknowledged).toBeGreaterThan(100);
    });
  });
}

function sorted<Place extends { topic: string; partition: number }>(places: readonly Place[]): Place[] {
  return [...places].sort((a, b) => a.partition - b.partition);
}
