import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { partitionOf } from '../kafka/partitioner.ts';
import { createRelay } from './relay.ts';
import { believing } from './testing/believing.ts';
import type { CommitFault } from './testing/fake-transactions.ts';
import { keys, leaseMs, RelayWorld, versionsUpTo } from './testing/relay-world.ts';

let world: RelayWorld;
let clock: RelayWorld['clock'];
let database: RelayWorld['database'];
let kafka: RelayWorld['kafka'];
beforeEach(() => {
  world = new RelayWorld({ delivery: 'exactly-once', retry: { firstMs: 50, longestMs: 1_000 } });
  ({ clock, database, kafka } = world);
});
afterEach(() => world.end());

const drained = () => world.drained();
const expectOnceInOrder = (count: number, of = keys) => {
  for (const key of of) expect(kafka.versionsOf(key)).toEqual(versionsUpTo(count));
};
const idOf = (bucket: number) => `hotboard.like.${bucket}`;
const fencesOf = (bucket: number) => kafka.transactions.fences.get(idOf(bucket)) ?? 0;
const neighboursOf = (key: number, isBeside: (other: number) => boolean) =>
  Array.from({ length: 100 }, (_, index) => key + 8 * (index + 1)).filter(isBeside);
const samePartition = (key: number) => (other: number) =>
  partitionOf(String(other), 12) === partitionOf(String(key), 12);

describe('exactly-once', () => {
  it('forwards a backlog in transactions, each event once and each key in order', async () => {
    world.insertRounds(40);
    await world.started('a');
    await clock.until(drained, 10_000);
    expectOnceInOrder(40);
    expect(kafka.transactions.committed).toBeGreaterThan(8);
  });

  it('fences at once at a takeover, also where there is no work', async () => {
    await world.started('a');
    expect(database.leases.map(({ bucket }) => fencesOf(bucket))).toEqual(Array(8).fill(1));
    await clock.advance(5_000);
    world.kill('a');
    await world.started('b');
    await clock.advance(leaseMs + 500);
    expect(database.leases.map(({ bucket }) => fencesOf(bucket))).toEqual(Array(8).fill(2));
    expect(kafka.log).toEqual([]);
  });

  it.each<Exclude<CommitFault, null>>(['committed, unknown', 'open, unknown', 'late, unknown'])(
    'sends nothing twice and loses nothing after a commit that is %s',
    async (fault) => {
      let faults = 0;
      kafka.transactions.fault = () => (faults++ % 3 === 1 ? fault : null);
      world.insertRounds(60);
      await world.started('a');
      await clock.until(drained, 60_000);
      expect(faults).toBeGreaterThan(20);
      await clock.advance(2_000); // what is late has arrived
      expectOnceInOrder(60);
    },
  );

  it('is not misled by a commit that arrives only after the takeover', async () => {
    kafka.transactions.lateMs = leaseMs + 60;
    kafka.transactions.fault = (_, process) => (process === 'a' ? 'late, unknown' : null);
    await world.started('a');
    world.insertRounds(3);
    await clock.advance(100);
    world.kill('a');
    await world.started('b');
    await clock.until(drained, 20_000);
    await clock.advance(5_000);
    expectOnceInOrder(3);
  });

  it('sends nothing twice when its owner dies after the commit and before the delete', async () => {
    world.insertRounds(30);
    database.fault = (name, call) => (name === 'a' && call === 'delete' ? 'hangs undone' : null);
    await world.started('a');
    await clock.until(() => kafka.transactions.committed >= 8, 2_000);
    world.kill('a');
    expect(database.pending.size).toBe(16 * 30);
    await world.started('b');
    await clock.until(drained, 20_000);
    expectOnceInOrder(30);
  });

  it('names in its position the batch before, too, as long as its delete is not confirmed', async () => {
    for (let round = 0; round < 200; round++) database.insert(1);
    let deletes = 0;
    // the delete of the first batch never comes back: the second batch is sent beside it
    database.fault = (name, call) => (name === 'a' && call === 'delete' && deletes++ >= 0 ? 'hangs undone' : null);
    await world.started('a');
    await clock.until(() => kafka.log.length === 100, 2_000);
    world.kill('a');
    await world.started('b');
    await clock.until(drained, 20_000);
    expectOnceInOrder(200, [1]);
  });

  it('refuses the commit of an owner that was stopped in the midst of a transaction', async () => {
    await world.started('a');
    const woken = Promise.withResolvers<void>();
    kafka.transactions.onOpen = (_, process) => (process === 'a' ? woken.promise : undefined);
    world.insertRounds(5);
    await clock.advance(2_500);
    // It can't reach the database either: everything of the process stands still.
    database.fault = (name) => (name === 'a' ? 'refused' : null);
    await world.started('b');
    await clock.until(drained, 20_000);
    database.deletes.length = 0;
    database.fault = () => null;
    kafka.transactions.onOpen = () => {};
    woken.resolve();
    await clock.until(() => kafka.transactions.fenced >= 8, 200);
    expect(database.deletes).toEqual([]);
    await clock.advance(10_000);
    expectOnceInOrder(5);
  });

  it('does not fence again, nor send, once the database says that its lease is over', async () => {
    await world.started('a');
    database.insert(1);
    await clock.until(drained, 2_000);
    // a's belief and the database differ, as after a jump of its clock
    const lease = database.leases[1]!;
    Object.assign(lease, { owner: 'somebody', epoch: lease.epoch + 1, expiresMs: clock.monotonicMs() + 60_000 });
    const fencesBefore = fencesOf(1);
    kafka.transactions.fault = () => 'open, unknown';
    database.insert(1);
    world.relays[0]!.nudge('like', [1]);
    await clock.advance(20_000);
    expect(fencesOf(1) - fencesBefore).toBeLessThanOrEqual(1);
    expect(kafka.versionsOf(1)).toEqual([1]);
  });

  it.each([true, false])('lets other keys flow while a partition fails (the client names it: %s)', async (named) => {
    kafka.transactions.namesFailures = named;
    const failing = partitionOf('1', 12);
    kafka.fault = (partition) => (partition === failing ? 'not stored' : null);
    const others = neighboursOf(1, (key) => !samePartition(1)(key));
    for (let round = 0; round < 10; round++) for (const key of [1, ...others]) database.insert(key);
    await world.started('a');
    await clock.until(() => database.pending.size === 10, 10_000);
    expectOnceInOrder(10, others);
    for (const key of [1, ...others]) database.insert(key);
    world.relays[0]!.nudge('like', [1]);
    await clock.until(() => database.pending.size === 11, 5_000);
    kafka.fault = () => null;
    await clock.until(drained, 5_000);
    expectOnceInOrder(11, [1, ...others]);
  });

  it.each([true, false])(
    'holds only the key whose event the broker refuses (the client names it: %s)',
    async (named) => {
      kafka.transactions.namesFailures = named;
      kafka.fault = () => ({ refuse: ({ key, headers }) => String(key) === '1' && String(headers!.version) === '3' });
      const refuses = ({ key }: { key: Buffer | null }) => String(key) === '1';
      kafka.fault = () => ({ refuse: (message) => refuses(message) });
      const [neighbour] = neighboursOf(1, samePartition(1));
      const all = [...keys, neighbour!];
      for (let round = 0; round < 20; round++) for (const key of all) database.insert(key);
      await world.started('a');
      await clock.until(() => database.pending.size === 20, 2_000);
      expectOnceInOrder(
        20,
        all.filter((key) => key !== 1),
      );
      // Each retry costs a fence and the transaction of that event alone.
      const [committed, fences] = [kafka.transactions.committed, fencesOf(1)];
      await clock.advance(30_000);
      expect(kafka.transactions.committed).toBe(committed);
      expect(fencesOf(1) - fences).toBeLessThan(12);
      kafka.fault = () => null;
      await clock.until(drained, 120_000);
      expectOnceInOrder(20, all);
    },
  );

  it('keeps its backlog over an outage of Kafka', async () => {
    await world.started('a');
    kafka.away = true;
    world.insertRounds(30);
    world.relays[0]!.nudge('like');
    await clock.advance(60_000);
    kafka.away = false;
    await clock.until(drained, 5_000);
    expectOnceInOrder(30);
  });

  it('is out of service, but never wrong, where every relay believes that it owns all', async () => {
    for (const name of ['a', 'b', 'c']) {
      await world.started(name, {
        sources: [{ name: 'like', url: '', store: believing(database.store(name), () => world.relayOf(name).id) }],
      });
    }
    for (let round = 0; round < 30; round++) {
      world.insertRounds(1);
      for (const one of world.relays) one.nudge('like');
      await clock.advance(100);
    }
    for (const key of keys) expect(kafka.versionsOf(key)).toEqual(versionsUpTo(kafka.versionsOf(key).length));
    expect(kafka.log.length + database.pending.size).toBe(16 * 30);
  });

  it('gives a bucket back also where it is told to while it begins', async () => {
    kafka.latencyMs = 1_000;
    await world.started('a');
    const second = await world.started('b');
    const ofSecond = () => database.leases.filter(({ bucket }) => database.ownerOf(bucket) === second.id).length;
    await clock.until(() => ofSecond() === 4, 10_000);
  });

  it('refuses a positions topic with other partitions than the database has buckets', async () => {
    kafka.positions = 4;
    const one = createRelay({
      sources: [{ name: 'like', url: '', store: database.store('a') }],
      kafka: kafka.port(),
      delivery: 'exactly-once',
      clock,
    });
    const refused = one.start().catch((error: unknown) => error);
    await clock.advance(5_000);
    expect(await refused).toMatchObject({
      code: 'RELAY_CONFIG_INVALID',
      message: 'Topic hotboard.like.positions has 4 partitions; source like is set to 8.',
    });
  });

  it('refuses a client that has no transactions', () => {
    const { transactionalPublisher, ...withoutTransactions } = kafka.port();
    const make = () =>
      createRelay({
        sources: [{ name: 'like', url: '', store: database.store('a') }],
        kafka: withoutTransactions,
        delivery: 'exactly-once',
      });
    expect(make).toThrow("The relay's delivery is exactly-once; its kafka must have transactionalPublisher too.");
  });

  it.each(Array.from({ length: 12 }, (_, index) => index + 1))(
    'has each event once and in order when any answer may be lost and relays die or are stopped (seed %i)',
    async (seed) => {
      let state = seed * 7919;
      const random = () => {
        state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
        return state / 0x7fffffff;
      };
      const pick = <Item>(...items: Item[]) => items[Math.floor(random() * items.length)]!;
      kafka.transactions.namesFailures = seed % 2 === 0;
      kafka.transactions.lateMs = 200 + seed * 250;
      database.fault = () => (random() < 0.05 ? pick('refused' as const, 'answer lost') : null);
      database.slowMs = (_, call) => (random() < 0.05 ? (call === 'delete' ? 1_500 : 300) : 0);
      kafka.fault = () => (random() < 0.02 ? 'not stored' : null);
      kafka.transactions.fault = () =>
        random() < 0.1 ? pick('committed, unknown' as const, 'open, unknown', 'late, unknown') : null;
      const names = ['r0', 'r1', 'r2'];
      for (const name of names) void world.started(name);
      for (let round = 0; round < 60; round++) {
        world.insertRounds(1);
        world.relays[round % world.relays.length]?.nudge('like');
        await clock.advance(100);
        if (round === 15) world.kill('r1');
        if (round === 25) void world.started('r3');
        if (round === 40) world.kill('r0');
      }
      kafka.fault = () => null;
      kafka.transactions.fault = () => null;
      database.slowMs = () => 0;
      database.fault = (name) => (name === 'r0' || name === 'r1' ? 'hangs undone' : null);
      await clock.until(drained, 120_000);
      await clock.advance(10_000);
      expectOnceInOrder(60);
    },
  );
});
