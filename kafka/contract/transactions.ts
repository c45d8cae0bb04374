import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { KafkaProxy } from '../../faults/proxy/kafka-proxy.ts';
import { kafkaApi, watchRequests } from '../../faults/proxy/kafka-requests.ts';
import { uniqueName } from '../../testing/servers.ts';
import { eventually } from '../../testing/until.ts';
import type { TransactionalKafkaPort, TransactionalPublisher } from '../port.ts';
import { ContractContext, type CreatePort, message, values } from './context.ts';

export function describeTransactions(create: CreatePort): void {
  describe('transactions', () => {
    let context: ContractContext;
    let port: TransactionalKafkaPort;
    beforeAll(() => {
      context = new ContractContext(create);
      port = context.port as TransactionalKafkaPort;
    });
    afterAll(() => context.close());

    const publisher = (
      transactionalId = uniqueName('tx'),
      options: { port?: TransactionalKafkaPort; transactionTimeoutMs?: number } = {},
    ): TransactionalPublisher => {
      const { port: through = port, transactionTimeoutMs } = options;
      const made = through.transactionalPublisher({ transactionalId, transactionTimeoutMs });
      context.onClose(() => made.close());
      return made;
    };
    /** What a read-committed consumer sees of a topic with one partition, up to a last message that is published now. */
    const visible = async (topic: string) => {
      const end = publisher();
      await end.fence();
      await end.transaction([message(topic, 0, 'end')]);
      const messages = await context.read(topic, (seen) => values(seen).includes('end'));
      return values(messages).slice(0, -1);
    };

    it('shows committed transactions, whole and in order', async () => {
      const topic = await context.topic(2);
      const one = publisher();
      await one.fence();
      for (let at = 0; at < 5; at++) {
        const { outcome, report } = await one.transaction([message(topic, 0, `${at}`), message(topic, 1, `${at}`)]);
        expect(outcome).toBe('committed');
        expect(report.failed).toEqual([]);
        expect(report.acknowledged.map(({ count }) => count)).toEqual([1, 1]);
      }
      const seen = await context.read(topic, (messages) => messages.length === 10);
      for (const partition of [0, 1]) {
        expect(values(seen.filter((each) => each.partition === partition))).toEqual(['0', '1', '2', '3', '4']);
      }
    });

    it('shows nothing of a transaction of which a part was refused, and then wants a fence', async () => {
      const topic = await context.topic(1, { 'max.message.bytes': '20000' });
      const other = await context.topic();
      const one = publisher();
      await one.fence();
      await one.transaction([message(topic, 0, 'before')]);
      const large = { ...message(topic, 0, ''), value: Buffer.alloc(30_000) };
      const call = one.transaction([message(other, 0, 'never'), large]);
      await expect(call).rejects.toMatchObject({ code: 'KAFKA_MESSAGE_TOO_LARGE', retryable: false });
      await expect(one.transaction([message(topic, 0, 'x')])).rejects.toMatchObject({ code: 'KAFKA_FENCE_REQUIRED' });
      await one.fence();
      await one.transaction([message(topic, 0, 'after'), message(other, 0, 'after')]);
      expect(await visible(topic)).toEqual(['before', 'after']);
      expect(await visible(other)).toEqual(['after']);
    });

    it('wants a fence first', async () => {
      const topic = await context.topic();
      await expect(publisher().transaction([message(topic, 0, 'x')])).rejects.toMatchObject({
        code: 'KAFKA_FENCE_REQUIRED',
      });
    });

    it('lets the newcomer win, and refuses the older one until it fences itself', async () => {
      const topic = await context.topic();
      const transactionalId = uniqueName('tx');
      const [older, newer] = [publisher(transactionalId), publisher(transactionalId)];
      await older.fence();
      await older.transaction([message(topic, 0, 'older 1')]);
      await newer.fence();
      await newer.transaction([message(topic, 0, 'newer 1')]);
      await expect(older.transaction([message(topic, 0, 'zombie')])).rejects.toMatchObject({ code: 'KAFKA_FENCED' });
      await newer.transaction([message(topic, 0, 'newer 2')]);
      await older.fence();
      await older.transaction([message(topic, 0, 'older 2')]);
      await expect(newer.transaction([message(topic, 0, 'zombie')])).rejects.toMatchObject({ code: 'KAFKA_FENCED' });
      expect(await visible(topic)).toEqual(['older 1', 'newer 1', 'newer 2', 'older 2']);
    });

    it('ends at once what an older holder has open', async () => {
      const topic = await context.topic();
      const transactionalId = uniqueName('tx');
      let stopped = false;
      const proxy = await KafkaProxy.start(context.brokers, {
        inspect: watchRequests((apiKey) => {
          if (apiKey !== kafkaApi.endTxn) return;
          stopped = true;
          proxy.set({ mode: 'hold' });
        }),
      });
      context.onClose(() => proxy.stop());
      const older = publisher(transactionalId, { port: context.connect(proxy.brokers) as TransactionalKafkaPort });
      await older.fence();
      const call = older.transaction([message(topic, 0, 'open')]).catch((error: unknown) => error);
      await eventually(() => stopped);
      const newer = publisher(transactionalId);
      await newer.fence();
      await newer.transaction([message(topic, 0, 'newer')]);
      expect(await visible(topic)).toEqual(['newer']);
      proxy.set({ mode: 'pass' });
      expect(await call).toMatchObject({ code: expect.stringMatching(/^KAFKA_(FENCED|COMMIT_UNKNOWN)$/) });
      expect(await visible(topic)).toEqual(['newer', 'end']);
    });

    it('says that the outcome is unknown where the answer to the commit is lost; after a fence it is plain', async () => {
      const topic = await context.topic();
      let committing = false;
      const proxy = await KafkaProxy.start(context.brokers, {
        inspect: watchRequests((apiKey) => {
          if (apiKey !== kafkaApi.endTxn || committing) return;
          committing = true;
          proxy.set({ mode: 'swallow' });
        }),
      });
      context.onClose(() => proxy.stop());
      const through = context.connect(proxy.brokers) as TransactionalKafkaPort;
      const one = publisher(uniqueName('tx'), { port: through, transactionTimeoutMs: 2000 });
      await one.fence();
      await expect(one.transaction([message(topic, 0, 'a')])).rejects.toMatchObject({
        code: 'KAFKA_COMMIT_UNKNOWN',
        retryable: false,
      });
      proxy.set({ mode: 'pass' });
      await expect(one.transaction([message(topic, 0, 'b')])).rejects.toMatchObject({ code: 'KAFKA_FENCE_REQUIRED' });
      await one.fence();
      expect(String((await port.lastCommitted({ topic, partition: 0 }))?.value)).toBe('a');
    });

    it('finds the last committed message of a partition behind markers and aborted ones', async () => {
      const topic = await context.topic(2, { 'max.message.bytes': '20000' });
      const large = { ...message(topic, 1, ''), value: Buffer.alloc(30_000) };
      expect(await port.lastCommitted({ topic, partition: 0 })).toBeNull();
      const one = publisher();
      await one.fence();
      for (let at = 0; at < 3; at++) await one.transaction([message(topic, 0, `${at}`, 'position')]);
      for (let at = 0; at < 40; at++) {
        await expect(one.transaction([message(topic, 0, 'aborted'), large])).rejects.toMatchObject({
          code: 'KAFKA_MESSAGE_TOO_LARGE',
        });
        await one.fence();
      }
      const last = await port.lastCommitted({ topic, partition: 0 });
      expect(last).toMatchObject({
        topic,
        partition: 0,
        offset: 4n,
        key: Buffer.from('position'),
        value: Buffer.from('2'),
      });
      await expect(port.lastCommitted({ topic: uniqueName('never'), partition: 0 })).rejects.toMatchObject({
        code: 'KAFKA_UNKNOWN_TOPIC_OR_PARTITION',
      });
    });

    it('hides interleaved aborted transactions of several producers in one partition', async () => {
      const topic = await context.topic();
      const ids = [uniqueName('tx'), uniqueName('tx')];
      // Both leave a transaction open, in this order; fences end them in the other order.
      for (const [at, transactionalId] of ids.entries()) {
        const proxy: KafkaProxy = await KafkaProxy.start(context.brokers, {
          inspect: watchRequests((apiKey) => {
            if (apiKey === kafkaApi.endTxn) proxy.cut();
          }),
        });
        context.onClose(() => proxy.stop());
        const one = publisher(transactionalId, { port: context.connect(proxy.brokers) as TransactionalKafkaPort });
        await one.fence();
        await expect(one.transaction([message(topic, 0, `aborted ${at}`)])).rejects.toMatchObject({
          code: 'KAFKA_COMMIT_UNKNOWN',
        });
      }
      for (const transactionalId of ids.reverse()) await publisher(transactionalId).fence();
      expect(await visible(topic)).toEqual([]);
    });

    it('says that Kafka is away, and refuses calls after close', async () => {
      const away = publisher(uniqueName('tx'), {
        port: context.connect(['127.0.0.1:1']) as TransactionalKafkaPort,
        transactionTimeoutMs: 1000,
      });
      await expect(away.fence()).rejects.toMatchObject({ code: 'KAFKA_UNAVAILABLE', retryable: true });
      await away.close();
      await expect(away.fence()).rejects.toMatchObject({ code: 'KAFKA_CLOSED' });
    });
  });
}
