import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { partitionOf } from '../../kafka/partitioner.ts';
import type { StoreCall } from '../testing/fake-database.ts';
import { FakeDatabase } from '../testing/fake-database.ts';
import { FakeKafka } from '../testing/fake-kafka.ts';
import { RelayWorld, versionsUpTo } from '../testing/relay-world.ts';
import { afterFailure } from './decide.ts';

/** Keys of one bucket (8 buckets); the first one is the bad one. */
const bad = 1;
const others = [9, 17, 25, 33];

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
const blocked = () => database.blocked.keys.get(String(bad));
const sentOf = (keys: readonly number[]) => keys.reduce((sum, key) => sum + kafka.versionsOf(key).length, 0);

describe('a key whose event is refused', () => {
  it('holds up no other key, however many rows are behind it, and its rows are put aside', async () => {
    world.refuse(bad);
    database.insert(bad, 6_000);
    for (const key of others) database.insert(key, 10);
    await world.started('a', { headRows: 100 });
    expect(await clock.until(() => sentOf(others) === 40, 2_000)).toBeLessThan(1_000);
    await clock.until(() => database.blocked.rowsOf(String(bad), 'blocked') === 6_000, 5_000);
    expect(database.blocked.rowsOf(String(bad), 'pending')).toBe(0);
  });

  it('has the rows that come later put aside as well, and all come back in order', async () => {
    world.refuse(bad);
    database.insert(bad, 5);
    const relay = await world.started('a');
    await clock.until(() => blocked() !== undefined, 1_000);
    for (let round = 0; round < 10; round++) {
      database.insert(bad, 3);
      relay.nudge('like', [bad]);
      await clock.advance(700);
      expect(database.blocked.rowsOf(String(bad), 'pending')).toBe(0);
    }
    kafka.fault = () => null;
    database.insert(bad, 4);
    await clock.until(drained, 30_000);
    expect(kafka.versionsOf(bad)).toEqual(versionsUpTo(39));
    expect(database.blocked.keys.size).toBe(0);
  });

  it('keeps its order where rows arrive while the others are on their way back', async () => {
    world.refuse(bad);
    database.insert(bad, 5_000);
    const relay = await world.started('a');
    await clock.until(() => database.blocked.rowsOf(String(bad), 'blocked') === 5_000, 5_000);
    kafka.fault = () => null;
    await clock.until(() => blocked()?.key.state === 'unblocking', 30_000);
    for (let round = 0; round < 40; round++) {
      database.insert(bad);
      relay.nudge('like', [bad]);
      await clock.advance(2);
    }
    await clock.until(drained, 30_000);
    expect(kafka.versionsOf(bad)).toEqual(versionsUpTo(5_040));
  });

  it('comes back only when the delete of what was sent of it is committed', async () => {
    world.refuse(bad);
    database.insert(bad, 5);
    await world.started('a');
    await clock.until(() => database.blocked.rowsOf(String(bad), 'blocked') === 5, 5_000);
    kafka.fault = () => null;
    database.slowMs = (_relay, call) => (call === 'delete' ? 700 : 0);
    await clock.until(() => database.blocked.rowsOf(String(bad), 'pending') > 0, 20_000);
    expect(database.pending.has(1)).toBe(false);
    await clock.until(drained, 10_000);
    expect(kafka.versionsOf(bad)).toEqual([1, 2, 3, 4, 5]);
  });

  it.each(['at-least-once', 'exactly-once'] as const)(
    'is held up by its first unsent event only: what was refused behind that counts no attempt (%s)',
    async (delivery) => {
      world.refuse(bad, (version) => version === 4 || version === 6);
      database.insert(bad, 8);
      for (const key of others) database.insert(key, 8);
      const relay = await world.started('a', { delivery, maxAttempts: 1 });
      expect(await clock.until(() => blocked()?.key.state === 'dead', 5_000)).toBeLessThan(500);
      expect(blocked()!.key).toMatchObject({ rowId: '4', attempts: 1 });
      expect(kafka.versionsOf(bad)).toEqual([1, 2, 3]);
      await clock.until(() => database.blocked.rowsOf(String(bad), 'dead') === 5, 5_000);
      expect(sentOf(others)).toBe(32);
      world.refuse(bad, (version) => version === 6);
      database.blocked.request({ keyHash: String(bad), action: 'retry', rowId: '4', reason: 'why' });
      relay.nudge('like', [bad]);
      await clock.until(() => blocked()?.key.rowId === '6', 5_000);
      expect(kafka.versionsOf(bad)).toEqual([1, 2, 3, 4, 5]);
    },
  );

  it('is not held up by an event that is missing while an earlier one is unsent', async () => {
    database.insert(bad, 3);
    database.events.delete('2');
    kafka.away = true;
    await world.started('a', { maxAttempts: 1 });
    await clock.advance(3_000);
    expect(blocked()).toBeUndefined();
    kafka.away = false;
    await clock.until(() => blocked()?.key.state === 'dead', 15_000);
    expect(kafka.versionsOf(bad)).toEqual([1]);
    expect(blocked()!.key).toMatchObject({ rowId: '2', errorCode: 'EVENT_MISSING' });
  });

  it('counts several refused events of one batch as one attempt, waits longer each time, and is dead at the limit', async () => {
    world.refuse(bad);
    database.insert(bad, 20);
    const relay = await world.started('a', { maxAttempts: 4, retry: { firstMs: 100, longestMs: 1_000 } });
    await clock.until(() => blocked()?.key.attempts === 1, 1_000);
    expect((await world.statusOf(relay)).keys).toMatchObject([
      { key: '1', state: 'blocked', attempts: 1, errorCode: 'KAFKA_MESSAGE_TOO_LARGE', rowId: '1' },
    ]);
    const waits: number[] = [];
    for (const attempt of [2, 3, 4]) waits.push(await clock.until(() => blocked()?.key.attempts === attempt, 10_000));
    expect(waits[1]! / waits[0]!).toBeCloseTo(2, 0);
    await clock.advance(60_000);
    expect(world.refusals).toBe(4);
    expect(await world.statusOf(relay)).toMatchObject({ backlog: { dead: 20, deadKeys: 1, blockedKeys: 0 } });
    expect(relay.health().problems).toContain('like: 1 dead keys wait for an operator (relay.status, outbox.list)');
  });

  it('has its event replaced at the limit where keys are to go on, and the others follow in order', async () => {
    world.refuse(bad, (version) => version === 2);
    database.insert(bad, 5);
    await world.started('a', { maxAttempts: 3, deadPolicy: 'skip-key' });
    await clock.until(drained, 60_000);
    expect(kafka.versionsOf(bad)).toEqual([1, 2, 3, 4, 5]);
    expect(kafka.log.filter(({ headers }) => String(headers!.ce_type) === 'Skipped')).toHaveLength(1);
    expect(database.blocked.skipped).toMatchObject([{ rowId: '2', reason: expect.stringContaining('failed 3 times') }]);
  });

  it('is dead where even the event that stands for the skipped one is refused', () => {
    const settings = { maxAttempts: 3, deadPolicy: 'skip-key', retry: { firstMs: 1, longestMs: 9 } } as const;
    expect(afterFailure(2, 'ArticleLiked', settings)).toEqual({ become: 'blocked', pauseMs: 2 });
    expect(afterFailure(3, 'ArticleLiked', settings)).toEqual({ become: 'skipped' });
    expect(afterFailure(3, 'Skipped', settings)).toEqual({ become: 'dead' });
    expect(afterFailure(3, 'ArticleLiked', { ...settings, deadPolicy: 'block-key' })).toEqual({ become: 'dead' });
  });

  it('goes on counting after a takeover, and waits for the time that the former owner has set', async () => {
    world.refuse(bad);
    database.insert(bad, 3);
    await world.started('a', { maxAttempts: 6 });
    await clock.until(() => blocked()?.key.attempts === 4, 60_000); // the next one is 8 s away
    world.kill('a');
    await world.started('b', { maxAttempts: 6 });
    await clock.advance(4_500);
    expect(blocked()!.key.attempts).toBe(4);
    await clock.until(() => blocked()?.key.attempts === 5, 8_000);
    await clock.until(() => blocked()?.key.state === 'dead', 60_000);
    expect(world.refusals).toBe(6);
  });

  it.each(['at-least-once', 'exactly-once'] as const)(
    'is in order whatever step of blocking and bringing back its owner dies in (%s)',
    async (delivery) => {
      const faults = ['hangs undone', 'hangs done'] as const;
      const steps: StoreCall[] = ['saveBlocked', 'moveRows', 'firstBlockedRows', 'forgetBlocked', 'delete'];
      for (const step of steps) {
        for (const at of [1, 2]) {
          for (const fault of delivery === 'exactly-once' ? (['hangs done'] as const) : faults) {
            database = world.database = new FakeDatabase(clock);
            kafka = world.kafka = new FakeKafka(clock);
            let calls = 0;
            let dead = false;
            database.fault = (relay, call) => {
              if (relay !== 'a') return null;
              if (dead) return 'hangs undone';
              if (call !== step || ++calls < at) return null;
              dead = true;
              kafka.transactions.kill('a');
              return fault;
            };
            world.refuse(bad);
            database.insert(bad, 2_020);
            const first = await world.started('a', { delivery, stopTimeoutMs: 10 });
            await clock.advance(1_500);
            kafka.fault = () => null;
            database.insert(bad, 10);
            const second = await world.started('b', { delivery });
            await clock.until(drained, 60_000);
            const inTopic = delivery === 'exactly-once' ? kafka.versionsOf(bad) : kafka.firstAppearances(bad);
            expect(inTopic).toEqual(versionsUpTo(2_030));
            await clock.until(() => database.blocked.keys.size === 0, 5_000);
            let stopped = 0;
            for (const relay of [first, second]) void relay.stop().then(() => stopped++);
            await clock.until(() => stopped === 2, 30_000);
            world.relays.length = 0;
          }
        }
      }
    },
  );

  it('changes nothing of its bucket when the term is over', async () => {
    world.refuse(bad);
    database.insert(bad, 3);
    let taken = false;
    database.fault = (_relay, call) => {
      if (call === 'saveBlocked' && !taken) {
        taken = true;
        Object.assign(database.leases[bad]!, { owner: 'somebody', epoch: 9, expiresMs: clock.monotonicMs() + 2_000 });
      }
      return null;
    };
    await world.started('a');
    await clock.until(() => taken, 1_000);
    await clock.advance(1_500);
    expect(database.blocked.keys.size).toBe(0);
    await clock.until(() => blocked() !== undefined, 10_000); // in a term of its own
  });
});

describe('a partition that fails', () => {
  it('does not stall the others of its buckets, however many rows and keys of it are at the head', async () => {
    const failing = partitionOf(String(bad), 12);
    kafka.fault = (partition) => (partition === failing ? 'not stored' : null);
    const candidates = Array.from({ length: 4_000 }, (_, index) => bad + 8 * index);
    const held = candidates.filter((key) => partitionOf(String(key), 12) === failing).slice(0, 200);
    const free = candidates.filter((key) => partitionOf(String(key), 12) !== failing).slice(0, 5);
    for (const key of held) database.insert(key, 10);
    for (const key of free) database.insert(key, 2);
    await world.started('a', { headRows: 100 });
    expect(await clock.until(() => sentOf(free) === 10, 5_000)).toBeLessThan(2_000);
    kafka.fault = () => null;
    await clock.until(drained, 30_000);
    for (const key of held) expect(kafka.versionsOf(key)).toEqual(versionsUpTo(10));
  });
});
