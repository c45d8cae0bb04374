import { Worker } from 'node:worker_threads';
import type { Violation } from './checker.ts';
import type { Met } from './faults.ts';
import { planOf } from './plan.ts';
import { type Outcome, run } from './run.ts';

/** What a run has to have at least; else it is empty. */
export const fullSize = { minimumOk: 300, minimumFaults: 5 };

/** What many runs came to. Can travel between threads. */
export interface Summary {
  met: Map<string, Uint32Array>;
  failed: { seed: number; violation: Violation }[];
  happenings: number;
  virtualMs: number;
  leastChanges: number;
  leastFaults: number;
}

/** Every `step`-th of `runs` seeds from `first` on. */
export interface Share {
  first: number;
  runs: number;
  step: number;
}

export function emptySummary(): Summary {
  const none = Number.POSITIVE_INFINITY;
  return { met: new Map(), failed: [], happenings: 0, virtualMs: 0, leastChanges: none, leastFaults: none };
}

/** Runs the seeds one after the other in this thread. `each` may end it by answering false. */
export async function runSeeds(
  { first, runs, step }: Share,
  each: (seed: number, outcome: Outcome) => boolean = () => true,
): Promise<Summary> {
  const summary = emptySummary();
  for (let seed = first; seed < first + runs; seed += step) {
    const outcome = await run(planOf(seed), fullSize);
    const [violation] = outcome.violations;
    add(summary, {
      met: new Map(outcome.met),
      failed: violation ? [{ seed, violation }] : [],
      happenings: outcome.history.length,
      virtualMs: outcome.endedMs,
      leastChanges: outcome.final.ledger.length,
      leastFaults: outcome.history.filter((one) => one.kind === 'fault' && (one.hits ?? 0) > 0).length,
    });
    if (!each(seed, outcome)) break;
  }
  return summary;
}

/** The same seeds shared out among threads: the same summary, sooner. */
export async function runInThreads(first: number, runs: number, threads: number): Promise<Summary> {
  const shares = Array.from({ length: threads }, (_, index): Share => {
    return { first: first + index, runs: runs - index, step: threads };
  });
  const summary = emptySummary();
  for (const one of await Promise.all(shares.map(inThread))) add(summary, one);
  summary.failed.sort((a, b) => a.seed - b.seed);
  return summary;
}

function inThread(share: Share): Promise<Summary> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), {
      workerData: share,
      // as `npm run sim` gives the main thread
      resourceLimits: { maxYoungGenerationSizeMb: 192 },
    });
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`a thread of the simulator ended with code ${code}`)));
  });
}

function add(sum: Summary, one: Summary): void {
  addMet(sum.met, one.met);
  sum.failed.push(...one.failed);
  sum.happenings += one.happenings;
  sum.virtualMs += one.virtualMs;
  sum.leastChanges = Math.min(sum.leastChanges, one.leastChanges);
  sum.leastFaults = Math.min(sum.leastFaults, one.leastFaults);
}

function addMet(sums: Map<string, Uint32Array>, met: Met): void {
  for (const [name, counts] of met) {
    const known = sums.get(name);
    if (known) for (let column = 0; column < known.length; column++) known[column]! += counts[column]!;
    else sums.set(name, counts);
  }
}
