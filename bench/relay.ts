import { join } from 'node:path';
import { createPlatformaticPort } from '../kafka/platformatic/platformatic-port.ts';
import type { Admin } from '../kafka/port.ts';
import { positionTopics } from '../migrations/topics.ts';
import type { DeliveryMode } from '../relay/options.ts';
import type { Bench, BenchResult } from './bench.ts';
import { commitToAck } from './relay/latency.ts';
import { bareKafkajs, barePublishers, readyBatches } from './relay/limits.ts';
import { BenchOutbox, buckets } from './relay/outbox.ts';
import { spentBy } from './relay/profile.ts';
import { startRelayProcess } from './relay/relay-child.ts';
import { type Drain, figuresOf, type Latency, limitsOf, moreTables, notes, table } from './relay/report.ts';
import { nowMs } from './relay/watch.ts';
import { onOwnServers, optionsOf } from './servers.ts';

const partitions = 12;

interface Context {
  mysqlUrl: string;
  brokers: string[];
  admin: Admin;
  profileFolder: string | undefined;
  /** Of this process and the servers, by name. */
  pids: Record<string, number>;
}

/**
 * One relay process on servers of its own, in each delivery mode. Options: `--delivery=at-least-once|exactly-once`,
 * `--rows=100000`, `--rounds=1` (drains), `--only=drain|latency`, `--large=1000000` (one more drain, of so many rows, in the first mode;
 * a multiple of `--rows`), and `--profile=FOLDER`: CPU profiles of the relay processes, in
 * a folder each, and tables of what their time went to.
 */
const bench: Bench = {
  title: 'The relay: 600-byte events, 12 headers, 12 partitions, 8 buckets, 5,000 keys, acks=all, one process',
  async run(options) {
    const given = optionsOf(options);
    return onOwnServers('relay', async ({ environment, servers }) => {
      const brokers = environment.HOTBOARD_KAFKA_BROKERS.split(',');
      const admin = createPlatformaticPort({ brokers, clientId: 'bench' }).admin();
      try {
        const pids = Object.fromEntries([
          ['writer (the bench)', process.pid],
          ...servers.flatMap(({ name, pid }) => (pid === null ? [] : [[name, pid]])),
        ]);
        const mysqlUrl = environment.HOTBOARD_MYSQL_URL;
        const context = { mysqlUrl, brokers, admin, profileFolder: given.profile, pids };
        return await measure(context, {
          rows: Number(given.rows ?? 100_000),
          rounds: Number(given.rounds ?? 1),
          large: Number(given.large ?? 0),
          only: given.only,
          modes: given.delivery ? [given.delivery as DeliveryMode] : ['at-least-once', 'exactly-once'],
        });
      } finally {
        await admin.close();
      }
    });
  },
};

export default bench;

interface Extent {
  rows: number;
  rounds: number;
  /** Rows of the large drain; 0: none. */
  large: number;
  only: string | undefined;
  modes: readonly DeliveryMode[];
}

interface Limits {
  kafkajs: number;
  publishers: number;
  filled: number;
}

async function measure(context: Context, { rows, rounds, large, only, modes }: Extent): Promise<BenchResult> {
  const limits: Limits = { kafkajs: 0, publishers: 0, filled: 0 };
  const drains: Drain[] = [];
  if (only !== 'latency') {
    // The modes take turns, so that both meet the same moods of the machine.
    for (let round = 1; round <= rounds; round++) {
      for (const mode of modes) drains.push(await drain(context, mode, { rows, label: `${round}` }, limits));
    }
    if (large > 0) drains.push(await drain(context, modes[0]!, { rows: large, of: rows, label: 'large' }, limits));
    await context.admin.createTopics([{ topic: 'limits', partitions }]);
    const batches = readyBatches(Math.min(rows, 100_000), 'limits', partitions);
    limits.publishers = await barePublishers(context.brokers, batches, buckets);
    limits.kafkajs = await bareKafkajs(context.brokers, batches);
  }
  const latencies: Latency[] = [];
  if (only !== 'drain') {
    const ofLatency = { ...context, partitions, createTopics: (topic: string) => createTopics(context, topic) };
    for (const mode of modes) latencies.push(await commitToAck(ofLatency, mode));
  }
  const figures: Record<string, number> = {};
  for (const mode of modes) {
    const ofMode = <One extends { mode: DeliveryMode }>(all: readonly One[]) => all.filter((one) => one.mode === mode);
    Object.assign(figures, figuresOf(mode, ofMode(drains), ofMode(latencies)[0]));
  }
  if (drains.length > 0) {
    Object.assign(figures, {
      rows,
      limitKafkajsPerS: Math.round(limits.kafkajs),
      limitPublishersPerS: Math.round(limits.publishers),
      filledRowsPerS: Math.round(limits.filled),
    });
  }
  Object.assign(figures, limitsOf(latencies));
  return { rows: table(figures), figures, notes: notes(drains, latencies), more: moreTables(drains, latencies) };
}

/** A backlog, from the start of the relay (in its process) until the last row is deleted. */
async function drain(
  context: Context,
  mode: DeliveryMode,
  { rows, of = rows, label }: { rows: number; of?: number; label: string },
  limits: Limits,
): Promise<Drain> {
  const topic = `drain-${mode}-${label}`;
  await createTopics(context, topic);
  const outbox = await BenchOutbox.create(context.mysqlUrl, `bench_drain_${mode.replaceAll('-', '_')}_${label}`);
  try {
    const fillStartedMs = nowMs();
    await outbox.fill(of);
    const filledMs = nowMs() - fillStartedMs;
    await outbox.multiply(rows / of);
    console.error(`drain ${label}, ${mode}: filled in ${((nowMs() - fillStartedMs) / 1000).toFixed(1)} s`);
    limits.filled = Math.max(limits.filled, of / (filledMs / 1000));
    const { brokers, profileFolder } = context;
    const settings = { url: outbox.url, brokers, topic, partitions, delivery: mode, doneAfter: rows };
    const profile = profileFolder && join(profileFolder, topic);
    const relay = startRelayProcess(settings, profile);
    try {
      const { atMs: startedMs } = await relay.waitFor('started');
      const { atMs: doneMs, cpuMs, span } = await relay.waitFor('done');
      const { maxRssMb } = await relay.stop();
      const stored = (await context.admin.offsets(topic)).reduce((sum, { end }) => sum + Number(end), 0);
      // Where there are transactions their markers take offsets, too.
      const isWhole = mode === 'at-least-once' ? stored === rows : stored > rows;
      if (!isWhole || !(await outbox.isEmpty())) throw new Error(`${stored} of ${rows} events are in the topic`);
      console.error(`drain ${label}, ${mode}: ${rows} rows in ${((doneMs - startedMs) / 1000).toFixed(1)} s`);
      const perS = rows / ((doneMs - startedMs) / 1000);
      return { mode, rows, perS, cpuUsPerEvent: (cpuMs * 1000) / rows, maxRssMb, spent: spentBy(profile, span) };
    } finally {
      relay.kill();
    }
  } finally {
    await outbox.close();
  }
}

async function createTopics({ admin }: Context, topic: string): Promise<void> {
  await admin.createTopics([{ topic, partitions }, ...positionTopics(topic, ['like'], buckets)]);
}
