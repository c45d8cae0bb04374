import { describe, expect, it } from '@jest/globals';
import type { Broker } from 'kafkajs';
import { testServers } from '../../testing/servers.ts';
import { closeClient, createClient } from './client.ts';
import { captureCluster } from './native-cluster.ts';

describe('an idle kafkajs client', () => {
  it('runs no timer for requests that wait, as there are none', async () => {
    const client = createClient(
      { brokers: testServers().kafkaBrokers, clientId: 'idle' },
      {
        requestTimeoutMs: 5000,
        retry: { retries: 2, initialRetryTime: 50, maxRetryTime: 300, multiplier: 2, factor: 0.2 },
      },
    );
    const { assigner, cluster } = captureCluster();
    const consumer = client.kafka.consumer({ groupId: 'none', partitionAssigners: [assigner] });
    await consumer.connect();
    await cluster().refreshMetadata();
    const broker = (await cluster().findBroker({ nodeId: String(cluster().getNodeIds()[0]) })) as Broker & {
      connectionPool: { pool: { requestQueue: { throttleCheckTimeoutId: unknown } }[] };
    };
    await broker.metadata([]);
    const timers = broker.connectionPool.pool.map(({ requestQueue }) => requestQueue.throttleCheckTimeoutId);
    expect(timers).toEqual([null, null]);
    await closeClient(client, () => consumer.disconnect());
  });
});
