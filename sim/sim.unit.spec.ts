import { describe, expect, it } from '@jest/globals';
import { fullSize as full, runInThreads, runSeeds } from './batch.ts';
import { planOf } from './plan.ts';
import { Random } from './random.ts';
import { run } from './run.ts';
import { shrink } from './shrink.ts';
import { story } from './story.ts';
import { World } from './world.ts';

describe('the simulator', () => {
  it('finds nothing wrong with the outbox, the relay and the inbox in 20 seeded runs', async () => {
    const decisions = new Set<string>();
    for (let seed = 1; seed <= 20; seed++) {
      const plan = planOf(seed);
      const outcome = await run(plan, full);
      if (outcome.violations.length > 0) throw new Error(story(plan, outcome));
      for (const name of outcome.met.keys()) decisions.add(name);
    }
    // Runs that never come to these decisions prove little.
    expect([...decisions]).toEqual(
      expect.arrayContaining([
        'inbox events applied',
        'inbox events duplicate',
        'inbox events stale',
        'inbox events early',
        'inbox dead_letters handler',
        'inbox retries conflict',
        'inbox retries away',
        'relay publishFailures KAFKA_NOT_ACKNOWLEDGED',
        'relay publishFailures KAFKA_MESSAGE_TOO_LARGE',
        'relay errors KAFKA_COMMIT_UNKNOWN',
      ]),
    );
  }, 360_000);

  it('runs the same way for the same seed, and another way for another', async () => {
    const first = await run(planOf(7), full);
    const again = await run(planOf(7), full);
    const other = await run(planOf(8), full);
    expect(again.hash()).toBe(first.hash());
    expect(other.hash()).not.toBe(first.hash());
  });

  it('comes to the same in several threads as in one', async () => {
    const inOne = await runSeeds({ first: 21, runs: 3, step: 1 });
    expect(await runInThreads(21, 3, 2)).toEqual(inOne);
    expect(inOne.leastChanges).toBeGreaterThanOrEqual(300);
  });

  it('shrinks a failing run to the faults and changes that it needs, and tells it in words', async () => {
    const plan = planOf(3);
    const violation = { invariant: 'no loss', detail: 'version 1 of 4 was lost', aggregate: '4' } as const;
    const outcome = await run(plan, full);
    const needs = [plan.faults[2]!, plan.faults[5]!];
    const runOf = async ({ faults, changes }: typeof plan) => {
      const fails = needs.every((fault) => faults.includes(fault)) && changes.includes(plan.changes[17]!);
      return { ...outcome, violations: fails ? [violation] : [] };
    };
    const shrunk = await shrink(plan, 'no loss', 500, runOf);
    expect(shrunk.plan.faults).toEqual(needs);
    expect(shrunk.plan.changes).toEqual([plan.changes[17]]);
    const told = story(shrunk.plan, shrunk.outcome);
    expect(told).toContain('Broken: no loss');
    expect(told).toContain(`  ${needs[0]!.kind}`);
    expect(told).toMatch(/at \d+\.\d{3} s relay-\d\.\d sends .*version \d+ of 4/);
    expect(told.split('\n').length).toBeLessThan(60);
  });
});

describe('virtual time', () => {
  it('runs what is due in order, with all that follows from it, before it moves on', async () => {
    const world = new World(new Random(1));
    const seen: string[] = [];
    world.after(5, () => seen.push(`b ${world.nowMs}`));
    world.after(2, async () => {
      seen.push(`a ${world.nowMs}`);
      await Promise.resolve();
      await Promise.resolve();
      seen.push(`a went on ${world.nowMs}`);
      world.after(1, () => seen.push(`c ${world.nowMs}`));
    });
    world.after(3, () => seen.push('never'))();
    expect(await world.run(100, () => false)).toBe(false);
    expect(seen).toEqual(['a 2', 'a went on 2', 'c 3', 'b 5']);
  });
});
