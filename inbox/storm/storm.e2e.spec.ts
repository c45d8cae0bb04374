import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunningStack } from '../../stack/stack.ts';
import { runStorm, stormStack } from './storm.ts';

let stack: RunningStack;

beforeAll(async () => {
  stack = await stormStack();
}, 240_000);
afterAll(() => stack?.stop());

describe('three consumer processes', () => {
  it('make each effect once and in order through rebalances, a stop beyond the session, kill -9, and MySQL away', async () => {
    const report = await runStorm(stack, {
      mode: 'sequence',
      faults: [{ pauseMs: 3000 }, 'join', 'die', 'stall', { mysqlAwayMs: 3000 }, 'leave', 'die'],
    });
    expect(report.violations).toEqual([]);
    expect(report.events).toBeGreaterThan(500);
    expect(report.poison).toBeGreaterThan(0);
    expect(report.samples).toBeGreaterThan(20);
  }, 600_000);
});
