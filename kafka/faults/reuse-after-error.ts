import { KafkaProxy } from '../../faults/proxy/kafka-proxy.ts';
import { kafkaApi, watchRequests } from '../../faults/proxy/kafka-requests.ts';
import type { KafkaPort, Publisher } from '../port.ts';
import { checkPublished, type PublishCall, type PublishedVerdict } from './check-published.ts';
import { readTopic } from './read-topic.ts';

/**
 * The shortest way to a loss: a publisher's batch is stored but its answers vanish until it is given up; then the same
 * publisher is used again for a batch of the same size. A producer whose sequence numbers went back sends it with the numbers
 * of the one before, and the broker takes it for a duplicate. Nothing here depends on time, other than the time-outs.
 */
export async function reuseAfterError(
  topic: string,
  { brokers, publisherOn, reader }: ReuseOptions,
): Promise<PublishedVerdict> {
  let produceRequests = 0;
  const proxy = await KafkaProxy.start(brokers, {
    inspect: watchRequests((apiKey) => {
      if (apiKey !== kafkaApi.produce) return;
      produceRequests++;
      if (produceRequests === 2) proxy.set({ mode: 'swallow' });
    }),
  });
  const publisher = publisherOn(proxy.brokers);
  const calls: PublishCall[] = [];
  const publish = async (id: string) => {
    const report = await publisher.publish([{ topic, partition: 0, key: null, value: Buffer.from(id) }]);
    calls.push({ caller: 'one', batch: [{ partition: 0, id }], report });
  };
  try {
    await publish('before');
    await publish('answer lost');
    proxy.set({ mode: 'pass' });
    for (let after = 1; after <= 2; after++) await publish(`after ${after}`);
    await publisher.close();
  } finally {
    await proxy.stop();
  }
  return checkPublished(calls, await readTopic(reader, { topic, partitions: 1, withoutHoles: true }));
}

export interface ReuseOptions {
  brokers: readonly string[];
  /** A publisher that gives up within seconds. */
  publisherOn(brokers: readonly string[]): Publisher;
  reader: KafkaPort;
}
