import type { KafkaConnection, ReadingKafkaPort } from '../port.ts';
import { PlatformaticAdmin } from './admin.ts';
import { PlatformaticConsumer } from './consumer.ts';
import { PlatformaticPublisher } from './publisher.ts';
import { PlatformaticReader } from './reader.ts';

/** The port on @platformatic/kafka's protocol layer. */
export function createPlatformaticPort(connection: KafkaConnection): ReadingKafkaPort {
  return {
    publisher: (options) => new PlatformaticPublisher(connection, options),
    reader: (options) => new PlatformaticReader(connection, options),
    admin: () => new PlatformaticAdmin(connection),
    consumer: (options) => new PlatformaticConsumer(connection, options),
  };
}
