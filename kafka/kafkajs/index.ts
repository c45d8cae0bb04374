import type {
  KafkaConnection,
  Publisher,
  PublisherOptions,
  TransactionalKafkaPort,
  TransactionalPublisher,
  TransactionalPublisherOptions,
} from '../port.ts';
import { KafkajsAdmin } from './admin.ts';
import { KafkajsConsumer } from './consumer.ts';
import { lastCommitted } from './last-committed.ts';
import { openProducer, openTransactionalProducer } from './producer.ts';
import { GuardedPublisher } from './publisher.ts';
import { KafkajsTransactionalPublisher } from './transactional.ts';

/** The Kafka port on kafkajs 2.2.4, guarded wherever it publishes. Nothing connects before it is used. */
export function createKafkajsPort(connection: KafkaConnection): TransactionalKafkaPort {
  return {
    publisher: (options) => createPublisher(connection, options),
    transactionalPublisher: (options) => createTransactionalPublisher(connection, options),
    consumer: (options) => new KafkajsConsumer(connection, options),
    admin: () => new KafkajsAdmin(connection),
    lastCommitted: (partition) => lastCommitted(connection, partition),
  };
}

function createPublisher(connection: KafkaConnection, options: PublisherOptions = {}): Publisher {
  const deliveryTimeoutMs = options.deliveryTimeoutMs ?? 10_000;
  const requestTimeoutMs = requestTimeout(connection, deliveryTimeoutMs);
  return new GuardedPublisher({
    open: () => openProducer(connection, requestTimeoutMs),
    deliveryTimeoutMs,
    logger: connection.logger,
  });
}

function createTransactionalPublisher(
  connection: KafkaConnection,
  { transactionalId, transactionTimeoutMs = 10_000 }: TransactionalPublisherOptions,
): TransactionalPublisher {
  const requestTimeoutMs = requestTimeout(connection, transactionTimeoutMs);
  const settings = { transactionalId, transactionTimeoutMs, requestTimeoutMs };
  return new KafkajsTransactionalPublisher({
    ...settings,
    open: () => openTransactionalProducer(connection, settings),
    logger: connection.logger,
  });
}

/** At least two requests fit into the time that a call has. */
function requestTimeout(connection: KafkaConnection, callMs: number): number {
  return Math.max(500, Math.min(connection.requestTimeoutMs ?? 5000, Math.floor(callMs / 2)));
}
