import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { uniqueName } from '../../testing/servers.ts';
import type { Publisher } from '../port.ts';
import { type AdapterName, adapterNames, connect, independentOf } from './adapters.ts';
import { FaultCluster } from './cluster.ts';
import { planFaults } from './plan.ts';
import { reuseAfterError } from './reuse-after-error.ts';
import { runFaults } from './run.ts';
import { Unguarded } from './unguarded.ts';
import { violationsOf } from './violations.ts';

const seed = 2;
const logFile = '.hotboard/kafka-faults.e2e.log';
const log = (line: string) => appendFileSync(logFile, `${new Date().toISOString()} ${line}\n`);

describe('Kafka adapters on three brokers', () => {
  let cluster: FaultCluster;
  let reused: ReturnType<typeof beginReuse>;
  beforeAll(async () => {
    mkdirSync('.hotboard', { recursive: true });
    writeFileSync(logFile, '');
    cluster = await FaultCluster.start();
    log('three brokers run');
    reused = beginReuse(cluster);
  }, 420_000);
  afterAll(() => cluster?.stop(), 180_000);

  it('are needed: kafkajs without the guard loses a message when it is used again after an error', async () => {
    expect((await reused.unguarded).lost).toHaveLength(1);
  }, 240_000);

  it.each(adapterNames)(
    '%s loses nothing when it is used again after an error',
    async (adapter) => {
      const verdict = await reused[adapter];
      expect(verdict).toMatchObject({ lost: [], phantom: [], foreign: [], outOfOrder: [] });
      expect(verdict.failed).toBeGreaterThan(0);
      expect(verdict.acknowledged).toBeGreaterThan(0);
    },
    240_000,
  );

  it('lose nothing acknowledged, skip nothing and commit nothing unhandled while brokers, network and members break', async () => {
    const results = await runFaults(cluster, planFaults(seed, { rounds: 1 }), { seed, adapters: adapterNames, log });
    expect(results.flatMap(violationsOf)).toEqual([]);
    for (const { published, consumed, transactions } of results) {
      expect(published.acknowledged).toBeGreaterThan(100);
      expect(consumed?.batches).toBeGreaterThan(0);
      expect(transactions?.committed).toBeGreaterThan(0);
    }
  }, 600_000);
});

/** All at the same time, as each mostly waits; a test looks at its own. */
function beginReuse({ admin, brokers }: FaultCluster) {
  const reuse = async (readBy: AdapterName, publisherOn: (brokers: readonly string[]) => Publisher) => {
    const topic = uniqueName('reuse');
    await admin.createTopics([{ topic, partitions: 1, replicationFactor: 3 }]);
    return reuseAfterError(topic, { brokers, publisherOn, reader: connect(readBy, brokers, 'reader') });
  };
  const guarded = (adapter: AdapterName) =>
    reuse(independentOf(adapter), (through) =>
      connect(adapter, through, 'reuse').publisher({ deliveryTimeoutMs: 2500 }),
    );
  const unguarded = async () => {
    // A slow machine can make it fail later calls, too; then nothing was acknowledged that could be lost.
    for (let round = 1; ; round++) {
      const verdict = await reuse('platformatic', (through) => new Unguarded(through));
      if (verdict.lost.length > 0 || round === 3) return verdict;
    }
  };
  const begun = { kafkajs: guarded('kafkajs'), platformatic: guarded('platformatic'), unguarded: unguarded() };
  for (const scenario of Object.values(begun)) scenario.catch(() => {}); // told by the test that awaits it
  return begun;
}
