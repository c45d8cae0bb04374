import { describe } from '@jest/globals';
import { describeAdmin } from './admin.ts';
import { describeConsumer } from './consumer.ts';
import { describeConsumerFaults } from './consumer-faults.ts';
import type { CreatePort } from './context.ts';
import { describePublisher } from './publisher.ts';
import { describeTransactions } from './transactions.ts';

/**
 * What every adapter of the Kafka port must do, on a real broker. A call in a `*.int.spec.ts` of the adapter runs it all;
 * the parts are exported by their own files, so that an adapter can spread them over several spec files.
 */
export function describeKafkaPort(adapter: string, create: CreatePort): void {
  describe(`Kafka port on ${adapter}`, () => {
    describePublisher(create);
    describeAdmin(create);
    describeConsumer(create);
    describeConsumerFaults(create);
    describeTransactions(create);
  });
}
