import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunningStack } from '../../stack/stack.ts';
import { type Fault, runStorm, type StormReport, stormStack } from './storm.ts';

let stack: RunningStack;
const reports: (StormReport & { name: string })[] = [];

beforeAll(async () => {
  stack = await stormStack();
}, 120_000);
afterAll(async () => {
  await stack?.stop();
  writeFileSync('docs/reports/inbox-storms.md', reportText());
});

const every3s = { pauseMs: 3000 };
const rebalances: Fault[] = Array.from({ length: 8 }, (): Fault[] => [every3s, 'join', every3s, 'leave']).flat();
const stalls: Fault[] = [every3s, 'stall', every3s, 'stall', every3s, 'stall'];
const kills: Fault[] = Array.from({ length: 10 }, (): Fault[] => [{ pauseMs: 2000 }, 'die']).flat();
const mysqlAway: Fault[] = [every3s, { mysqlAwayMs: 30_000 }, every3s, { mysqlAwayMs: 5000 }, every3s];

describe.each(['state', 'sequence'] as const)('three consumer processes of a %s inbox', (mode) => {
  it.each([
    ['members that join and leave every 3 s', rebalances],
    ['members that are stopped beyond their session', stalls],
    ['members that are killed', kills],
    ['MySQL killed for 30 s', mysqlAway],
  ])(
    'lose and double nothing with %s',
    async (name, faults) => {
      const report = await runStorm(stack, { mode, faults });
      reports.push({ name, ...report });
      expect(report.violations).toEqual([]);
    },
    400_000,
  );
});

function reportText(): string {
  const lines = reports.map(
    ({ name, mode, events, poison, samples, tookS, violations }) =>
      `| ${name} | ${mode} | ${events} | ${poison} | ${samples} | ${tookS} | ${violations.length} |`,
  );
  return `# Inbox storms

\`npm run test:long -- inbox/storm\`, ${new Date().toISOString().slice(0, 10)}. Three consumer processes under load; every effect is
counted in a table without a key and compared with what was published; at each sample the committed offset is compared with what
was effected, parked or a dead letter before it.

| storm | mode | events | poison | samples of offsets | seconds | violations |
| --- | --- | --- | --- | --- | --- | --- |
${lines.join('\n')}
`;
}
