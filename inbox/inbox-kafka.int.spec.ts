import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import kafkajs from 'kafkajs';
import { type EventEnvelope, headersOf } from '../events/envelope.ts';
import { TcpProxy } from '../faults/proxy/proxy.ts';
import { createKafkajsPort } from '../kafka/kafkajs/index.ts';
import { createPlatformaticPort } from '../kafka/platformatic/platformatic-port.ts';
import type { Consumer, ConsumerOptions, KafkaConnection, KafkaPort, TransactionalKafkaPort } from '../kafka/port.ts';
import { uniqueName } from '../testing/servers.ts';
import { soon } from '../testing/until.ts';
import { openPool } from './database/pool.ts';
import { createInbox, type Inbox, type InboxOptions } from './inbox.ts';
import type { PartitionStatus } from './status.ts';
import { mysqlStore } from './store/mysql.ts';
import { type TestDatabase, testDatabase } from './testing/database.ts';
import { testCatalogue, testEvent } from './testing/events.ts';
import { type TestTopic, testTopic } from './testing/kafka.ts';
import { recordedMetrics } from './testing/recorded-metrics.ts';
import type { InboxHandler } from './types.ts';

let database: TestDatabase;
let topic: TestTopic;
const inboxes = new Set<Inbox>();

beforeAll(async () => {
  [database, topic] = await Promise.all([testDatabase(), testTopic(3)]);
});
afterAll(async () => {
  await Promise.all([...inboxes].map((inbox) => inbox.stop()));
  await Promise.all([database.close(), topic.close()]);
});

/** Each group has effects of its own in the one table: `<group>:<aggregate>.<version>`. */
function effectsOf(group: string): InboxHandler {
  return {
    async handleBatch(tx, events) {
      const rows = events.map((event) => [`${group}:${event.aggregateId}.${event.version}`]);
      await tx.write('INSERT INTO effects (what) VALUES ?', [rows]);
    },
  };
}

const adapters: [string, (connection: KafkaConnection) => TransactionalKafkaPort][] = [
  ['kafkajs', createKafkajsPort],
  ['@platformatic/kafka', createPlatformaticPort],
];

const effects = async (group: string) =>
  (await database.effects()).filter((what) => what.startsWith(`${group}:`)).map((what) => what.split(':')[1]!);

interface Setup {
  kafka?: KafkaPort;
  url?: string;
  options?: Partial<InboxOptions>;
}

async function member(group: string, { kafka = topic.kafka, url, options }: Setup = {}) {
  const pool = url === undefined ? database.pool() : openPool({ url, connections: 4 });
  const metrics = recordedMetrics();
  const logs: string[] = [];
  const log = (...args: unknown[]) => void logs.push(args.map(String).join(' '));
  const store = mysqlStore({ database: pool, consumer: group, mode: 'state' });
  const inbox = createInbox({
    group,
    groupId: group,
    mode: 'state',
    topics: [topic.topic],
    catalogue: testCatalogue,
    handlers: { '*': effectsOf(group) },
    store,
    kafka,
    metrics,
    logger: { debug: () => {}, info: log, warn: log, error: log },
    maxWaitMs: 100,
    lagPollMs: 100,
    ...options,
  });
  inboxes.add(inbox);
  await inbox.start();
  return {
    inbox,
    store,
    metrics: metrics.sums,
    logs,
    async stop() {
      inboxes.delete(inbox);
      await inbox.stop();
      if (url !== undefined) await pool.close();
    },
  };
}

/** `versions` of each of the aggregates, mixed. */
function eventsOf(aggregates: readonly number[], versions: number, from = 1): EventEnvelope[] {
  return Array.from({ length: versions }, (_, index) =>
    aggregates.map((id) => testEvent(String(id), from + index)),
  ).flat();
}

const expected = (events: readonly EventEnvelope[]) => events.map((event) => `${event.aggregateId}.${event.version}`);

const hasNoLag = ({ lagEvents, lagMs, highWatermark, position }: PartitionStatus) =>
  lagEvents === 0 && lagMs === 0 && highWatermark === position;

/** Once each, and for each aggregate in order. */
function expectOnceInOrder(got: readonly string[], events: readonly EventEnvelope[]): void {
  expect(got.toSorted()).toEqual(expected(events).toSorted());
  const last = new Map<string, number>();
  for (const what of got) {
    const [id, version] = what.split('.') as [string, string];
    expect(Number(version)).toBeGreaterThan(last.get(id) ?? 0);
    last.set(id, Number(version));
  }
}

async function setGroupOffsets(group: string, where: 'earliest' | 'latest'): Promise<void> {
  const admin = new kafkajs.Kafka({ brokers: [...topic.connection.brokers], logLevel: 0 }).admin();
  await admin.connect();
  await admin.resetOffsets({ groupId: group, topic: topic.topic, earliest: where === 'earliest' });
  await admin.disconnect();
}

describe('an inbox on Kafka and MySQL', () => {
  const published: EventEnvelope[] = [];
  const publish = async (events: EventEnvelope[]) => {
    await topic.publish(events);
    published.push(...events);
  };

  it('applies each event once and in order with three consumers that come and go', async () => {
    const group = uniqueName('group');
    const first = await member(group, { options: { batchSize: 20 } });
    await publish(eventsOf([1, 2, 3, 4, 5, 6, 7], 40));
    const others = [await member(group), await member(group)];
    await soon('a third of the events', async () => (await effects(group)).length >= 90);
    await first.stop();
    await publish(eventsOf([1, 2, 3, 4, 5, 6, 7], 20, 41));
    await soon('all effects', async () => (await effects(group)).length >= published.length);
    expectOnceInOrder(await effects(group), published);

    const admin = topic.kafka.admin();
    const ends = await admin.offsets(topic.topic);
    await admin.close();
    const stored = await others[0]!.store.allOffsets();
    expect(stored.map(({ partition, offset }) => [partition, offset]).toSorted()).toEqual(
      ends.map(({ partition, end }) => [partition, end]).toSorted(),
    );
    await soon('both to say that they have no lag', () => {
      const partitions = others.flatMap(({ inbox }) => inbox.status().partitions);
      const all = partitions.map(({ partition }) => partition).toSorted();
      return all.join() === '0,1,2' && partitions.every(hasNoLag);
    });
    for (const { stop } of others) await stop();
  });

  it('makes each effect once where a consumer dies between the commit and the offset', async () => {
    const group = uniqueName('group');
    let crashes = 0;
    const dying: KafkaPort = {
      ...topic.kafka,
      consumer(options: ConsumerOptions): Consumer {
        return topic.kafka.consumer({
          ...options,
          async onBatch(batch, context) {
            const result = await options.onBatch(batch, context);
            if (crashes++ < 4) throw new Error('dies before the offset');
            return result;
          },
        });
      },
    };
    const { inbox, metrics, stop } = await member(group, { kafka: dying });
    await soon('all effects', async () => (await effects(group)).length >= published.length);
    await soon('duplicates', () => crashes > 4 && (metrics['inbox.events.duplicate.total'] ?? 0) > 0);
    await soon('no lag', () => inbox.status().lagEvents === 0);
    expectOnceInOrder(await effects(group), published);
    await stop();
  });

  it('goes on at its stored offset where the group’s is set to the earliest or the latest', async () => {
    const wheres = ['earliest', 'latest'] as const;
    const groups = wheres.map((where) => uniqueName(where));
    const before = await Promise.all(groups.map((group) => member(group)));
    for (const group of groups) {
      await soon('all effects', async () => (await effects(group)).length >= published.length);
    }
    await Promise.all(before.map(({ stop }) => stop()));
    const more = eventsOf([1, 2, 3, 4, 5, 6, 7], 5, Number(published.at(-1)!.version) + 1);
    await publish(more);
    await Promise.all(wheres.map((where, index) => setGroupOffsets(groups[index]!, where)));
    const after = await Promise.all(groups.map((group) => member(group)));
    for (const [index, group] of groups.entries()) {
      await soon('all effects', async () => (await effects(group)).length >= published.length);
      expectOnceInOrder(await effects(group), published);
      const { metrics } = after[index]!;
      // Effects show at the commit, counts when its answer has come.
      await soon('the count', () => metrics['inbox.events.applied.total']! >= more.length);
      expect(metrics['inbox.events.applied.total']).toBe(more.length);
      expect(metrics['inbox.events.duplicate.total'] ?? 0).toBeLessThan(more.length);
    }
    await Promise.all(after.map(({ stop }) => stop()));
  });

  it('raises an alarm for an offset out of range and reads again from the beginning, with nothing applied twice', async () => {
    const group = uniqueName('group');
    const before = await member(group);
    await soon('all effects', async () => (await effects(group)).length >= published.length);
    await before.stop();
    for (const { partition } of await before.store.allOffsets()) {
      await before.store.resetOffset({ topic: topic.topic, partition, offset: 1_000_000n });
    }
    const after = await member(group);
    await soon('the resync', () => (after.metrics['inbox.events.duplicate.total'] ?? 0) >= published.length);
    await soon('no lag', () => after.inbox.status().lagEvents === 0);
    expect(after.metrics['inbox.alarms.total offset-out-of-range']).toBeGreaterThanOrEqual(3);
    expect(after.logs.join('\n')).toMatch(/is at offset 1000000 of .*, which holds 0 to/);
    expectOnceInOrder(await effects(group), published);
    expect((await after.store.allOffsets()).every(({ offset }) => offset < 1_000_000n)).toBe(true);
    await after.stop();
  });

  it('loses nothing and does not end while MySQL is away, at the start and in the middle', async () => {
    const group = uniqueName('group');
    const { hostname, port } = new URL(database.url);
    const way = await TcpProxy.start({ target: { host: hostname, port: Number(port || 3306) } });
    const url = new URL(database.url);
    url.host = `127.0.0.1:${way.port}`;
    way.set({ mode: 'reset' });
    const { inbox, logs, metrics, stop } = await member(group, { url: url.href, options: { batchSize: 10 } });
    await soon('the first failure', () => logs.some((line) => line.includes('reading the stored offsets failed')));
    way.set({ mode: 'pass' });
    await soon('some effects', async () => (await effects(group)).length >= 30);
    way.set({ mode: 'reset' });
    await soon('a failed batch', () => (metrics['inbox.retries.total away'] ?? 0) > 3);
    way.set({ mode: 'pass' });
    await soon('all effects', async () => (await effects(group)).length >= published.length);
    await soon('no lag', () => inbox.status().lagEvents === 0);
    expectOnceInOrder(await effects(group), published);
    await stop();
    await way.stop();
  });

  it('puts poison among the dead letters while the rest of its partition flows', async () => {
    const group = uniqueName('group');
    const value = Buffer.from('no JSON');
    const poison = [0, 1, 2].map((partition) => ({ topic: topic.topic, partition, key: Buffer.from('1'), value }));
    await topic.publish(poison);
    await publish(eventsOf([1, 2, 3, 4, 5, 6, 7], 1, Number(published.at(-1)!.version) + 1));
    const { inbox, metrics, stop } = await member(group, {
      options: { handlers: { '*': effectsOf(group) } },
    });
    await soon('all effects', async () => (await effects(group)).length >= published.length);
    await soon('no lag', () => inbox.status().lagEvents === 0);
    expect(metrics['inbox.dead_letters.total malformed']).toBe(3);
    expectOnceInOrder(await effects(group), published);
    await stop();
  });

  it.each(adapters)('counts no markers of transactions as lag, read by %s', async (_name, connect) => {
    const group = uniqueName('group');
    const transactional = await testTopic(1);
    const kafka = connect(transactional.connection);
    const publisher = kafka.transactionalPublisher({ transactionalId: group });
    const { inbox, metrics, stop } = await member(group, { kafka, options: { topics: [transactional.topic] } });
    await publisher.fence();
    for (const version of [1, 2, 3]) {
      const event = testEvent('1', version);
      const value = Buffer.from(JSON.stringify(event.payload));
      const message = {
        topic: transactional.topic,
        partition: 0,
        key: Buffer.from('1'),
        value,
        headers: headersOf(event),
      };
      await publisher.transaction([message]);
    }
    await soon('all effects', () => metrics['inbox.events.applied.total'] === 3);
    const partition = await soon('no lag', () => inbox.status().partitions.find(hasNoLag));
    const admin = kafka.admin();
    const { end } = (await admin.offsets(transactional.topic))[0]!;
    expect(end - BigInt(partition.position)).toBe(1n);
    await admin.close();
    await publisher.close();
    await stop();
    await transactional.close();
  });
});
