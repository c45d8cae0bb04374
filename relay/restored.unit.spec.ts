import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { positionMessage, sentRow } from './delivery/position.ts';
import { FakeDatabase } from './testing/fake-database.ts';
import { keys, RelayWorld, versionsUpTo } from './testing/relay-world.ts';

/** Of all events of the fake database. */
const day = '2026-01-01';

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

describe('exactly-once with the position of another life of the database', () => {
  it('deletes nothing by the position of a database that was there before', async () => {
    await world.started('a');
    world.insertRounds(5);
    await clock.until(drained, 5_000);
    world.kill('a');
    const before = kafka.log.length;
    database = world.database = new FakeDatabase(clock); // its ids begin at 1 again
    database.incarnation = '00000000-0000-4000-8000-000000000002';
    world.insertRounds(5);
    await world.started('b');
    await clock.until(drained, 20_000);
    expect(kafka.log.length - before).toBe(16 * 5);
    for (const key of keys) expect(kafka.versionsOf(key)).toEqual([...versionsUpTo(5), ...versionsUpTo(5)]);
  });

  it.each([
    ['a later term', { epoch: 9, owner: 'b/1' }],
    ['the same term of somebody else', { epoch: 1, owner: 'b/1' }],
  ])('neither sends nor deletes behind a position of %s, and says what to do', async (_, { epoch, owner }) => {
    const { incarnation } = database;
    database.insert(1);
    const place = { topic: 'hotboard.like.positions', partition: 1 };
    kafka.transactions.leave(
      positionMessage(place, idOf(1), {
        incarnation,
        epoch,
        owner,
        rows: [sentRow({ id: '1', day }, database.events.get('1')!)],
      }),
    );
    const one = await world.started('a');
    database.insert(2);
    one.nudge('like');
    await clock.advance(10_000);
    expect(kafka.versionsOf(1)).toEqual([]);
    expect(kafka.versionsOf(2)).toEqual([1]); // the other buckets work
    expect(database.deletes.flatMap(({ ids }) => ids)).toEqual(['2']);
    expect(one.health().problems).toEqual([expect.stringMatching(/like\.1: RELAY_POSITION_LATER .*new incarnation/)]);
    database.incarnation = '00000000-0000-4000-8000-000000000003';
    await clock.until(drained, 5_000);
    expect(kafka.versionsOf(1)).toEqual([1]);
  });

  it('deletes nothing of a restored database that gives the same ids to other events', async () => {
    const { incarnation } = database;
    world.insertRounds(3);
    const rows = Array.from({ length: 48 }, (_, index) => ({ id: String(index + 1), day, check: 'restored' }));
    for (let bucket = 0; bucket < 8; bucket++) {
      const place = { topic: 'hotboard.like.positions', partition: bucket };
      kafka.transactions.leave(positionMessage(place, idOf(bucket), { incarnation, epoch: 0, owner: 'x', rows }));
    }
    await world.started('a');
    await clock.until(drained, 5_000);
    expectOnceInOrder(3);
  });
});
