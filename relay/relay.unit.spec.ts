import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { partitionOf } from '../kafka/partitioner.ts';
import { keys, RelayWorld, versionsUpTo } from './testing/relay-world.ts';

let world: RelayWorld;
let clock: RelayWorld['clock'];
let database: RelayWorld['database'];
let kafka: RelayWorld['kafka'];
beforeEach(() => {
  world = new RelayWorld();
  ({ clock, database, kafka } = world);
});
afterEach(async () => {
  await world.end();
  expect(kafka.overlaps).toBe(0);
});

const drained = () => world.drained();
const owners = () => new Set(database.leases.map(({ bucket }) => database.ownerOf(bucket)));
const expectInOrderOnce = (count: number) => {
  for (const key of keys) expect(kafka.versionsOf(key)).toEqual(versionsUpTo(count));
};
const expectInOrder = (count: number) => {
  for (const key of keys) expect(kafka.firstAppearances(key)).toEqual(versionsUpTo(count));
};

describe('one relay', () => {
  it('forwards a backlog, each key in order and each event once', async () => {
    for (let round = 0; round < 40; round++) for (const key of keys) database.insert(key);
    await world.started('a');
    await clock.until(drained, 5_000);
    expectInOrderOnce(40);
  });

  it('sends nothing of a bucket while its former batch has no answer', async () => {
    for (const key of keys) database.insert(key, 100);
    kafka.latencyMs = 300;
    await world.started('a');
    await clock.until(drained, 20_000);
    expect(kafka.overlaps).toBe(0);
    expectInOrderOnce(100);
  });

  it('forwards a lower id that commits after a higher one was sent', async () => {
    await world.started('a');
    const late = database.begin(1);
    database.insert(9);
    await clock.until(drained, 5_000);
    expect(kafka.versionsOf(9)).toEqual([1]);
    late.commit();
    await clock.until(drained, 5_000);
    expect(kafka.versionsOf(1)).toEqual([1]);
  });

  it('sees new rows at a nudge at once, and without one within the idle poll', async () => {
    const one = await world.started('a', { longestPollMs: 2_000 });
    await clock.advance(20_000);
    database.insert(3);
    one.nudge('like', [3]);
    expect(await clock.until(drained, 2_000)).toBeLessThan(20);
    await clock.advance(20_000);
    database.insert(3);
    const byPolling = await clock.until(drained, 2_100);
    expect(byPolling).toBeGreaterThan(20);
  });

  it('asks the database less than 5 times a second when idle', async () => {
    await world.started('a', { leaseMs: 5_000 });
    await clock.advance(20_000);
    const before = database.calls.length;
    await clock.advance(60_000);
    expect((database.calls.length - before) / 60).toBeLessThan(5);
  });

  it('deletes exactly what was acknowledged, and sends the rest again in order', async () => {
    let failing = true;
    const refused = new Set<string>();
    kafka.fault = (_partition, messages) => {
      const fails = failing && messages.some((message) => Number(message.key) % 2 === 0);
      if (fails) for (const message of messages) refused.add(message.key!.toString());
      return fails ? 'not stored' : null;
    };
    for (const key of keys) database.insert(key, 5);
    await world.started('a');
    await clock.advance(2_000);
    const left = new Set([...database.pending.values()].map(({ row }) => row.keyHash));
    expect(left.size).toBeGreaterThan(0);
    expect(left).toEqual(refused);
    failing = false;
    await clock.until(drained, 20_000);
    expectInOrderOnce(5);
  });

  it('lets other keys flow while a partition fails, and the failing keys wait with all their events', async () => {
    const failing = partitionOf('1', 12);
    kafka.fault = (partition) => (partition === failing ? 'stored, not acknowledged' : null);
    const one = await world.started('a');
    const others = [9, 17, 25, 33, 41, 49].filter((key) => partitionOf(String(key), 12) !== failing); // same bucket
    for (let round = 0; round < 20; round++) {
      for (const key of [1, ...others]) database.insert(key);
      one.nudge('like', [1]);
      await clock.advance(100);
    }
    expect(others.length).toBeGreaterThan(3);
    for (const key of others) expect(kafka.versionsOf(key)).toEqual(versionsUpTo(20));
    expect((await world.statusOf(one)).buckets[1]).toMatchObject({
      heldKeys: 1,
      lastError: { code: 'KAFKA_UNAVAILABLE' },
    });
    kafka.fault = () => null;
    await clock.until(drained, 30_000);
    expect(kafka.firstAppearances(1)).toEqual(versionsUpTo(20));
  });

  it('takes an answer without a partition as a failure', async () => {
    let forgotten = 0;
    kafka.fault = () => (forgotten++ < 5 ? 'forgotten' : null);
    for (const key of keys) database.insert(key, 3);
    await world.started('a');
    await clock.until(drained, 30_000);
    expect(forgotten).toBeGreaterThan(5);
    expectInOrder(3);
  });

  it('holds back only the key whose event the broker refuses', async () => {
    kafka.fault = () => ({ refuse: (message) => message.key!.toString() === '1' });
    const neighbour = Array.from({ length: 100 }, (_, index) => 9 + 8 * index).find(
      (key) => partitionOf(String(key), 12) === partitionOf('1', 12), // in the same bucket and partition
    )!;
    for (const key of [...keys, neighbour]) database.insert(key, 4);
    await world.started('a');
    await clock.until(() => database.pending.size === 4, 500);
    expect(kafka.versionsOf(neighbour)).toEqual(versionsUpTo(4));
    expect([...database.pending.values()].map(({ row }) => row.keyHash)).toEqual(['1', '1', '1', '1']);
    kafka.fault = () => null;
    await clock.until(drained, 120_000);
    expectInOrderOnce(4);
  });

  it('holds back a key whose stored event is missing, and nothing else', async () => {
    for (const key of keys) database.insert(key, 3);
    const first = [...database.events.values()].find((event) => event.aggregateId === '5')!;
    database.events.delete(first.id);
    const one = await world.started('a');
    await clock.until(() => database.pending.size === 3, 10_000);
    expect(kafka.versionsOf(5)).toEqual([]);
    const bucket = (await world.statusOf(one)).buckets[5]!;
    expect(bucket).toMatchObject({ blockedKeys: 1, lastError: { code: 'EVENT_MISSING' } });
    database.events.set(first.id, first);
    await clock.until(drained, 120_000);
    expectInOrderOnce(3);
  });

  it('sends nothing twice while a delete is slow or its answer is lost', async () => {
    let lost = 0;
    database.fault = (_relay, call) => (call === 'delete' && lost++ < 3 ? 'answer lost' : null);
    database.slowMs = (_relay, call) => (call === 'delete' ? 40 : 0);
    for (const key of keys) database.insert(key, 200);
    await world.started('a');
    await clock.until(drained, 30_000);
    expect(lost).toBeGreaterThan(3);
    expectInOrderOnce(200);
  });

  it('sends what comes while a delete is slow, up to a batch of rows that are not deleted', async () => {
    database.slowMs = (_relay, call) => (call === 'delete' ? 60_000 : 0);
    const one = await world.started('a', { batchSize: 50 });
    for (let event = 1; event <= 70; event++) {
      database.insert(1);
      one.nudge('like', [1]);
      await clock.advance(10);
      expect(kafka.versionsOf(1)).toHaveLength(Math.min(event, 51));
    }
    database.slowMs = () => 0;
    await clock.until(drained, 120_000);
    expect(kafka.versionsOf(1)).toEqual(versionsUpTo(70));
  });

  it('waits while the database is away, and goes on by itself', async () => {
    await world.started('a');
    database.fault = () => 'refused';
    for (const key of keys) database.insert(key, 10);
    await clock.advance(60_000);
    expect(kafka.log).toEqual([]);
    database.fault = () => null;
    expect(await clock.until(drained, 10_000)).toBeLessThanOrEqual(10_000);
    expectInOrderOnce(10);
  });

  it('starts while the database and Kafka are away, and takes part when they are back', async () => {
    database.fault = () => 'refused';
    kafka.away = true;
    const one = world.relay('a');
    let up = false;
    void one.start().then(() => {
      up = true;
    });
    await clock.until(() => up, 2_000);
    expect(one.health()).toMatchObject({ state: 'degraded' });
    for (const key of keys) database.insert(key);
    await clock.advance(30_000);
    database.fault = () => null;
    await clock.advance(5_000);
    expect(owners()).toEqual(new Set([null])); // no lease before the topic was seen
    kafka.away = false;
    await clock.until(drained, 5_000);
    expect(one.health()).toEqual({ state: 'up', sources: { like: 'running' }, problems: [] });
  });

  it('keeps its backlog in order over an outage of Kafka', async () => {
    const one = await world.started('a');
    for (let round = 0; round < 30; round++) {
      kafka.away = round > 5 && round < 25;
      for (const key of keys) database.insert(key);
      one.nudge('like');
      await clock.advance(1_000);
    }
    await clock.until(drained, 15_000);
    expectInOrderOnce(30);
  });

  it('refuses a database with another number of buckets and a topic with other partitions', async () => {
    const refusals: Promise<unknown>[] = [
      world
        .relay('a', { buckets: 4 })
        .start()
        .catch((error) => error),
    ];
    kafka.partitions = 6;
    refusals.push(
      world
        .relay('b')
        .start()
        .catch((error) => error),
    );
    await clock.advance(20_000);
    expect(await Promise.all(refusals)).toMatchObject([
      { code: 'RELAY_CONFIG_INVALID', message: 'The outbox of like has 8 buckets (8 leases); this relay is set to 4.' },
      { code: 'RELAY_CONFIG_INVALID', message: 'Topic hotboard.like has 6 partitions; source like is set to 12.' },
    ]);
  });

  it('leaves no timer behind when it is stopped', async () => {
    const one = await world.started('a');
    database.insert(1);
    await clock.advance(3_333);
    await world.stop([one]);
    world.relays.length = 0;
    expect(clock.pendingTimers).toBe(0);
    expect(owners()).toEqual(new Set([null]));
    expect(database.members.size).toBe(0);
  });
});
