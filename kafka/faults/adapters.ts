import { createKafkajsPort } from '../kafkajs/index.ts';
import { createPlatformaticPort } from '../platformatic/platformatic-port.ts';
import type { KafkaConnection, TransactionalKafkaPort } from '../port.ts';

export type AdapterName = 'kafkajs' | 'platformatic';
export const adapterNames: readonly AdapterName[] = ['kafkajs', 'platformatic'];

const create: Record<AdapterName, (connection: KafkaConnection) => TransactionalKafkaPort> = {
  kafkajs: createKafkajsPort,
  platformatic: createPlatformaticPort,
};

/** A port of the suite: requests are given up soon, so that faults of a second or two are seen. */
export function connect(adapter: AdapterName, brokers: readonly string[], clientId: string): TransactionalKafkaPort {
  return create[adapter]({ brokers, clientId, requestTimeoutMs: 1000, connectTimeoutMs: 1000 });
}

/** What one adapter published is read by the other one. */
export function independentOf(adapter: AdapterName): AdapterName {
  return adapter === 'kafkajs' ? 'platformatic' : 'kafkajs';
}
