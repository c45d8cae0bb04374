import moleculer, { type ServiceBroker as Broker, type BrokerOptions } from 'moleculer';
import { until } from '../../testing/until.ts';
import { KafkaTransporter } from '../kafka-transporter.ts';
import type { KafkaTransporterOptions } from '../options.ts';

const { ServiceBroker } = moleculer;

export interface TestNode {
  broker: Broker;
  transporter: KafkaTransporter;
}

/** A Moleculer node over Kafka, not started. */
export function testNode(
  nodeID: string,
  namespace: string,
  options: KafkaTransporterOptions,
  brokerOptions: BrokerOptions = {},
): TestNode {
  const transporter = new KafkaTransporter(options);
  const broker = new ServiceBroker({
    namespace,
    nodeID,
    logger: process.env.TRANSPORTER_TEST_LOG ? { type: 'Console', options: { level: 'debug' } } : false,
    transporter: transporter as never,
    requestTimeout: 5_000,
    heartbeatInterval: 1,
    heartbeatTimeout: 4,
    ...brokerOptions,
  });
  return { broker, transporter };
}

/** Each of the nodes sees all of the others. */
export async function allMet(nodes: readonly TestNode[], deadlineMs = 30_000): Promise<void> {
  await until('the nodes meet', deadlineMs, () =>
    nodes.every(({ broker }) =>
      nodes.every((other) => broker.registry.nodes.get(other.broker.nodeID)?.available === true),
    ),
  );
}

export async function stopAll(nodes: readonly TestNode[]): Promise<void> {
  await Promise.all(nodes.map(({ broker }) => broker.stop()));
}
