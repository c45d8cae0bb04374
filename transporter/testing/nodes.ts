import moleculer, { type ServiceBroker as Broker, type BrokerOptions } from 'moleculer';
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
export async function allMet(nodes: readonly TestNode[], deadlineMs = 10_000): Promise<void> {
  await until(
    () =>
      nodes.every(({ broker }) =>
        nodes.every((other) => broker.registry.nodes.get(other.broker.nodeID)?.available === true),
      ),
    deadlineMs,
    'the nodes did not meet',
  );
}

/** Polls a condition; fails with the complaint when the time is over. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  deadlineMs: number,
  complaint: string,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`${complaint} within ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export async function stopAll(nodes: readonly TestNode[]): Promise<void> {
  await Promise.all(nodes.map(({ broker }) => broker.stop()));
}
