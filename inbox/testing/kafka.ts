import type { EventEnvelope } from '../../events/envelope.ts';
import { headersOf } from '../../events/envelope.ts';
import { partitionOf } from '../../kafka/partitioner.ts';
import { createPlatformaticPort } from '../../kafka/platformatic/platformatic-port.ts';
import type { KafkaConnection, KafkaPort, OutgoingMessage, Publisher } from '../../kafka/port.ts';
import { testServers, uniqueName } from '../../testing/servers.ts';

export interface TestTopic {
  topic: string;
  partitions: number;
  kafka: KafkaPort;
  connection: KafkaConnection;
  publish(events: readonly (EventEnvelope | OutgoingMessage)[]): Promise<void>;
  close(): Promise<void>;
}

/** A topic of its own on the tests' broker. */
export async function testTopic(partitions: number): Promise<TestTopic> {
  const topic = uniqueName('inbox');
  const connection = { brokers: testServers().kafkaBrokers, clientId: topic };
  const kafka = createPlatformaticPort(connection);
  const admin = kafka.admin();
  await admin.createTopics([{ topic, partitions }]);
  let publisher: Publisher | undefined;
  return {
    topic,
    partitions,
    kafka,
    connection,
    async publish(events) {
      publisher ??= kafka.publisher();
      const messages = events.map((event) => ('partition' in event ? event : outgoing(event)));
      const { failed } = await publisher.publish(messages);
      if (failed.length > 0) throw failed[0]!.error;
    },
    async close() {
      await publisher?.close();
      await admin.deleteTopics([topic]);
      await admin.close();
    },
  };

  function outgoing(event: EventEnvelope): OutgoingMessage {
    const key = Buffer.from(event.aggregateId);
    const value = Buffer.from(JSON.stringify(event.payload));
    return { topic, partition: partitionOf(key, partitions), key, value, headers: headersOf(event) };
  }
}
