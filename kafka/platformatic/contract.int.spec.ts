import { describe } from '@jest/globals';
import { describeAdmin } from '../contract/admin.ts';
import { describeConsumer } from '../contract/consumer.ts';
import { describeConsumerFaults } from '../contract/consumer-faults.ts';
import { describePublisher } from '../contract/publisher.ts';
import { createPlatformaticPort } from './platformatic-port.ts';

describe('Kafka port on @platformatic/kafka', () => {
  describePublisher(createPlatformaticPort);
  describeAdmin(createPlatformaticPort);
  describeConsumer(createPlatformaticPort);
  describeConsumerFaults(createPlatformaticPort);
});
