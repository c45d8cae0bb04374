import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * `npm test [-- <tier>…] [-- <jest options>]`: unit and integration tests together, then the end-to-end tests alone, since
 * those kill servers. The tier `long` runs only where it is named (`npm run test:long`). Ends with one line
 * `N passed, N failed[, N skipped]` over all of them.
 */
const tiers = ['unit', 'int', 'e2e', 'long'] as const;
const killServers: readonly string[] = ['e2e', 'long'];
const given = process.argv.slice(2);
const chosen = tiers.filter((tier) => given.includes(tier));
const wanted = chosen.length > 0 ? chosen : tiers.filter((tier) => tier !== 'long');
const jestOptions = given.filter((argument) => !(tiers as readonly string[]).includes(argument));

const folder = mkdtempSync(join(tmpdir(), 'hotboard-tests-'));
const countsFile = join(folder, 'counts');

function jest(projects: readonly string[], options: readonly string[]): Promise<number> {
  if (projects.length === 0) return Promise.resolve(0);
  const child = spawn(
    process.execPath,
    [
      '--experimental-vm-modules',
      '--disable-warning=ExperimentalWarning',
      '--disable-warning=TimeoutNegativeWarning',
      'node_modules/jest/bin/jest.js',
      // First, as Jest takes whatever follows --selectProjects for a project, parts of paths too.
      ...jestOptions,
      '--reporters=default',
      '--reporters=./testing/counts-reporter.cjs',
      ...options,
      '--selectProjects',
      ...projects,
    ],
    { stdio: 'inherit', env: { ...process.env, TEST_COUNTS_FILE: countsFile } },
  );
  return new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ? 1 : (code ?? 1))));
}

const codes = [
  await jest(
    wanted.filter((tier) => !killServers.includes(tier)),
    [],
  ),
  await jest(
    wanted.filter((tier) => killServers.includes(tier)),
    ['--runInBand'],
  ),
];

const total = { passed: 0, failed: 0, skipped: 0 };
for (const line of readCounts()) {
  const counts = JSON.parse(line) as typeof total;
  total.passed += counts.passed;
  total.failed += counts.failed;
  total.skipped += counts.skipped;
}
rmSync(folder, { recursive: true });
console.log(`${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`);
process.exitCode = codes.some((code) => code !== 0) ? 1 : 0;

function readCounts(): string[] {
  try {
    return readFileSync(countsFile, 'utf8').trim().split('\n');
  } catch {
    return [];
  }
}
