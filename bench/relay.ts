import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createPlatformaticPort } from '../kafka/platformatic/platformatic-port.ts';
import type { Admin } from '../kafka/port.ts';
import { positionTopics } from '../migrations/topics.ts';
import type { DeliveryMode } from '../relay/options.ts';
import type { Bench, BenchResult } from './bench.ts';
import { bareInserts, bareKafkajs, barePublishers, readyBatches } from './relay/limits.ts';
import { BenchOutbox, buckets } from './relay/outbox.ts';
import { readProfiles, type Spent, spentIn } from './relay/profile.ts';
import { nowMs, startRelayProcess } from './relay/relay-child.ts';
import { type Drain, figuresOf, type Latency, notes, spentTables, table, writesPerSecond } from './relay/report.ts';
import { onOwnServers, optionsOf } from './servers.ts';

const partitions = 12;
const warmUpMs = 4_000;
const measuredMs = 10_000;

interface Context {
  mysqlUrl: string;
  brokers: string[];
  admin: Admin;
  profileFolder: string | undefined;
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
    return onOwnServers('relay', async ({ environment }) => {
      const brokers = environment.HOTBOARD_KAFKA_BROKERS.split(',');
      const admin = createPlatformaticPort({ brokers, clientId: 'bench' }).admin();
      try {
        const context = { mysqlUrl: environment.HOTBOARD_MYSQL_URL, brokers, admin, profileFolder: given.profile };
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
  inserts: number;
  filled: number;
}

async function measure(context: Context, { rows, rounds, large, only, modes }: Extent): Promise<BenchResult> {
  const limits: Limits = { kafkajs: 0, publishers: 0, inserts: 0, filled: 0 };
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
  if (only !== 'drain') for (const mode of modes) latencies.push(await commitToAck(context, mode, limits));
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
  if (latencies.length > 0) figures.limitInsertsPerS = Math.round(limits.inserts);
  return { rows: table(figures), figures, notes: notes(drains, latencies), more: spentTables(drains, latencies) };
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

/** From the answer to COMMIT at the writer to the acknowledgement at the relay, which is nudged over a pipe. */
async function commitToAck(context: Context, mode: DeliveryMode, limits: Limits): Promise<Latency> {
  const topic = `latency-${mode}`;
  await createTopics(context, topic);
  const outbox = await BenchOutbox.create(context.mysqlUrl, `bench_latency_${mode.replaceAll('-', '_')}`);
  try {
    const { brokers, profileFolder } = context;
    const settings = { url: outbox.url, brokers, topic, partitions, delivery: mode, timesAcknowledgements: true };
    const profile = profileFolder && join(profileFolder, topic);
    const relay = startRelayProcess(settings, profile);
    try {
      await relay.waitFor('started');
      await writeAtRate(outbox, warmUpMs, (_, nudged) => relay.nudge(nudged));
      relay.measure();
      const committedMs = new Map<string, number>();
      const startedMs = nowMs();
      await writeAtRate(outbox, measuredMs, (eventId, nudged) => {
        committedMs.set(eventId, nowMs());
        relay.nudge(nudged);
      });
      const perS = committedMs.size / ((nowMs() - startedMs) / 1000);
      for (let tries = 0; tries < 500 && !(await outbox.isEmpty()); tries++) await pause(20);
      const { acknowledgedMs, maxRssMb, cpuMs, elapsedMs, span } = await relay.stop();
      const acknowledged = new Map(acknowledgedMs.toReversed());
      const ms = [...committedMs].flatMap(([id, atMs]) =>
        acknowledged.has(id) ? [Math.max(0, acknowledged.get(id)! - atMs)] : [],
      );
      limits.inserts ||= await bareInserts(outbox, 3_000);
      const missing = committedMs.size - ms.length;
      const cpuMsPerS = (cpuMs * 1000) / elapsedMs;
      return {
        mode,
        ms,
        perS,
        missing,
        maxRssMb,
        cpuMsPerS,
        spent: spentBy(profile, span),
      };
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

/** Transactions of one event each at the set rate, however long they take. */
async function writeAtRate(
  outbox: BenchOutbox,
  durationMs: number,
  committed: (eventId: string, buckets: number[]) => void,
): Promise<void> {
  const startedMs = performance.now();
  const running: Promise<void>[] = [];
  for (let i = 0; i < (durationMs / 1000) * writesPerSecond; i++) {
    const dueMs = startedMs + (i * 1000) / writesPerSecond;
    if (dueMs > performance.now()) await pause(dueMs - performance.now());
    running.push(outbox.write(1).then(({ eventIds, buckets }) => committed(eventIds[0]!, [...buckets])));
  }
  await Promise.all(running);
}

function spentBy(folder: string | undefined, span: [fromUs: number, toUs: number]): Spent | null {
  const profile = folder === undefined ? undefined : readProfiles(folder).at(-1)?.profile;
  return profile ? spentIn(profile, ...span) : null;
}
