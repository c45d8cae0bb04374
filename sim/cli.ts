import { parseArgs } from 'node:util';
import type { Violation } from './checker.ts';
import { planOf } from './plan.ts';
import { run } from './run.ts';
import { shrink } from './shrink.ts';
import { story } from './story.ts';
import { table } from './table.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    story: { type: 'boolean', default: false },
    /** Ends at the first failing run and says only what failed: for mutants. */
    first: { type: 'boolean', default: false },
  },
});
const runs = wholeNumber('runs', values.runs, 1);
const first = wholeNumber('seed', values.seed, 0);

const met = new Map<string, Uint32Array>();
const failed: number[] = [];
const least = { changes: Number.POSITIVE_INFINITY, faults: Number.POSITIVE_INFINITY };
let happenings = 0;
let virtualMs = 0;
const startedMs = performance.now();
const cpu = process.cpuUsage();

for (let seed = first; seed < first + runs; seed++) {
  const plan = planOf(seed);
  const outcome = await run(plan, { minimumOk: 300, minimumFaults: 5 });
  for (const [name, counts] of outcome.met) {
    const sums = met.get(name);
    if (sums) for (let column = 0; column < sums.length; column++) sums[column]! += counts[column]!;
    else met.set(name, counts);
  }
  happenings += outcome.history.length;
  virtualMs += outcome.endedMs;
  least.changes = Math.min(least.changes, outcome.final.ledger.length);
  least.faults = Math.min(
    least.faults,
    outcome.history.filter((each) => each.kind === 'fault' && (each.hits ?? 0) > 0).length,
  );
  if (values.story) console.log(`seed ${seed}: ${outcome.hash()}, ended at ${(outcome.endedMs / 1000).toFixed(1)} s`);
  if (outcome.violations.length === 0) continue;
  failed.push(seed);
  if (values.first) {
    const [{ invariant, detail }] = outcome.violations as [Violation];
    console.log(`seed ${seed}, ${invariant}: ${detail}`);
    process.exit(1);
  }
  if (failed.length > 3) continue;
  console.log(`\nSeed ${seed} failed; leaving out what is not needed for it …`);
  const shrunk = await shrink(plan, outcome.violations[0]!.invariant);
  console.log(story(shrunk.plan, shrunk.outcome.violations.length > 0 ? shrunk.outcome : outcome));
}

console.log(`\n${table(met)}\n`);
const seconds = (performance.now() - startedMs) / 1000;
const { user, system } = process.cpuUsage(cpu);
console.log(
  `${runs} runs from seed ${first}: ${failed.length} failed${failed.length > 0 ? ` (seeds ${failed.slice(0, 20).join(', ')})` : ''}. ` +
    `${seconds.toFixed(1)} s (${((user + system) / 1e6).toFixed(1)} s of processor time) for ${(virtualMs / 3_600_000).toFixed(1)} h of virtual time, ` +
    `${happenings} happenings; at least ${least.changes} events and ${least.faults} faults that did something in each run.`,
);
process.exitCode = failed.length > 0 ? 1 : 0;

function wholeNumber(name: string, text: string, from: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= from) return value;
  console.error(`--${name} is ${JSON.stringify(text)}; allowed: a whole number from ${from}.`);
  process.exit(2);
}
