import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Relay } from './relay.ts';
import { keys, leaseMs, RelayWorld, versionsUpTo } from './testing/relay-world.ts';

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
const expectInOrderOnce = (count: number) => {
  for (const key of keys) expect(kafka.versionsOf(key)).toEqual(versionsUpTo(count));
};
const expectInOrder = (count: number) => {
  for (const key of keys) expect(kafka.firstAppearances(key)).toEqual(versionsUpTo(count));
};

describe('several relays', () => {
  it.each([2, 3, 4])('share the buckets fairly: %i of them', async (count) => {
    const all: Relay[] = [];
    for (let index = 0; index < count; index++) all.push(await world.started(`r${index}`));
    await clock.advance(4_000);
    const shares = all.map((relay) => world.ownedBy(relay));
    expect(shares.reduce((sum, share) => sum + share)).toBe(8);
    expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
  });

  it('gives a newcomer its share within two renewals, while events flow in order', async () => {
    const first = await world.started('a');
    const feeding = feed(15);
    const second = await world.started('b');
    expect(
      await clock.until(() => world.ownedBy(second) === 4 && world.ownedBy(first) === 4, (2 * leaseMs) / 3),
    ).toBeLessThan(2_000);
    await feeding();
    await clock.until(drained, 10_000);
    expectInOrderOnce(15);
  });

  it('hands over within a second when one stops', async () => {
    const first = await world.started('a');
    const second = await world.started('b');
    await clock.advance(5_000);
    const stopping = world.stop([first]);
    expect(await clock.until(() => world.ownedBy(second) === 8, 1_000)).toBeLessThan(1_000);
    await stopping;
  });

  it('takes over within the lease and two seconds when one dies', async () => {
    const first = await world.started('a');
    const second = await world.started('b');
    await clock.advance(5_000);
    world.kill('a');
    for (const key of keys) database.insert(key);
    const took = await clock.until(drained, leaseMs + 2_000);
    expect(took).toBeLessThan(leaseMs + 200);
    expect(world.ownedBy(second)).toBe(8);
    expect(world.ownedBy(first)).toBe(0);
  });

  it('says who took which bucket, and why', async () => {
    const lines: string[] = [];
    const log = (line: unknown) => void lines.push(String(line));
    const logger = { debug: log, info: log, warn: log, error: log };
    const first = await world.started('a', { logger });
    await world.started('b', { logger });
    await clock.advance(5_000);
    expect(lines[1]).toContain('like: mine from now on: 0, 1, 2, 3, 4, 5, 6, 7 (term 1: nobody had it)');
    expect(lines.join('\n')).toMatch(/giving back [0-9, ]+ \(others have less than their share\)/);
    world.kill('a');
    await clock.advance(leaseMs + 1_000);
    expect(lines.at(-1)).toMatch(
      new RegExp(`mine from now on: [0-9, ]+ \\(terms? [0-9, ]+: the lease of ${first.id} ran out\\)\\.$`),
    );
  });

  it('names each term once: no epoch of a bucket has two owners', async () => {
    for (let index = 0; index < 4; index++) {
      await world.started(`r${index}`);
      await clock.advance(1_500);
      if (index === 2) world.kill('r0');
    }
    await clock.advance(10_000);
    const names = database.terms.map(({ bucket, epoch }) => `${bucket}/${epoch}`);
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThan(12);
  });

  it('stops sending when its lease may be over, and does not delete what it did not send', async () => {
    const first = await world.started('a');
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
    const second = await world.started('b');
    await clock.until(drained, 5_000);
    expect(world.ownedBy(second)).toBe(8);
    expect(database.deletes.every(({ relay: by }) => by === 'b')).toBe(true);
    cut = false;
    await clock.advance(5_000);
    expect(world.ownedBy(first)).toBe(4);
  });

  it('does not send what it fetched when its lease ran out meanwhile', async () => {
    const first = await world.started('a');
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
    const first = await world.started('a', { shortestPollMs: 100, longestPollMs: 100 });
    database.fault = (_relay, call) => (call === 'readLeases' || call === 'renew' ? 'refused' : null);
    await clock.advance(leaseMs);
    database.insert(1);
    database.calls.length = 0;
    first.nudge('like');
    await clock.advance(2_000);
    expect(database.calls.filter(({ call }) => ['readFirst', 'readHead', 'fetch'].includes(call))).toEqual([]);
  });

  it('reads single events of several buckets in one statement, and deletes them in fewer than one each', async () => {
    const relay = await world.started('a');
    await clock.advance(3_000);
    database.calls.length = 0;
    for (const key of keys) database.insert(key);
    relay.nudge('like');
    await clock.until(drained, 100);
    const calls = database.calls.filter(({ call }) => ['readFirst', 'readHead', 'fetch', 'delete'].includes(call));
    expect(calls.map(({ call }) => call)).toEqual(['readFirst', 'delete', 'delete']);
  });

  it('looks again by itself after a batch, for what came meanwhile without a nudge', async () => {
    const relay = await world.started('a', { shortestPollMs: 50 });
    kafka.latencyMs = 20;
    database.insert(1);
    relay.nudge('like');
    await clock.advance(10); // read and sent
    database.insert(1);
    await clock.until(drained, 200);
    expect(kafka.versionsOf(1)).toEqual([1, 2]);
  });

  it('gives a bucket back only when what it sent is answered and deleted', async () => {
    const first = await world.started('a');
    kafka.latencyMs = 1_200;
    database.slowMs = (_relay, call) => (call === 'delete' ? 300 : 0);
    for (const key of keys) database.insert(key, 3);
    first.nudge('like');
    const second = await world.started('b');
    await clock.advance(700);
    expect(kafka.log).toHaveLength(keys.length * 3); // arrived, not answered
    expect(world.ownedBy(second)).toBe(0);
    await clock.until(() => world.ownedBy(second) === 4, 5_000);
    await clock.until(drained, 20_000);
    expectInOrderOnce(3);
  });

  it('has one batch of a bucket without an answer, also where it lost the bucket and got it back meanwhile', async () => {
    await world.started('a');
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
    const all = [world.relay('r0'), world.relay('r1'), world.relay('r2')];
    for (const one of all) void one.start();
    for (let round = 0; round < 60; round++) {
      for (const key of keys) database.insert(key);
      all[round % 3]!.nudge('like');
      await clock.advance(100);
      if (round === 20) world.kill('r1');
      if (round === 40) {
        const more = world.relay('r3');
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
    const one = await world.started('a');
    await clock.advance(leaseMs + 1_900);
    expect(one.health().problems).toEqual([]);
    await clock.advance(6_000);
    expect(one.health().problems).toEqual(['like.3: work waits and nobody has it']);
    expect((await world.statusOf(one)).buckets[3]).toMatchObject({ owner: null, abandoned: true });
    database.fault = () => null;
    await clock.advance(6_000);
    expect(one.health()).toEqual({ state: 'up', sources: { like: 'running' }, problems: [] });
  });
});

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
