import { mkdirSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { adapterNames } from './adapters.ts';
import { FaultCluster } from './cluster.ts';
import { planFaults } from './plan.ts';
import { reportOf } from './report.ts';
import { type FaultResult, runFaults } from './run.ts';
import { violationsOf } from './violations.ts';

const seeds = [11, 12, 13, 14, 15];
const rounds = 2;
const reportFile = '.hotboard/kafka-faults.md';

describe('Kafka adapters on three brokers, five seeds', () => {
  let cluster: FaultCluster;
  const results: FaultResult[] = [];
  beforeAll(async () => {
    cluster = await FaultCluster.start();
  }, 180_000);
  afterAll(async () => {
    await cluster?.stop();
    console.log(`${reportFile}\n\n${reportOf(results)}`);
  }, 60_000);

  it.each(seeds)(
    'lose nothing acknowledged with seed %i',
    async (seed) => {
      const log = (line: string) => process.stderr.write(`seed ${seed}: ${line}\n`);
      const plan = planFaults(seed, { rounds });
      const found = await runFaults(cluster, plan, { seed, adapters: adapterNames, withUnguarded: true, log });
      results.push(...found);
      mkdirSync('.hotboard', { recursive: true });
      writeFileSync(reportFile, reportOf(results));
      expect(found.filter(({ adapter }) => adapter !== 'kafkajs without guard').flatMap(violationsOf)).toEqual([]);
    },
    900_000,
  );

  it('would have shown a loss: kafkajs without the guard had some', () => {
    const bare = results.filter(({ adapter }) => adapter === 'kafkajs without guard');
    expect(bare.flatMap(({ published }) => published.lost).length).toBeGreaterThan(0);
  });
});
