import type { KafkaConnection, ReadingKafkaPort, TransactionalKafkaPort } from '../port.ts';
import { PlatformaticAdmin } from './admin.ts';
import { PlatformaticConsumer } from './consumer.ts';
import { lastCommitted } from './last-committed.ts';
import { PlatformaticPublisher } from './publisher.ts';
import { PlatformaticReader } from './reader.ts';
import { PlatformaticTransactionalPublisher } from './transactional.ts';

/** The port on @platformatic/kafka's protocol layer. */
export function createPlatformaticPort(connection: KafkaConnection): ReadingKafkaPort & TransactionalKafkaPort {
  return {
    publisher: (options) => new PlatformaticPublisher(connection, options),
    transactionalPublisher: (options) => new PlatformaticTransactionalPublisher(connection, options),
    lastCommitted: (partition) => lastCommitted(connection, partition),
    reader: (options) => new PlatformaticReader(connection, options),
    admin: () => new PlatformaticAdmin(connection),
    consumer: (options) => new PlatformaticConsumer(connection, options),
  };
}
