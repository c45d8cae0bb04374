import { mkdirSync, writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { adapterNames } from '../kafka/faults/adapters.ts';
import { FaultCluster } from '../kafka/faults/cluster.ts';
import { serverFaults } from '../kafka/faults/plan.ts';
import type { DeliveryMode } from './options.ts';
import { BrokersLoad, type BrokersVerdict } from './testing/brokers-load.ts';

const modes: readonly DeliveryMode[] = ['at-least-once', 'exactly-once'];
const reportFile = '.hotboard/relay-brokers.md';
const rounds = Number(process.env.RELAY_BROKERS_ROUNDS ?? 2);
const awayMs = Number(process.env.RELAY_BROKERS_AWAY_MS ?? 60_000);

describe('relays on three brokers, in both modes and with both clients', () => {
  let cluster: FaultCluster;
  const report: string[] = [];
  beforeAll(async () => {
    cluster = await FaultCluster.start();
  }, 180_000);
  afterAll(() => cluster?.stop(), 60_000);

  /** All four side by side, while something is broken. */
  async function under(title: string, writesPerS: number, fault: (loads: readonly BrokersLoad[]) => Promise<void>) {
    const common = { writesPerS, cluster: { ...three, brokers: cluster.brokers } };
    const loads = await Promise.all(
      modes.flatMap((delivery) => adapterNames.map((adapter) => BrokersLoad.start({ ...common, delivery, adapter }))),
    );
    try {
      await pause(1_000);
      await fault(loads);
      const verdicts = await Promise.all(loads.map((load) => load.finish()));
      report.push(`## ${title}`, '', table(verdicts), '');
      mkdirSync('.hotboard', { recursive: true });
      writeFileSync(reportFile, report.join('\n'));
      for (const verdict of verdicts) {
        expect(verdict).toMatchObject({ failedWrites: 0, lost: [], wrong: [] });
        if (verdict.delivery === 'exactly-once') expect(verdict.doubled).toBe(0);
      }
      return verdicts;
    } finally {
      await Promise.all(loads.map((load) => load.end()));
    }
  }

  it('have every deleted row in the topic while leaders are stopped, killed, frozen and moved', async () => {
    await under(`Leaders stopped, killed, frozen and moved, ${rounds} rounds`, 50, async () => {
      for (let round = 0; round < rounds; round++) {
        for (const [index, fault] of serverFaults.entries()) {
          await cluster.breakServer(fault, (round + index) % 3, 2_000);
        }
      }
    });
  }, 900_000);

  it('have a backlog and lose nothing while two of three brokers are dead', async () => {
    await under('Two of three brokers killed for 15 s', 50, async (loads) => {
      const broken = Promise.all([0, 1].map((broker) => cluster.breakServer('kill', broker, 15_000)));
      await pause(10_000);
      for (const load of loads) expect(await load.unsent()).toBeGreaterThan(50);
      await broken;
    });
  }, 400_000);

  it(`let all writes succeed while every broker is away for ${awayMs / 1000} s, and drain in order after`, async () => {
    const verdicts = await under(`Every broker away for ${awayMs / 1000} s, 4 × 50 writes/s`, 50, async () => {
      await Promise.all([0, 1, 2].map((broker) => cluster.breakServer('kill', broker, awayMs)));
    });
    for (const { mostUnsent } of verdicts) expect(mostUnsent).toBeGreaterThan((awayMs / 1000) * 25);
  }, 600_000);
});

const three = { replicationFactor: 3, config: { 'min.insync.replicas': '2' } };

function table(verdicts: readonly BrokersVerdict[]): string {
  const rows = verdicts.map((one) => [
    ...[one.delivery, one.adapter, one.written, one.writesPerS, one.failedWrites, one.lost.length, one.wrong.length],
    ...[one.doubled, one.mostUnsent, one.drainMs],
  ]);
  const head = [
    'mode',
    'client',
    'written',
    'writes/s',
    'failed writes',
    'lost',
    'keys out of order',
    'doubled',
    'most unsent',
  ];
  return [[...head, 'drained after, ms'], Array(10).fill('---'), ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
}
