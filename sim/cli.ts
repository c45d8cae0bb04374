import { parseArgs } from 'node:util';
import { fullSize, runInThreads, runSeeds } from './batch.ts';
import { planOf } from './plan.ts';
import { run } from './run.ts';
import { shrink } from './shrink.ts';
import { story } from './story.ts';
import { table } from './table.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    /** Threads, each of which needs a core. */
    workers: { type: 'string', default: '1' },
    story: { type: 'boolean', default: false },
    /** Ends at the first failing run and says only what failed: for mutants. */
    first: { type: 'boolean', default: false },
  },
});
const runs = wholeNumber('runs', values.runs, 1);
const first = wholeNumber('seed', values.seed, 0);
const workers = Math.min(runs, wholeNumber('workers', values.workers, 1));
const startedMs = performance.now();
const cpu = process.cpuUsage();

const summary =
  workers > 1
    ? await runInThreads(first, runs, workers)
    : await runSeeds({ first, runs, step: 1 }, (seed, { hash, endedMs, violations: [violation] }) => {
        if (values.story) console.log(`seed ${seed}: ${hash()}, ended at ${(endedMs / 1000).toFixed(1)} s`);
        if (!violation || !values.first) return true;
        console.log(`seed ${seed}, ${violation.invariant}: ${violation.detail}`);
        process.exit(1);
      });
const { user, system } = process.cpuUsage(cpu);
const seconds = (performance.now() - startedMs) / 1000;
const { failed } = summary;

for (const { seed, violation } of failed.slice(0, 3)) {
  // A run that is too small as a whole says nothing when it is made smaller.
  const shrinks = violation.invariant !== 'not empty';
  console.log(`\nSeed ${seed} failed${shrinks ? '; leaving out what is not needed for it …' : ''}`);
  let plan = planOf(seed);
  let outcome = await run(plan, fullSize);
  if (shrinks) {
    const shrunk = await shrink(plan, violation.invariant);
    if (shrunk.outcome.violations.length > 0) ({ plan, outcome } = shrunk);
  }
  console.log(story(plan, outcome));
}
console.log(`\n${table(summary.met)}\n`);
const seeds = failed.map(({ seed }) => seed);
console.log(
  `${runs} runs from seed ${first}: ${failed.length} failed${failed.length > 0 ? ` (seeds ${seeds.slice(0, 20).join(', ')})` : ''}. ` +
    `${seconds.toFixed(1)} s (${((user + system) / 1e6).toFixed(1)} s of processor time${workers > 1 ? `, ${workers} threads` : ''}) ` +
    `for ${(summary.virtualMs / 3_600_000).toFixed(1)} h of virtual time, ${summary.happenings} happenings; ` +
    `at least ${summary.leastChanges} events and ${summary.leastFaults} faults that did something in each run.`,
);
process.exitCode = failed.length > 0 ? 1 : 0;

function wholeNumber(name: string, text: string, from: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= from) return value;
  console.error(`--${name} is ${JSON.stringify(text)}; allowed: a whole number from ${from}.`);
  process.exit(2);
}
