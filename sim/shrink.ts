import type { Invariant } from './checker.ts';
import type { Plan } from './plan.ts';
import { type Outcome, run } from './run.ts';

export interface Shrunk {
  plan: Plan;
  outcome: Outcome;
  tries: number;
}

/** Counts for nothing while shrinking: a small run is meant to be empty. */
export const anySize = { minimumOk: 0, minimumFaults: 0 };

/**
 * The smallest plan found that still breaks the same invariant: faults are left out first, then changes, in ever smaller
 * pieces. `mostTries`: runs at most; `runOf`: how a plan is run.
 */
export async function shrink(plan: Plan, invariant: Invariant, mostTries = 150, runOf = run): Promise<Shrunk> {
  let best: Shrunk = { plan, outcome: await runOf(plan, anySize), tries: 1 };
  const fails = async (candidate: Plan): Promise<boolean> => {
    best.tries++;
    const outcome = await runOf(candidate, anySize);
    if (!outcome.violations.some((violation) => violation.invariant === invariant)) return false;
    best = { plan: candidate, outcome, tries: best.tries };
    return true;
  };
  const reduce = async <Item>(listOf: (plan: Plan) => readonly Item[], withList: (list: readonly Item[]) => Plan) => {
    for (let size = Math.ceil(listOf(best.plan).length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      for (let at = 0; at < listOf(best.plan).length && best.tries < mostTries; ) {
        const list = listOf(best.plan);
        if (!(await fails(withList([...list.slice(0, at), ...list.slice(at + size)])))) at += size;
      }
    }
  };
  await reduce(
    ({ faults }) => faults,
    (faults) => ({ ...best.plan, faults }),
  );
  await reduce(
    ({ changes }) => changes,
    (changes) => ({ ...best.plan, changes }),
  );
  return best;
}
