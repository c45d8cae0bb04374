import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import mysql, { type RowDataPacket } from 'mysql2/promise';
import { envelopeOf } from '../events/envelope.ts';
import { KafkaError } from '../kafka/errors.ts';
import { partitionOf } from '../kafka/partitioner.ts';
import type { Publisher, PublishReport } from '../kafka/port.ts';
import { bucketOf } from '../outbox/keys.ts';
import { testServers } from '../testing/servers.ts';
import { eventually, soon } from '../testing/until.ts';
import { createRelay, type Relay, type RelayOptions } from './relay.ts';
import { createMysqlStore } from './sources/mysql-store.ts';
import { bucketsWithWork, oldestUnsent } from './sources/statements.ts';
import type { SourceStore } from './sources/store.ts';
import { openRealSource, patient, type RealSource } from './testing/real-source.ts';

const leaseMs = 2_000;

let source: RealSource;
let relays: Relay[] = [];

beforeEach(async () => {
  source = await openRealSource();
  relays = [];
});
afterEach(async () => {
  await Promise.all(relays.map((relay) => relay.stop()));
  await source.drop();
});

async function started(id: string, options: Partial<RelayOptions> = {}): Promise<Relay> {
  const relay = createRelay({
    id,
    sources: [{ name: 'like', url: source.url, topic: source.topic }],
    kafka: source.kafka,
    leaseMs,
    longestPollMs: 200,
    ...options,
  });
  relays.push(relay);
  await relay.start();
  return relay;
}

/** What a relay is not started for; from its status where the start did not wait until it was known. */
function refusalOf(id: string, options: Partial<RelayOptions>): Promise<unknown> {
  return started(id, options).then(
    (relay) =>
      soon('refused', async () => {
        const [one] = (await relay.status()).sources;
        return one?.state === 'refused' && one.lastError;
      }),
    (error: unknown) => error,
  );
}

const drained = async () => (await source.unsent()) === 0;
const held = async (relay: Relay) => (await source.leases()).filter(({ owner }) => owner === relay.id).length;
const versionsUpTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
const keys = Array.from({ length: 40 }, (_, index) => String(9_007_199_254_740_993n + BigInt(index)));
const round = (version: number, of = keys) => of.map((key) => ({ key, version }));

describe('a relay on real servers', () => {
  it('puts each event into its partition with its headers and bytes as they are stored', async () => {
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    await source.write([{ key: '9223372036854775807', version: 1, traceparent }]);
    await started('a');
    await eventually(drained);
    const [message] = await source.messages();
    const [[stored]] = await source.pool.query<RowDataPacket[]>(
      "SELECT LOWER(HEX(event_id)) AS id, payload, DATE_FORMAT(created_at, '%Y-%m-%dT%H:%i:%s.%f') AS at FROM outbox",
    );
    const [[meta]] = await source.pool.query<RowDataPacket[]>('SELECT incarnation FROM outbox_meta');
    expect(message!.partition).toBe(partitionOf('9223372036854775807', 12));
    expect(message!.value).toEqual(stored!.payload);
    const event = envelopeOf(message!);
    expect(event).toMatchObject({
      source: 'like',
      type: 'ArticleLiked',
      schemaVersion: 1,
      aggregateType: 'article',
      aggregateId: '9223372036854775807',
      version: 1n,
      incarnation: meta!.incarnation,
      traceparent,
    });
    expect(event.eventId.replaceAll('-', '')).toBe(stored!.id);
    expect(event.occurredAt.toISOString().slice(0, 23)).toBe(stored!.at.slice(0, 23));
  });

  it('publishes a lower id that commits after a higher one', async () => {
    await started('a');
    const late = await source.pool.getConnection();
    await late.query('START TRANSACTION');
    await source.write([{ key: '1', version: 1 }], late);
    const neighbour = Array.from({ length: 100 }, (_, index) => String(index + 2)).find(
      (key) => bucketOf(key, 8) === bucketOf('1', 8),
    )!;
    await source.write([{ key: neighbour, version: 1 }]);
    await eventually(drained);
    expect([...(await source.versions()).keys()]).toEqual([neighbour]);
    await late.query('COMMIT');
    late.release();
    await eventually(async () => (await source.versions()).has('1') && (await drained()));
  });

  it('keeps the order of each key with randomly failing sends, and deletes exactly what was acknowledged', async () => {
    let failed = 0;
    const sent = new Map<string, number>();
    await started('a', { kafka: unreliable(() => failed++), retry: { firstMs: 20, longestMs: 100 }, batchSize: 30 });
    for (let version = 1; version <= 40; version++) await source.write(round(version));
    await eventually(drained);
    const versions = await source.versions();
    expect(failed).toBeGreaterThan(5);
    expect(versions.size).toBe(keys.length);
    for (const key of keys) expect([...new Set(versions.get(key))]).toEqual(versionsUpTo(40));
    for (const [key, all] of versions) sent.set(key, all.length);
    expect(Math.max(...sent.values())).toBeGreaterThan(40); // some were sent twice: the faults were real
  });

  it('leaves exactly the rows that have no acknowledgement', async () => {
    const failing = partitionOf(keys[0]!, 12);
    await started('a', { kafka: failingPartition(failing) });
    await source.write([...round(1), ...round(2)]);
    const lost = keys.filter((key) => partitionOf(key, 12) === failing);
    await eventually(async () => (await source.unsent()) === lost.length * 2);
    const [rows] = await source.pool.query<RowDataPacket[]>(
      'SELECT DISTINCT o.aggregate_id AS k FROM outbox_pending p JOIN outbox o ON o.id = p.id AND o.day = p.day',
    );
    expect(rows.map(({ k }) => String(k)).sort()).toEqual([...lost].sort());
  });

  it('sees a nudge well before the poll', async () => {
    const relay = await started('a', { longestPollMs: 30_000, shortestPollMs: 30_000 });
    await eventually(async () => (await held(relay)) === 8);
    await source.write([{ key: '5', version: 1 }]); // opens the connections
    relay.nudge('like', [bucketOf('5', 8)]);
    await eventually(drained);
    await source.write([{ key: '5', version: 2 }]);
    relay.nudge('like', [bucketOf('5', 8)]);
    expect(await eventually(drained, 60_000, 2)).toBeLessThan(15_000);
  });

  it('goes on after all its connections were killed, again and again', async () => {
    await started('a', { retry: { firstMs: 20, longestMs: 100 } });
    const root = await mysql.createConnection(testServers().mysqlUrl);
    const database = new URL(source.url).pathname.slice(1);
    const own = `SELECT id FROM information_schema.processlist WHERE db = '${database}' AND id NOT IN (?)`;
    const mine: number[] = [];
    const connections = await Promise.all(Array.from({ length: 8 }, () => source.pool.getConnection()));
    for (const connection of connections) {
      mine.push(connection.threadId!);
      connection.release();
    }
    let killed = 0;
    let versionsWritten = 0;
    // until enough were killed: how quickly new ones come depends on the machine
    while (versionsWritten < 20 || killed <= 10) {
      versionsWritten++;
      await source.write(round(versionsWritten));
      const [rows] = await root.query<RowDataPacket[]>(own, [mine]);
      for (const row of rows) {
        await root.query(`KILL ${row.id ?? row.ID}`).then(
          () => killed++,
          () => undefined, // it was gone already
        );
      }
    }
    await root.end();
    await eventually(drained);
    const versions = await source.versions();
    for (const key of keys) expect([...new Set(versions.get(key))]).toEqual(versionsUpTo(versionsWritten));
  });

  it('refuses a database with another number of buckets, and a topic with other partitions', async () => {
    expect(await refusalOf('a', { buckets: 4 })).toMatchObject({
      code: 'RELAY_CONFIG_INVALID',
      message: 'The outbox of like has 8 buckets (8 leases); this relay is set to 4.',
    });
    const other = { name: 'like', url: source.url, topic: source.topic, partitions: 6 };
    expect(await refusalOf('b', { sources: [other] })).toMatchObject({
      message: `Topic ${source.topic} has 12 partitions; source like is set to 6.`,
    });
    expect((await source.leases()).every(({ owner }) => owner === null)).toBe(true);
  });

  it('waits for a database that is not there, and says so', async () => {
    const url = source.url.replace(/:\d+\//, ':1/');
    const relay = await started('a', { sources: [{ name: 'like', url, topic: source.topic }] });
    expect(relay.health()).toMatchObject({ state: 'degraded', sources: { like: 'waiting' } });
    expect((await relay.status()).sources[0]).toMatchObject({
      state: 'waiting',
      lastError: { code: 'SOURCE_UNAVAILABLE' },
    });
  });

  it('reads the oldest rows and the backlog by a few looks into the index, however many rows there are', async () => {
    for (let version = 1; version <= 25; version++) await source.write(round(version));
    const withWork = [...new Set(keys.map((key) => bucketOf(key, 8)))].sort();
    const store = createMysqlStore({ url: source.url, leaseTimeoutMs: 20_000 });
    expect((await store.bucketsWithWork()).sort()).toEqual(withWork);
    const backlog = await store.readBacklog();
    await store.close();
    expect(backlog).toMatchObject({ pending: 1_000, blocked: 0, dead: 0, more: false });
    expect([...backlog.oldestMs.keys()].sort()).toEqual(withWork);
    for (const waitedMs of backlog.oldestMs.values()) expect(waitedMs).toBeLessThan(120_000);

    const connection = await source.pool.getConnection();
    for (const statement of [bucketsWithWork, oldestUnsent]) {
      await connection.query('FLUSH STATUS');
      await connection.query(statement);
      const [rows] = await connection.query<RowDataPacket[]>("SHOW SESSION STATUS LIKE 'Handler_read%'");
      expect(rows.reduce((sum, row) => sum + Number(row.Value), 0)).toBeLessThan(150);
    }
    connection.release();
  });
});

describe('several relays on real servers', () => {
  it('share the buckets, hand them over on a stop and take over from one that is silent', async () => {
    const long = { ...patient, leaseMs: 60_000 }; // no lease runs out on a slow machine
    const first = await started('a', long);
    const second = await started('b', long);
    await eventually(async () => (await held(first)) === 4 && (await held(second)) === 4);
    const epochs = (await source.leases()).map(({ epoch }) => epoch);

    let version = 0;
    let feeding = true;
    const feed = (async () => {
      while (feeding) {
        await source.write(round(++version));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();

    const stopping = first.stop();
    await eventually(async () => (await held(second)) === 8, 20_000); // the figure is 1 s
    await stopping;

    const third = await started('c', long);
    await eventually(async () => (await held(third)) === 4);
    feeding = false;
    await feed;
    await eventually(drained);
    const versions = await source.versions();
    for (const key of keys) expect(versions.get(key)).toEqual(versionsUpTo(version)); // no duplicate without a fault
    const after = await source.leases();
    expect(after.every(({ epoch }, bucket) => epoch >= epochs[bucket]!)).toBe(true);
  });

  it('takes over within the lease and two seconds from an owner that says nothing, whose work loses nothing', async () => {
    let silent = false;
    const stopped = freezable(createMysqlStore({ url: source.url, leaseTimeoutMs: 1_000 }), () => silent);
    const first = await started('a', {
      sources: [{ name: 'like', url: source.url, topic: source.topic, store: stopped }],
      stopTimeoutMs: 100,
    });
    await source.write(round(1));
    await eventually(drained);
    const second = await started('b');
    await eventually(async () => (await held(second)) === 4);
    silent = true;
    await source.write(round(2));
    await eventually(async () => (await held(second)) === 8, 3 * (leaseMs + 2_000)); // the figure is the lease and 2 s
    await eventually(drained);
    expect(await held(first)).toBe(0);
    const versions = await source.versions();
    for (const key of keys) expect([...new Set(versions.get(key))]).toEqual([1, 2]);
  });
});

/** A store none of whose calls does anything or answers while it is silent, as if the process were stopped. */
function freezable(store: SourceStore, isSilent: () => boolean): SourceStore {
  return new Proxy(store, {
    get(target, name) {
      const call = target[name as keyof SourceStore] as (...given: unknown[]) => Promise<unknown>;
      return (...given: unknown[]) =>
        isSilent() && name !== 'close' ? new Promise<never>(() => {}) : call.apply(target, given);
    },
  });
}

/** A Kafka whose answers are lost, or whose partitions fail, every now and then. */
function unreliable(onFault: () => void): RelayOptions['kafka'] {
  return withPublisher((publisher) => ({
    async publish(messages) {
      const random = Math.random();
      if (random < 0.2) {
        onFault();
        return failed(messages, () => true);
      }
      const report = await publisher.publish(messages);
      if (random > 0.6) return report;
      onFault();
      const unlucky = messages[0]!.partition;
      const lost = report.acknowledged.filter(({ partition }) => partition === unlucky);
      return {
        acknowledged: report.acknowledged.filter((part) => !lost.includes(part)),
        failed: [...report.failed, ...lost.map(({ topic, partition }) => ({ topic, partition, error: noAnswer() }))],
      };
    },
    close: () => publisher.close(),
  }));
}

function failingPartition(failing: number): RelayOptions['kafka'] {
  return withPublisher((publisher) => ({
    async publish(messages) {
      const others = messages.filter(({ partition }) => partition !== failing);
      const report = await publisher.publish(others);
      return {
        ...report,
        failed: [...report.failed, ...failed(messages, (partition) => partition === failing).failed],
      };
    },
    close: () => publisher.close(),
  }));
}

function withPublisher(wrap: (publisher: Publisher) => Publisher): RelayOptions['kafka'] {
  return { publisher: (options) => wrap(source.kafka.publisher(options)), admin: () => source.kafka.admin() };
}

function failed(messages: Parameters<Publisher['publish']>[0], which: (partition: number) => boolean): PublishReport {
  const hit = [...new Set(messages.map(({ partition }) => partition))].filter(which);
  return {
    acknowledged: [],
    failed: hit.map((partition) => ({ topic: source.topic, partition, error: noAnswer() })),
  };
}

function noAnswer(): KafkaError {
  return new KafkaError('KAFKA_NOT_ACKNOWLEDGED', 'made up by the test', { retryable: true });
}
