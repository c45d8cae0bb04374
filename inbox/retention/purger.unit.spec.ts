import { describe, expect, it } from '@jest/globals';
import { VirtualClock } from '../../clock/testing/virtual-clock.ts';
import { recordedMetrics } from '../testing/recorded-metrics.ts';
import { Purger, type PurgerOptions } from './purger.ts';
import { type InboxRetention, usualRetention } from './settings.ts';
import type { RetentionTable } from './table.ts';

const dayMs = 86_400_000;
const nowMs = 1_700_000_000_000;

function setUp(retention: Partial<InboxRetention> = {}, rows = 2500) {
  const clock = new VirtualClock();
  const metrics = recordedMetrics();
  const logs: string[] = [];
  const log = (...args: unknown[]) => void logs.push(args.map(String).join(' '));
  const setup = {
    owner: 'me',
    steps: [] as string[],
    topic: { 'retention.ms': String(7 * dayMs), 'cleanup.policy': 'delete' } as Record<string, string> | Error | null,
  };
  let left = rows;
  const table: RetentionTable = {
    lease: async (owner) => setup.owner === owner,
    nowMs: async () => nowMs,
    async purgeIds(after, beforeMs, limit) {
      setup.steps.push(`ids ${after?.toString() ?? 'from the first'} before ${(nowMs - beforeMs) / dayMs} days`);
      const removed = Math.min(left, limit);
      left -= removed;
      return { removed, upTo: left > 0 ? Buffer.from(`at ${left}`) : null };
    },
    async purge(name, beforeMs) {
      setup.steps.push(`${name} before ${(nowMs - beforeMs) / dayMs} days`);
      return 3;
    },
  };
  const options: PurgerOptions = {
    topics: ['t.like', 't.view'],
    retention: { ...usualRetention, ...retention },
    table,
    admin: {
      async topicConfig() {
        if (setup.topic === null) return new Promise(() => {});
        if (setup.topic instanceof Error) throw setup.topic;
        return setup.topic;
      },
    },
    owner: 'me',
    clock,
    metrics,
    logger: { debug: log, info: log, warn: log, error: log },
  };
  return { purger: new Purger(options), clock, setup, logs, metrics: metrics.sums };
}

describe('removing old rows', () => {
  it('goes in steps, each from where the last one ended, once a minute until it is stopped', async () => {
    const { purger, clock, setup, metrics } = setUp();
    await clock.finish(purger.start());
    expect(setup.steps).toEqual([]);
    await clock.advance(61_000);
    expect(setup.steps).toEqual([
      'ids from the first before 15 days',
      'ids at 1500 before 15 days',
      'ids at 500 before 15 days',
      'dead_letter before 30 days',
      'dead_letter_audit before 365 days',
    ]);
    expect(metrics).toMatchObject({ 'inbox.purged.total inbox': 2500, 'inbox.purged.total dead_letter': 3 });
    await clock.advance(61_000);
    expect(setup.steps).toHaveLength(8);
    await purger.stop();
    await clock.advance(600_000);
    expect(setup.steps).toHaveLength(8);
  });

  it('is left to the process that has the lease', async () => {
    const { purger, clock, setup } = setUp();
    setup.owner = 'another';
    expect(await clock.finish(purger.round())).toBe(0);
    expect(setup.steps).toEqual([]);
  });

  it('ends when another process takes the lease in between', async () => {
    const { purger, clock, setup } = setUp({}, 100_000);
    const running = purger.round();
    await clock.settled();
    setup.owner = 'another';
    await clock.finish(running);
    expect(setup.steps.length).toBeLessThanOrEqual(4);
  });

  it('refuses to start where the topic keeps messages for longer', async () => {
    const { purger, clock } = setUp({ idsMs: 14 * dayMs });
    await expect(clock.finish(purger.start())).rejects.toMatchObject({ code: 'INBOX_CONFIG_INVALID' });
  });

  it.each([
    ['does not answer', null],
    ['is away', Object.assign(new Error('away'), { code: 'KAFKA_UNAVAILABLE' })],
  ])('starts where Kafka %s, and removes no ids before it has answered', async (_name, answer) => {
    const { purger, clock, setup } = setUp();
    setup.topic = answer;
    await clock.finish(purger.start());
    if (answer !== null) {
      await clock.advance(61_000);
      expect(setup.steps.filter((step) => step.startsWith('ids'))).toEqual([]);
      setup.topic = { 'retention.ms': String(7 * dayMs), 'cleanup.policy': 'delete' };
      await clock.advance(61_000);
      expect(setup.steps.some((step) => step.startsWith('ids'))).toBe(true);
    }
    void purger.stop();
  });

  it('stops removing ids, with an alarm, when a topic is set to keep messages for longer', async () => {
    const { purger, clock, setup, metrics, logs } = setUp();
    setup.topic = { 'retention.ms': '-1', 'cleanup.policy': 'delete' };
    await clock.finish(purger.round());
    await clock.finish(purger.round());
    expect(setup.steps.filter((step) => step.startsWith('ids'))).toEqual([]);
    expect(purger.refused).toContain('keeps its messages for ever');
    expect(metrics['inbox.alarms.total retention']).toBe(1);
    expect(logs.filter((line) => line.includes('no ids are removed'))).toHaveLength(1);
    setup.topic = { 'retention.ms': String(7 * dayMs), 'cleanup.policy': 'delete' };
    await clock.finish(purger.round());
    expect(purger.refused).toBeNull();
  });

  it('keeps ids for ever where that is the answer', async () => {
    const { purger, clock, setup } = setUp({ endlessTopics: 'keep-ids' });
    setup.topic = { 'retention.ms': '-1', 'cleanup.policy': 'delete' };
    await clock.finish(purger.start());
    await clock.finish(purger.round());
    expect(setup.steps).toEqual(['dead_letter before 30 days', 'dead_letter_audit before 365 days']);
  });
});
