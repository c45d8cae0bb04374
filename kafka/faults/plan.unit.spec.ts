import { describe, expect, it } from '@jest/globals';
import { memberFaults, networkFaults, planFaults, serverFaults } from './plan.ts';

describe('the plan of faults', () => {
  it('is the same for the same seed, and another for another one', () => {
    expect(planFaults(1, { rounds: 2 })).toEqual(planFaults(1, { rounds: 2 }));
    expect(planFaults(1, { rounds: 2 })).not.toEqual(planFaults(2, { rounds: 2 }));
  });

  it('has every fault in each round, of one broker at a time', () => {
    const plan = planFaults(7, { rounds: 3 });
    for (let round = 0; round < 3; round++) {
      const part = <Item>(items: readonly Item[], all: readonly unknown[]) =>
        items.slice(round * all.length, (round + 1) * all.length);
      expect(part(plan.servers, serverFaults).map(({ fault }) => fault)).toEqual(
        expect.arrayContaining([...serverFaults]),
      );
      expect(part(plan.network, networkFaults).map(({ fault }) => fault)).toEqual(
        expect.arrayContaining([...networkFaults]),
      );
      expect(part(plan.members, memberFaults).map(({ fault }) => fault)).toEqual(
        expect.arrayContaining([...memberFaults]),
      );
    }
    for (const { broker } of plan.servers) expect([0, 1, 2]).toContain(broker);
  });
});
