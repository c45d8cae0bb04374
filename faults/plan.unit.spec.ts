import { describe, expect, it } from '@jest/globals';
import { titles } from './kinds/titles.ts';
import { neededOf, planOf, relayKills } from './plan.ts';

const kindsOf = (seed: number) =>
  planOf('full', seed).stages.flatMap(({ slots }) => slots.flatMap((slot) => slot.kinds));

describe('the plan of a fault run', () => {
  it('is the same for the same seed and another one for another seed', () => {
    expect(planOf('full', 7)).toEqual(planOf('full', 7));
    expect(kindsOf(7)).not.toEqual(kindsOf(8));
  });

  it.each([1, 2, 3, 99])(
    'has every kind of fault in a full run, with at least ten kills of a relay (seed %d)',
    (seed) => {
      expect(new Set(kindsOf(seed))).toEqual(new Set(Object.keys(titles)));
      const kills = planOf('full', seed)
        .stages.flatMap(({ slots }) => slots)
        .filter(({ kinds }) => kinds.length === 1 && kinds[0] === 'relay-killed')
        .reduce((sum, { repeats }) => sum + repeats, 0);
      expect(kills).toBeGreaterThanOrEqual(relayKills);
    },
  );

  it('has one broker first, then three, in a full run, with different pairs of faults, and goes on for as many changes as are wanted', () => {
    const { stages, minimumOk } = planOf('full', 5);
    expect(stages.map(({ kafkaNodes }) => kafkaNodes)).toEqual([1, 3]);
    const pairs = stages[0]!.slots.filter(({ kinds }) => kinds.length === 2).map(({ kinds }) => kinds.join());
    expect(new Set(pairs).size).toBe(4);
    expect(minimumOk).toBe(10_000);
    expect(stages.reduce((sum, { changes }) => sum + changes, 0)).toBeGreaterThanOrEqual(minimumOk);
  });

  it('ends a short run with the restart of every node, after each simple fault once', () => {
    const { slots } = planOf('short', 3).stages[0]!;
    expect(slots.map(({ number }) => number)).toEqual(slots.map((_, index) => index + 1));
    expect(slots.at(-1)!.kinds).toEqual(['rolling-restart']);
    expect(new Set(slots.flatMap(({ kinds }) => kinds)).size).toBe(slots.length);
  });

  it('draws other sets of faults for each round of a soak', () => {
    const rounds = [1, 2, 3, 4].map((seed) => JSON.stringify(planOf('soak', seed).stages[0]!.slots));
    expect(new Set(rounds).size).toBe(4);
  });

  it('wants every time measured that its faults can show, and no other', () => {
    expect(neededOf(planOf('full', 3))).toMatchObject({ 'relay-killed': relayKills, 'consumer-stopped': 1 });
    expect(neededOf(planOf('short', 3))).toMatchObject({ 'relay-killed': 1, 'consumer-stopped': 0 });
    const soak = planOf('soak', 3);
    const kinds = new Set(soak.stages.flatMap(({ slots }) => slots.flatMap((slot) => slot.kinds)));
    for (const [kind, needed] of Object.entries(neededOf(soak)))
      expect([kind, needed > 0]).toEqual([kind, kinds.has(kind as never)]);
  });
});
