import { mkdirSync, writeFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from '@jest/globals';
import type { DeliveryMode } from './options.ts';
import { type LeadersResult, leadersUnderFire } from './testing/leaders.ts';

const leaseMs = 3_000;
const rounds = 10;
const reportFile = '.hotboard/relay-leaders.md';
const report = [
  `Three relay processes under load, a lease of ${leaseMs} ms, ${rounds} rounds: an owner gets kill -9, another SIGSTOP for twice`,
  'the lease and SIGCONT.',
  '',
  '| mode | longest takeover after kill, ms | after stop, ms | events | doubled | wrong |',
  '| --- | --- | --- | --- | --- | --- |',
];

describe('three relay processes, ten times', () => {
  afterAll(() => {
    mkdirSync('.hotboard', { recursive: true });
    writeFileSync(reportFile, `${report.join('\n')}\n`);
  });

  it.each<DeliveryMode>(['at-least-once', 'exactly-once'])(
    '%s',
    async (delivery) => {
      const log = (line: string) => process.stderr.write(`${delivery}, ${line}\n`);
      const result: LeadersResult = await leadersUnderFire({ delivery, leaseMs, rounds, log });
      const { killTakeoversMs, stopTakeoversMs, wrong, events, doubled } = result;
      const cells = [Math.max(...killTakeoversMs), Math.max(...stopTakeoversMs), events, doubled, wrong.length];
      report.push(`| ${delivery} | ${cells.join(' | ')} |`);
      expect(wrong).toEqual([]);
      if (delivery === 'exactly-once') expect(doubled).toBe(0);
      for (const tookMs of [...killTakeoversMs, ...stopTakeoversMs]) expect(tookMs).toBeLessThan(leaseMs + 2_000);
    },
    900_000,
  );
});
