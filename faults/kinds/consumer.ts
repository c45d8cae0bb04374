import { setTimeout as pause } from 'node:timers/promises';
import { sqlTime } from '../../database/sql-time.ts';
import { boardSources } from '../../events/board.ts';
import { auditorGroup } from '../auditor/group.ts';
import type { FaultNode, World } from '../world/world.ts';
import { type Fault, type FaultContext, type FaultResult, merged, nothing } from './kind.ts';
import { holdBeforeOffsetCommit } from './observe.ts';

const patienceMs = 30_000;
export const sessionMs = 10_000;

type Consumer = 'hot-article' | 'auditor';

/** Partitions whose stored position is ahead of the group's in Kafka: what a crash there leaves. */
async function ahead(world: World, consumer: Consumer): Promise<number> {
  const { of, auditor } = world.truth.databases;
  const database = consumer === 'auditor' ? auditor : of('hot-article');
  const group = consumer === 'auditor' ? auditorGroup : `${world.config.topicPrefix}.hot-article`;
  const rows = await world.truth.rows<{ topic: Buffer; kafka_partition: number; next_offset: string }>(
    `SELECT topic, kafka_partition, next_offset FROM ${database}.inbox_offset`,
  );
  const stored = new Map(rows.map((row) => [`${row.topic} ${row.kafka_partition}`, BigInt(row.next_offset)]));
  let count = 0;
  for (const source of boardSources) {
    const topic = `${world.config.topicPrefix}.${source}`;
    for (const { partition, offset } of await world.admin.committed(group, topic)) {
      if ((stored.get(`${topic} ${partition}`) ?? 0n) > (offset ?? 0n)) count++;
    }
  }
  return count;
}

/**
 * A consumer dies after the commit in MySQL and before that of the offset in Kafka: the proxy holds the latter, then the process
 * is killed. Its events are delivered again, and must not take effect again.
 */
async function killBeforeOffset(
  { world, say }: FaultContext,
  node: FaultNode,
  consumer: Consumer,
): Promise<FaultResult> {
  const result = nothing();
  const { name } = node.process;
  if (!(await holdBeforeOffsetCommit(node, patienceMs))) {
    world.heal(node);
    return result;
  }
  const ready = node.process.nextReady();
  const gone = node.process.nextEnd();
  const atMs = node.process.signal('SIGKILL');
  const { how } = await gone;
  world.heal(node);
  const partitions = await ahead(world, consumer);
  result.seen.push(`${name} ${how}, ${partitions} partitions were further in MySQL than in Kafka`);
  result.moments.push({ kind: 'consumer-killed', atMs, node: name, consumer });
  if (how?.includes('SIGKILL') && partitions > 0) result.hits++;
  say(`${name} killed before it committed its offset`);
  await ready;
  return result;
}

export const consumerKilledBeforeOffset: Fault = async (context) => {
  const { world, random, repeats } = context;
  const results: FaultResult[] = [];
  for (let round = 0; round < repeats; round++) {
    const both = await Promise.all([
      killBeforeOffset(context, random.pick(world.those('hot-article')), 'hot-article'),
      killBeforeOffset(context, random.pick(world.those('auditor')), 'auditor'),
    ]);
    results.push(...both);
    // the group gives the dead member's partitions away when its session is over: else the next one finds nothing to do
    if (round + 1 < repeats) await pause(sessionMs + 2_000);
  }
  return merged(...results);
};

/**
 * A consumer stands still for longer than its session, while others join and leave: it loses its partitions in the middle of its
 * work and does not know it when it goes on.
 */
export const consumerStoppedInStorm: Fault = async ({ world, random, say }) => {
  const result = nothing();
  const stopped = [
    { node: random.pick(world.those('hot-article')), consumer: 'hot-article' as const },
    { node: random.pick(world.those('auditor')), consumer: 'auditor' as const },
  ];
  const number = random.whole(100, 999);
  const forMs = sessionMs + random.whole(3_000, 5_000);
  const before = Date.now();
  for (const { node, consumer } of stopped) {
    const atMs = node.process.signal('SIGSTOP');
    result.moments.push({ kind: 'consumer-stopped', atMs, node: node.process.name, consumer });
  }
  say(`${stopped.map(({ node }) => node.process.name).join(' and ')} stopped for ${forMs} ms, others come and go`);
  try {
    const guests = [
      await world.addNode(`hot-article-${number}`, ['hot-article']),
      await world.addNode(`auditor-${number}`, 'auditor'),
    ];
    await Promise.all(guests.map(({ process }) => process.ready()));
    await pause(random.whole(500, 2_000));
    await Promise.all(guests.map(({ process }) => process.stop(20_000)));
    result.seen.push(`${guests.map(({ process }) => process.name).join(' and ')} came and went`);
    await pause(Math.max(0, before + forMs - Date.now()));
  } finally {
    for (const { node } of stopped) node.process.signal('SIGCONT');
  }
  const took = await world.truth.rows<{ n: string }>(
    `SELECT COUNT(DISTINCT process) AS n FROM ${world.truth.table('consumed')}
     WHERE at > ? AND kind = 'offset' AND process NOT IN (?)`,
    [sqlTime(before), stopped.map(({ node }) => node.process.name)],
  );
  result.seen.push(`${took[0]!.n} other consumers went on meanwhile`);
  if (Number(took[0]!.n) >= 2) result.hits++;
  return result;
};
