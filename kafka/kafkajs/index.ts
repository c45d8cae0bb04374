import type { Admin, KafkaConnection, KafkaPort, Publisher, PublisherOptions } from '../port.ts';
import { KafkajsAdmin } from './admin.ts';
import { KafkajsConsumer } from './consumer.ts';
import { openProducer } from './producer.ts';
import { GuardedPublisher } from './publisher.ts';

/** The Kafka port on kafkajs 2.2.4. */
export function createKafkajsPort(connection: KafkaConnection): KafkaPort {
  return {
    publisher: (options) => createPublisher(connection, options),
    consumer: (options) => new KafkajsConsumer(connection, options),
    admin: (): Admin => new KafkajsAdmin(connection),
  };
}

function createPublisher(connection: KafkaConnection, options: PublisherOptions = {}): Publisher {
  const deliveryTimeoutMs = options.deliveryTimeoutMs ?? 10_000;
  // At least two attempts fit into the time.
  const requestTimeoutMs = Math.max(
    500,
    Math.min(connection.requestTimeoutMs ?? 5000, Math.floor(deliveryTimeoutMs / 2)),
  );
  return new GuardedPublisher({
    open: () => openProducer(connection, requestTimeoutMs),
    deliveryTimeoutMs,
    logger: connection.logger,
  });
}
