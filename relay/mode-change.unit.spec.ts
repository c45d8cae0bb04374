import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { keys, RelayWorld, versionsUpTo } from './testing/relay-world.ts';

let world: RelayWorld;
let clock: RelayWorld['clock'];
let kafka: RelayWorld['kafka'];
beforeEach(() => {
  world = new RelayWorld({ delivery: 'exactly-once', retry: { firstMs: 50, longestMs: 1_000 } });
  ({ clock, kafka } = world);
});
afterEach(() => world.end());

const drained = () => world.drained();

describe('a change of the delivery mode while relays of both run', () => {
  it.each(['at-least-once', 'exactly-once'] as const)('from %s keeps the order and loses nothing', async (before) => {
    const after = before === 'at-least-once' ? 'exactly-once' : 'at-least-once';
    await world.started('old1', { delivery: before });
    await world.started('old2', { delivery: before });
    const rounds = async (count: number) => {
      for (let round = 0; round < count; round++) {
        world.insertRounds(1);
        for (const one of world.relays) one.nudge('like');
        await clock.advance(100);
      }
    };
    await rounds(20);
    await world.started('new1', { delivery: after });
    await rounds(20);
    world.kill('old1'); // with work in flight
    await rounds(20);
    const stopping = world.relayOf('old2').stop();
    await world.started('new2', { delivery: after });
    await rounds(20);
    await stopping;
    await clock.until(drained, 20_000);
    for (const key of keys) expect(kafka.firstAppearances(key)).toEqual(versionsUpTo(80));
  });
});
