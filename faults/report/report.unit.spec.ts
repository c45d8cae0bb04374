import { describe, expect, it } from '@jest/globals';
import { faultsOf, type RunResult, type SlotResult } from '../figures/result.ts';
import { markdownOf } from './markdown.ts';
import { pageOf } from './page.ts';

const slot: SlotResult = {
  number: 1,
  title: 'broker killed',
  startedMs: 10_000,
  healedMs: 20_000,
  endedMs: 30_000,
  hits: 1,
  seen: ['7 events waited'],
  detectMs: 900,
  recoverMs: 12_000,
  inFlight: 7,
  events: 100,
  lost: 0,
  duplicated: 0,
  outOfOrder: 0,
  copiesInTopic: 2,
  ok: 300,
  failed: 1,
  unknown: 2,
  machineLoad: 1.26,
  noFailureAllowed: false,
};
const sample = { okPerSecond: 20, notOk: 0, backlog: 3, oldestUnsentMs: 10, lag: 4, oldestUnappliedMs: 20 };
const green: RunResult = {
  plan: { mode: 'full', seed: 7, minimumOk: 100, maximumInfoShare: 0.05 },
  deadlineFactor: 1,
  tookMs: 60_000,
  machine: '2 cores',
  ok: 300,
  failed: 1,
  unknown: 2,
  stages: [
    {
      kafkaNodes: 1,
      startedMs: 0,
      slots: [slot],
      samples: [0, 15_000, 30_000].map((atMs) => ({ atMs, ...sample })),
      findings: [],
      callsPerSecond: 20,
      baseline: { okPerSecond: 19.5, shownMs: 42, lag: 3 },
      skippedCalls: 0,
    },
  ],
  limits: [{ title: 'broker back: draining', limitMs: 10_000, valuesMs: [1_200, 3_400], needed: 1 }],
};
const withSlot = (change: Partial<SlotResult>): RunResult => ({
  ...green,
  stages: [{ ...green.stages[0]!, slots: [{ ...slot, ...change }] }],
});

describe('the verdict on a fault run', () => {
  it('is green where every fault did something, nothing is wrong with the effects and every promise held', () => {
    expect(faultsOf(green)).toEqual([]);
  });

  const bad: [string, RunResult, string][] = [
    ['a fault did nothing', withSlot({ hits: 0 }), 'the fault did nothing'],
    ['an event is lost', withSlot({ lost: 1 }), '1 lost'],
    ['an event took effect twice', withSlot({ duplicated: 1 }), '1 duplicated'],
    ['effects are out of order', withSlot({ outOfOrder: 1 }), '1 out of order'],
    ['the board did not recover', withSlot({ recoverMs: null }), 'did not recover'],
    ['a call failed in a rolling restart', withSlot({ noFailureAllowed: true, unknown: 0 }), '1 calls failed'],
    ['a promise was too slow', { ...green, limits: [{ ...green.limits[0]!, valuesMs: [10_001] }] }, 'longest 10001 ms'],
    ['a promise was not measured', { ...green, limits: [{ ...green.limits[0]!, valuesMs: [] }] }, 'never measured'],
    ['there were too few changes', { ...green, ok: 99 }, '99 changes were made'],
    ['too many outcomes are unknown', { ...green, unknown: 30 }, 'is unknown'],
    [
      'the checker found something',
      { ...green, stages: [{ ...green.stages[0]!, findings: [{ what: 'once', detail: 'twice' }] }] },
      'once: twice',
    ],
  ];
  it.each(bad)('is red where %s', (_what, run, words) => {
    expect(faultsOf(run).join('\n')).toContain(words);
  });
});

describe('the report', () => {
  it('gives for each fault what was asked: detection, recovery, events in flight, lost, duplicated, out of order', () => {
    const text = markdownOf(green);
    expect(text).toContain('# Fault run, seed 7 (full)');
    expect(text).toContain('**Green.**');
    expect(text).toContain(
      '| 1 | broker killed | 1 | 10.0 s | 900 ms | 12.0 s | 7 | 0 | 0 | 0 | 2 | 300 / 1 / 2 | 1.3 |',
    );
    expect(text).toContain('| broker back: draining | 10.0 s | 2 times | 3.4 s | 3.4 s | yes |');
    expect(text).toContain('20 calls/s');
  });

  it('states the calls that a rolling restart cost beside the promised times', () => {
    const words = '| every node restarted: calls without a good answer | 0 | 1 times, 303 calls | 3 | 3 | **no** |';
    expect(markdownOf(withSlot({ noFailureAllowed: true }))).toContain(words);
    expect(markdownOf(green)).not.toContain('every node restarted');
  });

  it('says where limits are longer than what is promised', () => {
    const text = markdownOf({ ...green, deadlineFactor: 3 });
    expect(text).toContain('npm run faults -- --seed 7 --deadline-factor 3');
    expect(text).toContain('"At most" is 3 times what is promised.');
    expect(markdownOf(green)).not.toContain('"At most"');
  });

  it('says what is wrong in a red run', () => {
    expect(markdownOf(withSlot({ lost: 3 }))).toContain('- slot 1 (broker killed): 3 lost');
  });

  it('cuts what is wrong short, as one mistake may show in thousands of lines', () => {
    const findings = Array.from({ length: 500 }, (_, index) => ({
      what: 'once',
      detail: `event ${index} ${'x'.repeat(9_999)}`,
    }));
    const text = markdownOf({ ...green, stages: [{ ...green.stages[0]!, findings }] });
    expect(text).toContain('**Red**, 500 times');
    expect(text.length).toBeLessThan(20_000);
  });

  it('draws each fault as a band and each figure as a line, in a page that needs nothing else', () => {
    const page = pageOf(withSlot({ title: 'a <b> & c' }));
    expect(page.match(/<polyline/g)).toHaveLength(4);
    expect(page).toContain('1. a &lt;b&gt; &amp; c');
    expect(page).not.toMatch(/(src|href)=/);
    expect(page).not.toContain('NaN');
  });
});
