import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { faultsOf } from './figures/result.ts';
import { readOptions, UsageError } from './options.ts';
import { planOf } from './plan.ts';
import { markdownOf } from './report/markdown.ts';
import { run } from './run.ts';

// `npm run faults [-- --short | --soak 8h] [-- --seed N] [-- --deadline-factor N]`: real faults on real processes and servers. Ends
// with a verdict and exit code 0 (green), 1 (red) or 64 (wrong options).

const startedMs = Date.now();
const say = (text: string) => console.log(`${((Date.now() - startedMs) / 1000).toFixed(1).padStart(7)} s  ${text}`);

try {
  const { mode, seed, soakMs, deadlineFactor } = readOptions(process.argv.slice(2), Date.now());
  let red = 0;
  let rounds = 0;
  do {
    const plan = planOf(mode, seed + rounds);
    const folder = join('.hotboard', 'faults', `${mode}-${plan.seed}`);
    say(`fault run, seed ${plan.seed}, ${mode}; everything goes to ${folder}`);
    const result = await run(plan, { folder, say, deadlineFactor });
    const wrong = faultsOf(result);
    writeFileSync(join('faults', 'report.md'), markdownOf(result));
    console.log(`\n${markdownOf(result)}`);
    console.log(
      wrong.length === 0 ? `FAULTS GREEN, seed ${plan.seed}` : `FAULTS RED (${wrong.length}), seed ${plan.seed}`,
    );
    if (wrong.length > 0) red++;
    rounds++;
  } while (Date.now() - startedMs < soakMs);
  if (mode === 'soak') console.log(`${rounds} rounds, ${red} red`);
  process.exit(red === 0 ? 0 : 1);
} catch (error) {
  if (error instanceof UsageError) {
    console.error(error.message);
    process.exit(64);
  }
  console.error(error);
  process.exit(1);
}
