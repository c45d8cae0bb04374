import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createPlatformaticPort } from '../../kafka/platformatic/platformatic-port.ts';
import type { DeliveryMode } from '../../relay/options.ts';
import { atRate, insertsAtRate, sendsAtRate, type WriteTimes } from './at-rate.ts';
import { bareInserts } from './limits.ts';
import { BenchOutbox } from './outbox.ts';
import { spentBy } from './profile.ts';
import { startRelayProcess } from './relay-child.ts';
import { type Latency, writesPerSecond } from './report.ts';
import { askedTable, episodes, meanwhileTable, pathsOf, stageTable, type Written } from './stages.ts';
import { nowMs, type Use, useOf, watchPauses } from './watch.ts';

const warmUpMs = 4_000;
const measuredMs = 10_000;
const limitMs = 5_000;

export interface LatencyContext {
  mysqlUrl: string;
  brokers: string[];
  partitions: number;
  profileFolder: string | undefined;
  createTopics(topic: string): Promise<void>;
  /** Processes beside the relay, by name. */
  pids: Readonly<Record<string, number>>;
}

/**
 * From the answer to COMMIT at the writer to the acknowledgement at the relay, which is nudged over a pipe; by stages. And, on the
 * same servers, the writes without a relay and the sends without a database at the same rate.
 */
export async function commitToAck(context: LatencyContext, mode: DeliveryMode): Promise<Latency> {
  const topic = `latency-${mode}`;
  await context.createTopics(topic);
  const outbox = await BenchOutbox.create(context.mysqlUrl, `bench_latency_${mode.replaceAll('-', '_')}`);
  try {
    // Before the relay: so the servers have run the same code for a while when it is measured.
    const insertsPerS = await bareInserts(outbox, 3_000);
    const alone = { writes: await insertsAtRate(outbox, writesPerSecond, limitMs), sendMs: await sends(context, mode) };
    const { brokers, partitions, profileFolder } = context;
    const settings = { url: outbox.url, brokers, topic, partitions, delivery: mode, traces: true };
    const profile = profileFolder && join(profileFolder, topic);
    const relay = startRelayProcess(settings, profile);
    try {
      await relay.waitFor('started');
      await write(outbox, warmUpMs, ({ bucket }) => relay.nudge([bucket]));
      await drained(outbox);
      relay.measure();
      const takePauses = watchPauses();
      const written: Written[] = [];
      const uses = usesOf({ ...context.pids, relay: relay.pid });
      const startedMs = nowMs();
      const writes = await write(outbox, measuredMs, (event) => {
        written.push(event);
        relay.nudge([event.bucket]);
      });
      const tookMs = nowMs() - startedMs;
      const used = uses();
      await drained(outbox);
      const writer = takePauses();
      const { trace, maxRssMb, cpuMs, elapsedMs, span } = await relay.stop();
      const paths = pathsOf(written, trace!);
      return {
        mode,
        ms: paths.map(({ committedMs, acknowledgedMs }) => acknowledgedMs - committedMs),
        perS: written.length / (tookMs / 1000),
        missing: written.length - paths.length,
        maxRssMb,
        cpuMsPerS: (cpuMs * 1000) / elapsedMs,
        spent: spentBy(profile, span),
        writes,
        alone,
        insertsPerS,
        tables: [
          { title: `Commit to ack by stages, ${mode}, ms`, rows: stageTable(paths) },
          { title: `Meanwhile, ${mode}`, rows: meanwhileTable(paths, trace!, writer) },
          { title: `What the relay asked for, ${mode}, ms`, rows: askedTable(trace!, tookMs) },
          { title: `The slowest 1 % as episodes, ${mode}`, rows: episodes(paths, trace!, startedMs) },
          { title: `Processes, ${mode}, ms a second`, rows: processTable(used, tookMs) },
        ],
      };
    } finally {
      relay.kill();
    }
  } finally {
    await outbox.close();
  }
}

/** Transactions of one event each at the set rate. */
async function write(
  outbox: BenchOutbox,
  durationMs: number,
  committed: (event: Written) => void,
): Promise<WriteTimes> {
  const times: WriteTimes = { transactionMs: [], commitMs: [] };
  await atRate(writesPerSecond, durationMs, async () => {
    const startedMs = nowMs();
    const { eventIds, buckets, commitMs } = await outbox.write(1);
    const committedMs = nowMs();
    times.transactionMs.push(committedMs - startedMs);
    times.commitMs.push(commitMs);
    committed({ eventId: eventIds[0]!, bucket: [...buckets][0]!, committedMs });
  });
  return times;
}

async function drained(outbox: BenchOutbox): Promise<void> {
  for (let tries = 0; tries < 500 && !(await outbox.isEmpty()); tries++) await pause(20);
}

async function sends({ brokers, partitions, createTopics }: LatencyContext, mode: DeliveryMode): Promise<number[]> {
  const topic = `limit-${mode}`;
  await createTopics(topic);
  const kafka = createPlatformaticPort({ brokers, clientId: 'bench-limit' });
  return sendsAtRate(kafka, { mode, topic, partitions, perS: writesPerSecond, durationMs: limitMs });
}

/** What each process uses from now on. */
function usesOf(pids: Readonly<Record<string, number>>): () => Record<string, Use> {
  const before = Object.entries(pids).map(([name, pid]) => [name, pid, useOf(pid)] as const);
  return () =>
    Object.fromEntries(
      before.flatMap(([name, pid, then]) => {
        const now = useOf(pid);
        if (!then || !now) return [];
        return [[name, { ranMs: now.ranMs - then.ranMs, noCoreMs: now.noCoreMs - then.noCoreMs }]];
      }),
    );
}

function processTable(used: Readonly<Record<string, Use>>, tookMs: number) {
  return Object.entries(used).map(([process, { ranMs, noCoreMs }]) => ({
    process,
    ran: Math.round((1000 * ranMs) / tookMs),
    'its threads had no core': Math.round((1000 * noCoreMs) / tookMs),
  }));
}
