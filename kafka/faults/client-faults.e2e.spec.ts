import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { uniqueName } from '../../testing/servers.ts';
import { adapterNames, connect, independentOf } from './adapters.ts';
import { FaultCluster } from './cluster.ts';
import { planFaults } from './plan.ts';
import { reuseAfterError } from './reuse-after-error.ts';
import { runFaults } from './run.ts';
import { Unguarded } from './unguarded.ts';
import { violationsOf } from './violations.ts';

const seed = 4;
const logFile = '.hotboard/kafka-faults.e2e.log';
const log = (line: string) => appendFileSync(logFile, `${new Date().toISOString()} ${line}\n`);

describe('Kafka adapters on three brokers', () => {
  let cluster: FaultCluster;
  beforeAll(async () => {
    mkdirSync('.hotboard', { recursive: true });
    writeFileSync(logFile, '');
    cluster = await FaultCluster.start();
    log('three brokers run');
  }, 180_000);
  afterAll(() => cluster?.stop(), 60_000);

  const topic = async () => {
    const name = uniqueName('reuse');
    await cluster.admin.createTopics([{ topic: name, partitions: 1, replicationFactor: 3 }]);
    return name;
  };

  it('are needed: kafkajs without the guard loses a message when it is used again after an error', async () => {
    const reader = connect('platformatic', cluster.brokers, 'reader');
    const publisherOn = (brokers: readonly string[]) => new Unguarded(brokers);
    let lost: string[] = [];
    // A slow machine can make it fail later calls, too; then nothing was acknowledged that could be lost.
    for (let round = 0; round < 3 && lost.length === 0; round++) {
      ({ lost } = await reuseAfterError(await topic(), { brokers: cluster.brokers, publisherOn, reader }));
    }
    expect(lost).toHaveLength(1);
  }, 120_000);

  it.each(adapterNames)(
    '%s loses nothing when it is used again after an error',
    async (adapter) => {
      const reader = connect(independentOf(adapter), cluster.brokers, 'reader');
      const publisherOn = (brokers: readonly string[]) =>
        connect(adapter, brokers, 'reuse').publisher({ deliveryTimeoutMs: 2500 });
      const verdict = await reuseAfterError(await topic(), { brokers: cluster.brokers, publisherOn, reader });
      expect(verdict).toMatchObject({ lost: [], phantom: [], foreign: [], outOfOrder: [] });
      expect(verdict.failed).toBeGreaterThan(0);
      expect(verdict.acknowledged).toBeGreaterThan(0);
    },
    60_000,
  );

  it('lose nothing acknowledged, skip nothing and commit nothing unhandled while brokers, network and members break', async () => {
    const results = await runFaults(cluster, planFaults(seed, { rounds: 1 }), { seed, adapters: adapterNames, log });
    expect(results.flatMap(violationsOf)).toEqual([]);
    for (const { published, consumed, transactions } of results) {
      expect(published.acknowledged).toBeGreaterThan(100);
      expect(consumed?.batches).toBeGreaterThan(0);
      expect(transactions?.committed).toBeGreaterThan(0);
    }
  }, 300_000);
});
