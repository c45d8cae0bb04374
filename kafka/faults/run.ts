import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { uniqueName } from '../../testing/servers.ts';
import { until } from '../../testing/until.ts';
import { type AdapterName, connect, independentOf } from './adapters.ts';
import { type ConsumedVerdict, checkConsumed } from './check-consumed.ts';
import { checkPublished, type PublishedVerdict } from './check-published.ts';
import { checkTransactions, type TransactionsVerdict } from './check-transactions.ts';
import type { FaultCluster } from './cluster.ts';
import { GroupLoad } from './group-load.ts';
import type { FaultPlan } from './plan.ts';
import { PublishLoad } from './publish-load.ts';
import { readTopic } from './read-topic.ts';
import { TransactionLoad } from './transaction-load.ts';
import { Unguarded } from './unguarded.ts';

const partitions = 6;
/** Once nothing is broken any more: a busy machine may have let nothing through before. */
const goesOnWithinMs = 120_000;

export interface FaultResult {
  adapter: AdapterName | 'kafkajs without guard';
  seed: number;
  published: PublishedVerdict;
  consumed: ConsumedVerdict | null;
  transactions: TransactionsVerdict | null;
}

/** A part of the load, begun; `finish` is called once nothing is broken any more. */
interface Load {
  members: GroupLoad | null;
  finish(): Promise<FaultResult>;
  /** Ends processes, whatever happened. */
  end(): Promise<void>;
}

export interface FaultOptions {
  seed: number;
  adapters: readonly AdapterName[];
  /** Publishes by kafkajs without the guard, too: for its figures. */
  withUnguarded?: boolean;
  /** Told what happens to the brokers. */
  log?(line: string): void;
}

/** Publishes, consumes and makes transactions with every adapter at the same time, while all that the plan says is broken. */
export async function runFaults(cluster: FaultCluster, plan: FaultPlan, options: FaultOptions): Promise<FaultResult[]> {
  const loads: Load[] = [];
  try {
    for (const adapter of options.adapters) loads.push(await beginLoad(cluster, adapter, options.seed));
    if (options.withUnguarded) loads.push(await beginUnguarded(cluster, options.seed));
    await breakAll(cluster, plan, loads, options.log);
    options.log?.('nothing is broken any more');
    const results: FaultResult[] = [];
    for (const load of loads) {
      const result = await load.finish();
      results.push(result);
      options.log?.(`${result.adapter} is checked`);
    }
    return results;
  } finally {
    await Promise.all(loads.map((load) => load.end()));
  }
}

async function breakAll(
  cluster: FaultCluster,
  plan: FaultPlan,
  loads: readonly Load[],
  log: (line: string) => void = () => {},
): Promise<void> {
  let serversBreak = true;
  const servers = async () => {
    try {
      await pause(1000);
      for (const { fault, broker, forMs } of plan.servers) {
        const startedMs = performance.now();
        await cluster.breakServer(fault, broker, forMs);
        log(`broker ${broker}: ${fault}, whole again after ${Math.round(performance.now() - startedMs)} ms`);
        await pause(300);
      }
    } finally {
      serversBreak = false;
    }
  };
  const network = async () => {
    do {
      for (const { afterMs, fault, broker, forMs } of plan.network) {
        await pause(afterMs);
        await cluster.breakNetwork(fault, broker, forMs);
      }
    } while (serversBreak);
  };
  const members = async (group: GroupLoad) => {
    for (const { afterMs, fault } of plan.members) {
      await pause(afterMs);
      await group.break(fault);
    }
  };
  await Promise.all([servers(), network(), ...loads.map((load) => load.members && members(load.members))]);
}

async function beginLoad(cluster: FaultCluster, adapter: AdapterName, seed: number): Promise<Load> {
  const topic = await newTopic(cluster, partitions);
  const transactionsTopic = await newTopic(cluster, TransactionLoad.partitions);
  const through = connect(adapter, cluster.proxy.brokers, `faults-${adapter}`);
  const reader = connect(independentOf(adapter), cluster.brokers, 'fault-reader');
  const publishing = new PublishLoad({
    topic,
    partitions,
    publishers: [
      { name: 'patient', publisher: through.publisher(), callers: 2 },
      { name: 'impatient', publisher: through.publisher({ deliveryTimeoutMs: 1200 }), callers: 3 },
    ],
  });
  const transacting = new TransactionLoad({ port: through, topic: transactionsTopic, seed });
  const folder = mkdtempSync(join(tmpdir(), 'hotboard-group-'));
  const members = new GroupLoad({
    adapter,
    brokers: cluster.proxy.brokers,
    topic,
    groupId: topic,
    folder,
    admin: cluster.admin,
  });
  return {
    members,
    async finish() {
      const committed = () => transacting.calls.filter(({ outcome }) => outcome === 'committed').length;
      const before = committed();
      await until(`${adapter} commits again`, goesOnWithinMs, () => committed() > before);
      await until(`${adapter} has published enough`, goesOnWithinMs, () => publishing.acknowledged > 100);
      await Promise.all([publishing.stop(), transacting.stop()]);
      const [stored, transacted] = await Promise.all([
        readTopic(reader, { topic, partitions, withoutHoles: true }),
        readTopic(reader, { topic: transactionsTopic, partitions: TransactionLoad.partitions, withoutHoles: false }),
      ]);
      const ends = await cluster.admin.offsets(topic);
      const seen = Array.from({ length: TransactionLoad.partitions }, (_, partition) =>
        transacted.filter((message) => message.partition === partition).map(({ id }) => id),
      );
      return {
        adapter,
        seed,
        published: checkPublished(publishing.calls, stored),
        consumed: checkConsumed(await members.finish(ends), ends),
        transactions: checkTransactions(transacting.calls, seen),
      };
    },
    async end() {
      await Promise.allSettled([members.stop(), publishing.stop(), transacting.stop()]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function beginUnguarded(cluster: FaultCluster, seed: number): Promise<Load> {
  const topic = await newTopic(cluster, partitions);
  const publisher = new Unguarded(cluster.proxy.brokers);
  const publishing = new PublishLoad({ topic, partitions, publishers: [{ name: 'bare', publisher, callers: 3 }] });
  return {
    members: null,
    async finish() {
      await publishing.stop();
      const reader = connect('platformatic', cluster.brokers, 'fault-reader');
      const stored = await readTopic(reader, { topic, partitions, withoutHoles: true });
      const published = checkPublished(publishing.calls, stored);
      return { adapter: 'kafkajs without guard', seed, published, consumed: null, transactions: null };
    },
    async end() {
      await Promise.allSettled([publishing.stop()]);
    },
  };
}

/** Three copies, of which two must have a message. */
async function newTopic(cluster: FaultCluster, count: number): Promise<string> {
  const topic = uniqueName('faults');
  const config = { 'min.insync.replicas': '2' };
  await cluster.admin.createTopics([{ topic, partitions: count, replicationFactor: 3, config }]);
  return topic;
}
