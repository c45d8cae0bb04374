import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { partitionOf } from '../kafka/partitioner.ts';
import { createRelay, type Relay, type RelayOptions } from './relay.ts';
import { FakeDatabase } from './testing/fake-database.ts';
import { FakeKafka } from './testing/fake-kafka.ts';
import { VirtualClock } from './testing/virtual-clock.ts';

const leaseMs = 3_000;

let clock: VirtualClock;
let database: FakeDatabase;
let kafka: FakeKafka;
let relays: Relay[];

beforeEach(() => {
  clock = new VirtualClock();
  database = new FakeDatabase(clock);
  kafka = new FakeKafka(clock);
  relays = [];
});
afterEach(async () => {
  database.fault = () => null;
  kafka.fault = () => null;
  kafka.away = false;
  database.slowMs = () => 0;
  await stopAll(relays);
  expect(kafka.overlaps).toBe(0);
});

function relay(name: string, options: Partial<RelayOptions> = {}): Relay {
  const made = createRelay({
    id: name,
    sources: [{ name: 'like', url: 'unused', store: database.store(name) }],
    kafka: kafka.port(),
    leaseMs,
    batchSize: 50,
    clock,
    ...options,
  });
  relays.push(made);
  return made;
}

async function started(name: string, options: Partial<RelayOptions> = {}): Promise<Relay> {
  const made = relay(name, options);
  let up = false;
  const starting = made.start().then(() => {
    up = true;
  });
  await clock.until(() => up, 5_000);
  await starting;
  await clock.advance(50);
  return made;
}

async function stopAll(some: readonly Relay[]): Promise<void> {
  let stopped = false;
  const all = Promise.all(some.map((one) => one.stop())).then(() => {
    stopped = true;
  });
  await clock.until(() => stopped, 60_000);
  await all;
}

const keys = Array.from({ length: 16 }, (_, key) => key + 1);
const versionsUpTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
const drained = () => database.pending.size === 0;
const owners = () => new Set(database.leases.map(({ bucket }) => database.ownerOf(bucket)));
const ownedBy = (one: Relay) => database.leases.filter(({ bucket }) => database.ownerOf(bucket) === one.id).length;
const expectInOrderOnce = (count: number) => {
  for (const key of keys) {
    expect(kafka.versionsOf(key)).toEqual(versionsUpTo(count));
  }
};
const expectInOrder = (count: number) => {
  for (const key of keys) {
    expect(kafka.firstAppearances(key)).toEqual(versionsUpTo(count));
  }
};

describe('one relay', () => {
  it('forwards a backlog, each key in order and each event once', async () => {
    for (let round = 0; round < 40; round++) for (const key of keys) database.insert(key);
    await started('a');
    await clock.until(drained, 5_000);
    expectInOrderOnce(40);
  });

  it('sends nothing of a bucket while its former batch has no answer', async () => {
    for (const key of keys) database.insert(key, 100);
    kafka.latencyMs = 300;
    await started('a');
    await clock.until(drained, 20_000);
    expect(kafka.overlaps).toBe(0);
    expectInOrderOnce(100);
  });

  it('forwards a lower id that commits after a higher one was sent', async () => {
    await started('a');
    const late = database.begin(1);
    database.insert(9);
    await clock.until(drained, 5_000);
    expect(kafka.versionsOf(9)).toEqual([1]);
    late.commit();
    await clock.until(drained, 5_000);
    expect(kafka.versionsOf(1)).toEqual([1]);
  });

  it('sees new rows at a nudge at once, and without one within the idle poll', async () => {
    const one = await started('a', { longestPollMs: 2_000 });
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
    await started('a', { leaseMs: 5_000 });
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
    await started('a');
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
    const one = await started('a');
    const others = [9, 17, 25, 33, 41, 49].filter((key) => partitionOf(String(key), 12) !== failing); // same bucket
    for (let round = 0; round < 20; round++) {
      for (const key of [1, ...others]) database.insert(key);
      one.nudge('like', [1]);
      await clock.advance(100);
    }
    expect(others.length).toBeGreaterThan(3);
    for (const key of others) expect(kafka.versionsOf(key)).toEqual(versionsUpTo(20));
    expect((await statusOf(one)).sources[0]!.buckets[1]).toMatchObject({
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
    await started('a');
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
    await started('a');
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
    const one = await started('a');
    await clock.until(() => database.pending.size === 3, 10_000);
    expect(kafka.versionsOf(5)).toEqual([]);
    const bucket = (await statusOf(one)).sources[0]!.buckets[5]!;
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
    await started('a');
    await clock.until(drained, 30_000);
    expect(lost).toBeGreaterThan(3);
    expectInOrderOnce(200);
  });

  it('waits while the database is away, and goes on by itself', async () => {
    await started('a');
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
    const one = relay('a');
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
    const one = await started('a');
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
      relay('a', { buckets: 4 })
        .start()
        .catch((error) => error),
    ];
    kafka.partitions = 6;
    refusals.push(
      relay('b')
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
    const one = await started('a');
    database.insert(1);
    await clock.advance(3_333);
    await stopAll([one]);
    relays = [];
    expect(clock.pendingTimers).toBe(0);
    expect(owners()).toEqual(new Set([null]));
    expect(database.members.size).toBe(0);
  });
});

async function statusOf(one: Relay) {
  const asking = one.status();
  await clock.advance(10);
  return asking;
}

describe('several relays', () => {
  it.each([2, 3, 4])('share the buckets fairly: %i of them', async (count) => {
    const all: Relay[] = [];
    for (let index = 0; index < count; index++) all.push(await started(`r${index}`));
    await clock.advance(4_000);
    const shares = all.map(ownedBy);
    expect(shares.reduce((sum, share) => sum + share)).toBe(8);
    expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
  });

  it('gives a newcomer its share within two renewals, while events flow in order', async () => {
    const first = await started('a');
    const feeding = feed(15);
    const second = await started('b');
    expect(await clock.until(() => ownedBy(second) === 4 && ownedBy(first) === 4, (2 * leaseMs) / 3)).toBeLessThan(
      2_000,
    );
    await feeding();
    await clock.until(drained, 10_000);
    expectInOrderOnce(15);
  });

  it('hands over within a second when one stops', async () => {
    const first = await started('a');
    const second = await started('b');
    await clock.advance(5_000);
    const stopping = stopAll([first]);
    expect(await clock.until(() => ownedBy(second) === 8, 1_000)).toBeLessThan(1_000);
    await stopping;
  });

  it('takes over within the lease and two seconds when one dies', async () => {
    const first = await started('a');
    const second = await started('b');
    await clock.advance(5_000);
    kill('a');
    for (const key of keys) database.insert(key);
    const took = await clock.until(drained, leaseMs + 2_000);
    expect(took).toBeLessThan(leaseMs + 200);
    expect(ownedBy(second)).toBe(8);
    expect(ownedBy(first)).toBe(0);
  });

  it('says who took which bucket, and why', async () => {
    const lines: string[] = [];
    const log = (line: unknown) => void lines.push(String(line));
    const logger = { debug: log, info: log, warn: log, error: log };
    const first = await started('a', { logger });
    await started('b', { logger });
    await clock.advance(5_000);
    expect(lines[1]).toContain('like: mine from now on: 0 (term 1: nobody had it)');
    expect(lines.join('\n')).toMatch(/giving back [0-9, ]+ \(others have less than their share\)/);
    kill('a');
    await clock.advance(leaseMs + 1_000);
    expect(lines.at(-1)).toContain(`: the lease of ${first.id} ran out)`);
  });

  it('names each term once: no epoch of a bucket has two owners', async () => {
    for (let index = 0; index < 4; index++) {
      await started(`r${index}`);
      await clock.advance(1_500);
      if (index === 2) kill('r0');
    }
    await clock.advance(10_000);
    const names = database.terms.map(({ bucket, epoch }) => `${bucket}/${epoch}`);
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThan(12);
  });

  it('stops sending when its lease may be over, and does not delete what it did not send', async () => {
    const first = await started('a');
    await clock.advance(2_000);
    // Everything about leases hangs for the first one: as if it were cut off from the database's clock.
    let cut = true;
    database.fault = (relayName, call) =>
      cut && relayName === 'a' && ['heartbeat', 'renew', 'readLeases', 'acquire', 'release', 'leave'].includes(call)
        ? 'refused'
        : null;
    await clock.advance(leaseMs - 100);
    database.insert(1);
    first.nudge('like');
    await clock.advance(1_000);
    expect(kafka.log).toEqual([]);
    const second = await started('b');
    await clock.until(drained, 5_000);
    expect(ownedBy(second)).toBe(8);
    expect(database.deletes.every(({ relay: by }) => by === 'b')).toBe(true);
    cut = false;
    await clock.advance(5_000);
    expect(ownedBy(first)).toBe(4);
  });

  it('does not send what it fetched when its lease ran out meanwhile', async () => {
    const first = await started('a');
    await clock.advance(2_000);
    database.insert(1);
    database.slowMs = (name, call) => (name === 'a' && call === 'readFirst' ? 2 * leaseMs : 0);
    first.nudge('like');
    await clock.advance(10);
    database.fault = (name, call) => (name === 'a' && call !== 'readFirst' ? 'refused' : null);
    await clock.advance(3 * leaseMs);
    expect(kafka.log).toEqual([]);
    database.fault = () => null;
    database.slowMs = () => 0;
    await clock.until(drained, 10_000);
    expect(kafka.versionsOf(1)).toEqual([1]);
  });

  it('does not even look at its buckets while its lease is in doubt', async () => {
    const first = await started('a', { shortestPollMs: 100, longestPollMs: 100 });
    database.fault = (_relay, call) => (call === 'readLeases' || call === 'renew' ? 'refused' : null);
    await clock.advance(leaseMs);
    database.insert(1);
    database.calls.length = 0;
    first.nudge('like');
    await clock.advance(2_000);
    expect(database.calls.filter(({ call }) => ['readFirst', 'readHead', 'fetch'].includes(call))).toEqual([]);
  });

  it('reads single events of several buckets in one statement, and deletes them in fewer than one each', async () => {
    const relay = await started('a');
    await clock.advance(3_000);
    database.calls.length = 0;
    for (const key of keys) database.insert(key);
    relay.nudge('like');
    await clock.until(drained, 100);
    const calls = database.calls.filter(({ call }) => ['readFirst', 'readHead', 'fetch', 'delete'].includes(call));
    expect(calls.map(({ call }) => call)).toEqual(['readFirst', 'delete', 'delete']);
  });

  it('looks again by itself after a batch, for what came meanwhile without a nudge', async () => {
    const relay = await started('a', { shortestPollMs: 50 });
    kafka.latencyMs = 20;
    database.insert(1);
    relay.nudge('like');
    await clock.advance(10); // read and sent
    database.insert(1);
    await clock.until(drained, 200);
    expect(kafka.versionsOf(1)).toEqual([1, 2]);
  });

  it('gives a bucket back only when what it sent is answered and deleted', async () => {
    const first = await started('a');
    kafka.latencyMs = 1_200;
    database.slowMs = (_relay, call) => (call === 'delete' ? 300 : 0);
    for (const key of keys) database.insert(key, 3);
    first.nudge('like');
    const second = await started('b');
    await clock.advance(700);
    expect(kafka.log).toHaveLength(keys.length * 3); // arrived, not answered
    expect(ownedBy(second)).toBe(0);
    await clock.until(() => ownedBy(second) === 4, 5_000);
    await clock.until(drained, 20_000);
    expectInOrderOnce(3);
  });

  it('has one batch of a bucket without an answer, also where it lost the bucket and got it back meanwhile', async () => {
    await started('a');
    kafka.latencyMs = 20_000;
    for (const key of keys) database.insert(key);
    await clock.advance(3_000);
    database.fault = (_relay, call) => (call === 'renew' || call === 'readLeases' ? 'refused' : null);
    await clock.advance(2 * leaseMs);
    database.fault = () => null;
    await clock.advance(3_000);
    kafka.latencyMs = 2;
    await clock.until(drained, 40_000);
    expect(kafka.overlaps).toBe(0);
    expectInOrder(1);
  });

  it('loses nothing and keeps first appearances in order when every answer may be lost and relays die', async () => {
    let seed = 7;
    const random = () => {
      seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
      return seed / 0x7fffffff;
    };
    database.fault = () => (random() < 0.05 ? (random() < 0.5 ? 'refused' : 'answer lost') : null);
    kafka.fault = () => (random() < 0.1 ? (random() < 0.5 ? 'not stored' : 'stored, not acknowledged') : null);
    const all = [relay('r0'), relay('r1'), relay('r2')];
    for (const one of all) void one.start();
    for (let round = 0; round < 60; round++) {
      for (const key of keys) database.insert(key);
      all[round % 3]!.nudge('like');
      await clock.advance(100);
      if (round === 20) kill('r1');
      if (round === 40) {
        const more = relay('r3');
        void more.start();
      }
    }
    database.fault = (name) => (name === 'r1' ? 'hangs undone' : null);
    kafka.fault = () => null;
    await clock.until(drained, 60_000);
    expectInOrder(60);
  });

  it('says when work waits that nobody has', async () => {
    database.fault = (_relay, call) => (call === 'acquire' ? 'refused' : null);
    database.insert(3);
    const one = await started('a');
    await clock.advance(leaseMs + 1_900);
    expect(one.health().problems).toEqual([]);
    await clock.advance(6_000);
    expect(one.health().problems).toEqual(['like.3: work waits and nobody has it']);
    expect((await statusOf(one)).sources[0]!.buckets[3]).toMatchObject({ owner: null, abandoned: true });
    database.fault = () => null;
    await clock.advance(6_000);
    expect(one.health()).toEqual({ state: 'up', sources: { like: 'running' }, problems: [] });
  });
});

/** From now on the process of this relay is gone: none of its calls gets through. */
function kill(name: string): void {
  const before = database.fault;
  database.fault = (relayName, call) => (relayName === name ? 'hangs undone' : before(relayName, call));
}

/** Inserts one event for each key every 100 ms, `rounds` times. The answer waits for the end of it. */
function feed(rounds: number): () => Promise<void> {
  let left = rounds;
  const insert = () => {
    for (const key of keys) database.insert(key);
    if (--left > 0) clock.after(100, insert);
  };
  insert();
  return async () => {
    await clock.until(() => left === 0, 60_000);
  };
}

describe('options', () => {
  const store = () => database.store('x');

  it.each([
    [{ leaseMs: 100 }, "The relay's leaseMs is 100; allowed: a whole number from 500 to 3600000."],
    [{ batchSize: 0.5 }, "The relay's batchSize is 0.5; allowed: a whole number from 1 to 10000."],
    [
      { shortestPollMs: 900, longestPollMs: 100 },
      "The relay's shortestPollMs is 900; allowed: up to longestPollMs (100).",
    ],
    [{ delivery: 'once' as never }, 'The relay\'s delivery is "once"; allowed: at-least-once, exactly-once.'],
    [{ sources: [] }, "The relay's sources is []; allowed: a list with at least one source."],
    [
      { sources: [{ name: 'a b', url: 'x' }] },
      'The relay\'s source.name is "a b"; allowed: text like ^[A-Za-z0-9._-]{1,60}$.',
    ],
    [
      { sources: [{ name: 'a', url: 'mysql://h' }] },
      'The url of source a must be mysql://user:password@host:port/database.',
    ],
  ])('%j are refused with what is allowed', (options, message) => {
    expect(() => relay('a', options)).toThrow(message);
  });

  it('refuse a name that is there twice, and a rule without topics', () => {
    const twice = [
      { name: 'a', url: '', store: store() },
      { name: 'a', url: '', store: store() },
    ];
    expect(() => relay('a', { sources: twice })).toThrow('The relay\'s sources is "a"; allowed: each name once.');
    const none = [{ name: 'a', url: '', store: store(), topic: { names: [], choose: () => 't' } }];
    expect(() => relay('a', { sources: none })).toThrow('a list with at least one topic');
  });

  it('let a rule choose among topics, and stop at one that it did not name', async () => {
    let topic = 'even';
    const rule = {
      names: ['even', 'odd'],
      choose: ({ aggregateId }: { aggregateId: string }) => (Number(aggregateId) % 2 ? topic : 'even'),
    };
    const one = await started('a', { sources: [{ name: 'like', url: '', store: database.store('a'), topic: rule }] });
    topic = 'odd';
    for (const key of [1, 2]) database.insert(key);
    await clock.until(drained, 5_000);
    expect(kafka.log.map((message) => `${message.key} ${message.topic}`).sort()).toEqual(['1 odd', '2 even']);
    topic = 'elsewhere';
    database.insert(1);
    await clock.advance(5_000);
    expect(one.health().problems[0]).toContain('chose "elsewhere"; allowed: even, odd.');
    topic = 'odd';
    await clock.until(drained, 15_000);
  });
});
