import { KafkaError } from '../errors.ts';
import type { Consumer, KafkaConnection, ReadingKafkaPort } from '../port.ts';
import { PlatformaticAdmin } from './admin.ts';
import { PlatformaticPublisher } from './publisher.ts';
import { PlatformaticReader } from './reader.ts';

/** The port on @platformatic/kafka's protocol layer. */
export function createPlatformaticPort(connection: KafkaConnection): ReadingKafkaPort {
  return {
    publisher: (options) => new PlatformaticPublisher(connection, options),
    reader: (options) => new PlatformaticReader(connection, options),
    admin: () => new PlatformaticAdmin(connection),
    consumer: (): Consumer => {
      throw new KafkaError('KAFKA_BAD_ARGUMENT', 'this adapter has no group consumer yet', { retryable: false });
    },
  };
}
