import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Relay } from '../relay.ts';
import { RelayWorld } from '../testing/relay-world.ts';

/** The key whose event is refused. */
const bad = 1;

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

describe('what an operator asks for', () => {
  async function deadKey(): Promise<Relay> {
    world.refuse(bad, (version) => version === 1);
    database.insert(bad, 4);
    const relay = await world.started('a', { maxAttempts: 2 });
    await clock.until(() => database.blocked.rowsOf(String(bad), 'dead') === 4, 20_000);
    return relay;
  }
  const ask = (action: 'retry' | 'drop' | 'edit', payload?: string) =>
    database.blocked.request({
      keyHash: String(bad),
      action,
      rowId: '1',
      reason: 'why',
      ...(payload ? { payload } : {}),
    });

  it('is found by the poll where nobody nudges: a retry that fails again counts anew', async () => {
    await deadKey();
    await clock.advance(30_000);
    const before = world.refusals;
    const id = ask('retry');
    await clock.until(() => database.blocked.requests.get(id)!.outcome === 'done', 2_500);
    await clock.until(() => blocked()?.key.state === 'dead', 10_000);
    expect(world.refusals - before).toBe(2);
  });

  it('can be a retry that succeeds, and the key goes on in order', async () => {
    const relay = await deadKey();
    kafka.fault = () => null;
    ask('retry');
    relay.nudge('like', [bad]);
    expect(await clock.until(drained, 5_000)).toBeLessThan(1_000);
    expect(kafka.versionsOf(bad)).toEqual([1, 2, 3, 4]);
  });

  it('works where the relay did not hear that it was carried out', async () => {
    const relay = await deadKey();
    kafka.fault = () => null;
    let faults = 0;
    database.fault = (_relay, call) => (call === 'carryOut' && faults++ === 0 ? 'answer lost' : null);
    const id = ask('retry');
    relay.nudge('like', [bad]);
    await clock.until(drained, 30_000);
    expect([faults, database.blocked.requests.get(id)!.outcome]).toEqual([1, 'done']);
    expect(kafka.versionsOf(bad)).toEqual([1, 2, 3, 4]);
  });

  it('can be to drop or to edit the event', async () => {
    const relay = await deadKey();
    ask('drop');
    relay.nudge('like', [bad]);
    await clock.until(drained, 5_000);
    expect(kafka.log.map(({ headers }) => String(headers!.ce_type))).toEqual([
      'Skipped',
      ...Array(3).fill('ArticleLiked'),
    ]);
    database.insert(bad);
    world.refuse(bad, (version) => version === 5 && !kafka.log.length);
    relay.nudge('like', [bad]);
    await clock.until(drained, 5_000);
  });

  it('is refused where the event was sent meanwhile', async () => {
    await deadKey();
    kafka.fault = () => null;
    const retry = ask('retry');
    await clock.until(() => database.blocked.requests.get(retry)!.outcome === 'done', 5_000);
    await clock.until(() => blocked()?.key.state === 'unblocking', 5_000);
    const drop = ask('drop');
    await clock.until(() => database.blocked.requests.get(drop)!.outcome !== 'requested', 5_000);
    expect(database.blocked.requests.get(drop)!.outcome).toBe('refused');
    await clock.until(drained, 5_000);
    await clock.until(() => database.blocked.keys.size === 0, 5_000);
    expect(kafka.versionsOf(bad)).toEqual([1, 2, 3, 4]);
  });
});
