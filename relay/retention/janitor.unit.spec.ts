import { beforeEach, describe, expect, it } from '@jest/globals';
import { VirtualClock } from '../../clock/testing/virtual-clock.ts';
import { SourceError } from '../sources/errors.ts';
import { Janitor } from './janitor.ts';
import type { Layout, RetentionSettings } from './plan.ts';
import type { Outcome, PartitionStore } from './store.ts';

const settings = { days: 3, auditDays: 400, aheadDays: 1, maxOverflowRows: 10 };
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

let clock: VirtualClock;
let layout: Layout;
let unsentDays: string[];
let mine: boolean;
let steps: string[];
let open: number;
let outcome: (step: string) => Outcome;
let unreachable: boolean;
let auditRows: number;
const gauges = new Map<string, number>();

beforeEach(() => {
  clock = new VirtualClock();
  layout = {
    today: '2026-11-20',
    partitions: [
      { name: 'p15', before: '2026-11-16' },
      { name: 'p16', before: '2026-11-17' },
      { name: 'p20', before: '2026-11-21' },
      { name: 'pmax', before: null },
    ],
    overflowRows: 0,
  };
  unsentDays = [];
  mine = true;
  steps = [];
  open = 0;
  outcome = () => 'done';
  unreachable = false;
  auditRows = 0;
  gauges.clear();
});

async function visit(): Promise<PartitionStore> {
  if (unreachable) throw new SourceError('SOURCE_UNAVAILABLE', 'away');
  open++;
  const step = async (name: string) => {
    const result = outcome(name);
    steps.push(result === 'done' ? name : `${name}: ${result}`);
    return result;
  };
  return {
    readLayout: async () => layout,
    readUnsentDays: async () => unsentDays,
    async split(last, { name, before }) {
      const result = await step(`split ${name}`);
      const partitions = layout.partitions.slice(0, -1);
      if (result === 'done')
        layout = { ...layout, partitions: [...partitions, { name, before }, { name: last, before: null }] };
      return result;
    },
    async drop(name) {
      const result = await step(`drop ${name}`);
      if (result === 'done') layout = { ...layout, partitions: layout.partitions.filter((one) => one.name !== name) };
      return result;
    },
    async trim() {
      const deleted = Math.min(4, layout.overflowRows);
      layout = { ...layout, overflowRows: layout.overflowRows - deleted };
      steps.push(`trim ${deleted}`);
      return deleted;
    },
    async trimAudit(days) {
      const deleted = Math.min(500, auditRows);
      auditRows -= deleted;
      if (deleted > 0) steps.push(`audit ${days}: ${deleted}`);
      return deleted;
    },
    async forgetMembers() {
      steps.push('forget members');
    },
    async close() {
      open--;
    },
  };
}

function started(overrides: Partial<RetentionSettings> = {}): Janitor {
  const metrics = {
    add: () => {},
    observe: () => {},
    set: (name: string, _labels: object, value: number) => void gauges.set(name, value),
  };
  const janitor = new Janitor({
    source: 's',
    open: visit,
    settings: { ...settings, ...overrides },
    mayAct: () => mine,
    clock,
    log: silent,
    metrics,
  });
  janitor.start();
  return janitor;
}

describe('the janitor', () => {
  it('makes days ahead first, then drops old ones, and does nothing more until the next day', async () => {
    const janitor = started();
    await clock.advance(0);
    expect(steps).toEqual(['split p20261121', 'drop p15', 'drop p16', 'forget members']);
    expect(janitor.status).toMatchObject({ days: 3, actsHere: true, daysAhead: 1, oldestAgeDays: 0, held: [] });
    expect(gauges.get('partitionsAhead')).toBe(1);
    steps.length = 0;
    await clock.advance(3_600_000);
    expect(new Set(steps)).toEqual(new Set(['forget members']));
    layout = { ...layout, today: '2026-11-21' };
    await clock.advance(300_000);
    expect(steps).toContain('split p20261122');
    expect(open).toBe(0);
    await janitor.stop();
    expect(clock.pendingTimers).toBe(0);
  });

  it('only looks where another relay acts, and acts at once when it is its turn', async () => {
    mine = false;
    const janitor = started();
    await clock.advance(600_000);
    expect(steps).toEqual([]);
    expect(janitor.status).toMatchObject({ actsHere: false, daysAhead: 0, oldestAgeDays: 5 });
    mine = true;
    janitor.wake();
    await clock.advance(0);
    expect(steps).toContain('drop p15');
    await janitor.stop();
  });

  it('stops in the middle where it is no longer its turn', async () => {
    outcome = (step) => {
      if (step === 'drop p15') mine = false;
      return 'done';
    };
    const janitor = started();
    await clock.advance(0);
    expect(steps).toEqual(['split p20261121', 'drop p15']);
    await janitor.stop();
  });

  it('keeps a day with unsent events, says so, and drops it later', async () => {
    unsentDays = ['2026-11-16'];
    const janitor = started();
    await clock.advance(0);
    expect(steps).toEqual(['split p20261121', 'drop p15', 'forget members']);
    expect(janitor.status).toMatchObject({ held: ['p16'], lastError: null });
    expect(gauges.get('partitionsHeld')).toBe(1);
    unsentDays = [];
    await clock.advance(300_000);
    expect(steps).toContain('drop p16');
    expect(gauges.get('partitionsHeld')).toBe(0);
    await janitor.stop();
  });

  it('gives way to a reader and tries again, ever more seldom', async () => {
    outcome = (step) => (step === 'drop p15' ? 'busy' : 'done');
    const janitor = started();
    await clock.advance(0);
    expect(steps).toEqual(['split p20261121', 'drop p15: busy']);
    expect(janitor.status!.lastError).toMatchObject({ code: 'RETENTION_BUSY' });
    await clock.advance(999);
    expect(steps).toHaveLength(2);
    await clock.advance(60_000);
    expect(steps).toHaveLength(7); // after 1, 3, 7, 15 and 31 s
    outcome = () => 'done';
    await clock.advance(60_000);
    expect(janitor.status).toMatchObject({ lastError: null, oldestAgeDays: 0 });
    await janitor.stop();
  });

  it('deletes old rows of the audit some at a time, as long as it is its turn', async () => {
    auditRows = 1_200;
    const janitor = started();
    await clock.advance(0);
    expect(steps.slice(-3)).toEqual(['audit 400: 500', 'audit 400: 500', 'audit 400: 200']);
    mine = false;
    auditRows = 10;
    await clock.advance(600_000);
    expect(auditRows).toBe(10);
    await janitor.stop();
  });

  it('leaves the audit alone where its rows are to stay, and the partitions where those are', async () => {
    auditRows = 10;
    const keepsAudit = started({ auditDays: 0 });
    await clock.advance(0);
    expect(auditRows).toBe(10);
    expect(steps).toContain('drop p15');
    await keepsAudit.stop();
    steps.length = 0;
    layout = { ...layout, partitions: [{ name: 'p15', before: '2026-11-16' }, ...layout.partitions] };
    const keepsPartitions = started({ days: 0 });
    await clock.advance(0);
    expect(steps).toEqual(['forget members', 'audit 400: 10']);
    expect([keepsPartitions.status, keepsPartitions.problem]).toEqual([null, null]);
    await keepsPartitions.stop();
  });

  it('waits for a database that is away', async () => {
    unreachable = true;
    const janitor = started();
    await clock.advance(10_000);
    expect(janitor.status).toBeNull();
    unreachable = false;
    await clock.advance(10_000);
    expect(steps).toContain('drop p15');
    expect(janitor.problem).toBeNull();
    await janitor.stop();
  });

  it('shrinks a last partition that is too full, splits nothing meanwhile, and says so', async () => {
    layout = { ...layout, today: '2026-11-30', overflowRows: 11 };
    const janitor = started();
    await clock.advance(0);
    expect(steps).toEqual([
      'drop p15',
      'drop p16',
      'drop p20',
      'trim 4',
      'trim 4',
      'trim 3',
      'trim 0',
      'forget members',
    ]);
    expect(janitor.problem).toBe('s: the outbox has partitions for only -1 days ahead');
    await clock.advance(300_000);
    expect(steps).toContain('split p20261130');
    expect(janitor.problem).toBeNull();
    await janitor.stop();
  });

  it('shrinks nothing of a last partition with unsent old events', async () => {
    layout = { ...layout, today: '2026-11-30', overflowRows: 11 };
    unsentDays = ['2026-11-22'];
    const janitor = started();
    await clock.advance(0);
    expect(steps.filter((step) => step.startsWith('trim'))).toEqual([]);
    await janitor.stop();
  });
});
