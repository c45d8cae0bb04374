import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../testing/real-source.ts';
import { type AgedOutbox, openAgedOutbox, startReader, startWriters } from './testing/aged-outbox.ts';

const rows = 1_000_000;
const limitMs = 500;

let old: AgedOutbox;
beforeAll(async () => {
  old = await openAgedOutbox();
  await old.giveOldDays(5);
  await old.fill(old.dayAgo(5), rows);
}, 900_000);
afterAll(() => old.close());

describe('a million sent events', () => {
  it('are removed by dropping their partition while writers and a long reader run: no write stalls', async () => {
    const reader = await startReader(old);
    const writers = startWriters(old, 4);
    const phases: [string, number[]][] = [];
    await new Promise((resolve) => setTimeout(resolve, 10_000));
    phases.push(['before', writers.take()]);
    const janitor = old.janitor({ aheadDays: 15 });
    janitor.start();
    // Several attempts behind the reader, each of which gives way.
    await new Promise((resolve) => setTimeout(resolve, 20_000));
    expect(janitor.status!.lastError!.code).toBe('RETENTION_BUSY');
    phases.push(['a reader does not end, the janitor gives way', writers.take()]);
    await reader.end();
    await eventually(() => janitor.status!.lastVisitAt !== null, 120_000);
    phases.push(['the reader has ended, days are split off and dropped', writers.take()]);
    await janitor.stop();
    await writers.stop();
    expect(await old.partitions()).not.toContain(old.nameOf(old.dayAgo(5)));
    const lines = phases.map(([phase, tookMs]) => {
      const sorted = tookMs.toSorted((a, b) => a - b);
      const at = (share: number) => sorted[Math.floor(sorted.length * share)]!.toFixed(0);
      return `| ${phase} | ${sorted.length} | ${at(0.5)} | ${at(0.99)} | ${sorted.at(-1)!.toFixed(0)} |`;
    });
    writeFileSync('docs/reports/retention.md', report(lines));
    for (const [phase, tookMs] of phases.slice(1)) {
      expect({ phase, stalled: tookMs.filter((ms) => ms > limitMs) }).toEqual({ phase, stalled: [] });
    }
  }, 300_000);
});

function report(lines: string[]): string {
  return `# Retention: a million sent events dropped under writers

Written by \`npm run test:long -- --testPathPatterns=retention\`: ${rows.toLocaleString('en')} rows of 600 bytes in one day's partition,
four writers (a transaction with its event, then 5 ms of rest), one transaction that has read the whole table and stays open
for 30 s. No write may take longer than ${limitMs} ms.

| phase | writes | p50 ms | p99 ms | longest ms |
|---|---|---|---|---|
${lines.join('\n')}
`;
}
